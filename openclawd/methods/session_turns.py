"""v4's way to chat, by sessions: `sessions.create`, `.send`, `.abort`, `.describe`."""

from collections.abc import Mapping
from typing import Any, Final, Literal
from uuid import uuid4

import attrs

from openclawd.auth.scopes import READ, WRITE
from openclawd.methods.chat import MAX_TIMEOUT_MS
from openclawd.methods.method import Call, MethodTable
from openclawd.methods.params import params
from openclawd.methods.refused import NO_TOOLS, NO_WORKSPACES, ONE_KIND, refuse
from openclawd.methods.sender import sender_of
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import RequestError, invalid_request
from openclawd.sessions.registry import NewSession, Send, acknowledgement
from openclawd.sessions.rows import entry

SESSION_TURNS: Final = MethodTable()


@params
class SessionsCreateParams:
    """`sessions.create`. Changing nothing here: `fast_mode`, `emit_command_hooks` (there are neither)."""

    key: NonEmptyStr | None = None
    idempotency_key: NonEmptyStr | None = None
    agent_id: NonEmptyStr | None = None
    label: NonEmptyStr | None = attrs.field(default=None, metadata={"max_length": 512})
    display_name: NonEmptyStr | None = attrs.field(default=None, metadata={"max_length": 500})
    category: NonEmptyStr | None = attrs.field(default=None, metadata={"max_length": 512})
    model: NonEmptyStr | None = None
    context_window: NonEmptyStr | None = None
    thinking_level: NonEmptyStr | None = None
    fast_mode: object = None
    permission_mode: Literal["read-only", "guarded", "workspace", "full"] | None = None
    tool_overrides: Mapping[str, object] | None = None
    incognito: bool = False
    visibility: Literal["shared", "read-only", "suggest", "draft"] | None = None
    catalog_id: NonEmptyStr | None = None
    parent_session_key: NonEmptyStr | None = None
    spawn_depth: int | None = attrs.field(default=None, metadata={"minimum": 1})
    fork: bool = False
    fork_from: Literal["last-completed"] | None = None
    emit_command_hooks: bool = False
    succeeds_parent: bool = False
    task: str | None = None
    message: str | None = None
    attachments: tuple[Mapping[str, object], ...] = ()
    project_id: NonEmptyStr | None = None
    project_git_url: NonEmptyStr | None = attrs.field(default=None, metadata={"max_length": 2048})
    worktree: bool = False
    worktree_base_ref: NonEmptyStr | None = None
    worktree_name: NonEmptyStr | None = None
    exec_node: NonEmptyStr | None = None
    cwd: NonEmptyStr | None = None


_REFUSED: Final = {
    "display_name": "label names a session",
    "category": "sessions are in no groups here",
    "context_window": "a model has one context window here",
    "permission_mode": NO_TOOLS,
    "tool_overrides": NO_TOOLS,
    "incognito": "what is said is stored",
    "catalog_id": ONE_KIND,
    "spawn_depth": "sessions do not start sessions here",
    "fork": "a session begins empty here",
    "fork_from": "a session begins empty here",
    "succeeds_parent": "sessions stand for themselves here",
    "project_id": NO_WORKSPACES,
    "project_git_url": NO_WORKSPACES,
    "worktree": NO_WORKSPACES,
    "worktree_base_ref": NO_WORKSPACES,
    "worktree_name": NO_WORKSPACES,
    "exec_node": NO_WORKSPACES,
    "cwd": NO_WORKSPACES,
}
_SETTINGS: Final = {"label": "label", "model": "model", "thinking_level": "thinkingLevel"}


@params
class SessionsSendParams:
    """`sessions.send`: `chat.send` to a session that is there."""

    key: NonEmptyStr
    message: str
    agent_id: NonEmptyStr | None = None
    thinking: str | None = None
    attachments: tuple[Mapping[str, object], ...] = ()
    timeout_ms: int | None = attrs.field(default=None, metadata={"minimum": 0, "maximum": MAX_TIMEOUT_MS})
    idempotency_key: NonEmptyStr | None = None


@params
class SessionsAbortParams:
    """`sessions.abort`: a run, or what the session does now; with `clear_queued` also what waits in it."""

    key: NonEmptyStr | None = None
    run_id: NonEmptyStr | None = None
    agent_id: NonEmptyStr | None = None
    clear_queued: bool = False


@params
class SessionsDescribeParams:
    """`sessions.describe`. Title and preview are always there, as they cost nothing."""

    key: NonEmptyStr
    include_derived_titles: bool = False
    include_last_message: bool = False


@SESSION_TURNS.add("sessions.create", scope=WRITE, params=SessionsCreateParams)
async def sessions_create(call: Call, params: SessionsCreateParams) -> object:
    """Make a session, and begin it with a message if there is one. The same key again makes no other."""
    refuse(params, _REFUSED)
    if params.visibility not in {None, "shared"}:
        raise invalid_request("visibility cannot be kept: every client sees every session here")
    if params.message is not None and params.task is not None:
        raise invalid_request("message and task are two words for the first message; send one of them")
    sessions = call.services.sessions
    session = await sessions.writing.create(
        NewSession(
            key=params.key,
            agent_id=params.agent_id,
            parent_key=params.parent_session_key,
            idempotency_key=params.idempotency_key,
            settings={
                name: value
                for field, name in _SETTINGS.items()
                if (value := getattr(params, field)) is not None
            },
        )
    )
    created: dict[str, Any] = {
        "ok": True,
        "key": session.key,
        "sessionId": session.session_id,
        "entry": entry(session, sessions.chosen(session.key, session)),
    }
    first = params.message if params.message is not None else params.task
    if first is None and not params.attachments:
        return created | {"runStarted": False}
    run_id = f"{params.idempotency_key}:first" if params.idempotency_key else str(uuid4())
    return created | await _begin(call, session.key, first or "", run_id, params.attachments)


@SESSION_TURNS.add("sessions.send", scope=WRITE, params=SessionsSendParams)
async def sessions_send(call: Call, params: SessionsSendParams) -> object:
    """Accept a message: it is on disk when this answers."""
    sessions = call.services.sessions
    run_id = params.idempotency_key or str(uuid4())
    missing = await sessions.record(params.key, params.agent_id) is None
    if missing and await sessions.run(run_id) is None:
        raise invalid_request(f"session not found: {params.key}")
    sent = await sessions.writing.accept(
        Send(
            session_key=params.key,
            message=params.message,
            run_id=run_id,
            agent_id=params.agent_id,
            attachments=params.attachments,
            timeout_ms=params.timeout_ms,
            thinking=params.thinking,
            sender=sender_of(call.caller),
        )
    )
    place = {} if sent.message is None else {"messageSeq": sent.message.seq}
    return acknowledgement(sent) | place


@SESSION_TURNS.add("sessions.abort", scope=WRITE, params=SessionsAbortParams)
async def sessions_abort(call: Call, params: SessionsAbortParams) -> object:
    """Stop an answer that is under way or waiting; what was said of it is kept."""
    sessions = call.services.sessions
    key = params.key
    if key is None:
        if params.run_id is None:
            raise invalid_request("sessions.abort needs a key or a runId")
        run = await sessions.run(params.run_id)
        stopped = [] if run is None else await sessions.abort(run.session_key, run.run_id)
    elif params.run_id is not None or params.clear_queued:
        stopped = await sessions.abort(key, params.run_id, agent_id=params.agent_id)
    else:
        stopped = await sessions.abort_current(key, params.agent_id)
    return {
        "ok": True,
        "abortedRunId": stopped[0] if stopped else None,
        "status": "aborted" if stopped else "no-active-run",
    }


@SESSION_TURNS.add("sessions.describe", scope=READ, params=SessionsDescribeParams)
async def sessions_describe(call: Call, params: SessionsDescribeParams) -> object:
    """The session as `sessions.list` has it, null if there is none."""
    generation = call.caller.wire_generation
    return {"session": await call.services.sessions.describe(params.key, generation=generation)}


async def _begin(
    call: Call, key: str, message: str, run_id: str, attachments: tuple[Mapping[str, object], ...]
) -> dict[str, Any]:
    """What `sessions.create` says of its first message; that it was refused does not unmake the session."""
    try:
        sent = await call.services.sessions.writing.accept(
            Send(key, message, run_id, attachments=attachments, sender=sender_of(call.caller))
        )
    except RequestError as error:
        return {"runStarted": False, "runError": error.shape.to_wire()}
    if sent.run is None:
        return {"runStarted": False}
    place = {} if sent.message is None else {"messageSeq": sent.message.seq}
    return {"runStarted": True, "runId": sent.run.run_id, **place}
