"""Administration of sessions: `sessions.patch`, `.reset`, `.delete`, `.compact`, `.resolve`, `.preview`.

Unlike stock v3, web pages may do this, too: what a client may do its scopes say.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

from openclawd.auth.scopes import ADMIN, READ
from openclawd.methods.method import Call, MethodTable
from openclawd.methods.params import params
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import invalid_request
from openclawd.protocol.fields import wire_fields
from openclawd.protocol.versions import V4
from openclawd.sessions.finding import Reference
from openclawd.sessions.rows import Chosen, entry
from openclawd.store.administration import Expected
from openclawd.store.records import SessionRecord

SESSION_ADMIN: Final = MethodTable()

# What v3 keeps of a transcript unless told otherwise.
_V3_MAX_LINES: Final = 400
_MAX_CANDIDATES: Final = 10
_REVISIONS: Final = "sessions have no revisions here; use expectedSessionId"


class _Absent:
    """Of a field that null takes away, and that was not given at all."""


_ABSENT: Final[Any] = _Absent()
_NULLABLE: Final = {"nullable": True}


@params
class SessionsPatchParams:
    """`sessions.patch` of both generations. What is absent stays as it is."""

    key: NonEmptyStr
    agent_id: NonEmptyStr | None = None
    expected_session_id: NonEmptyStr | None = None
    expected_lifecycle_revision: NonEmptyStr | None = None
    expected_permission_mode: object = attrs.field(default=None, metadata=_NULLABLE)
    expected_tool_overrides: object = attrs.field(default=None, metadata=_NULLABLE)
    expected_marked_unread_at: float | None = attrs.field(default=_ABSENT, metadata=_NULLABLE)
    label: NonEmptyStr | None = attrs.field(default=_ABSENT, metadata=_NULLABLE)
    archived: bool | None = attrs.field(default=_ABSENT, metadata=_NULLABLE)
    pinned: bool | None = attrs.field(default=_ABSENT, metadata=_NULLABLE)
    unread: bool | None = attrs.field(default=_ABSENT, metadata=_NULLABLE)
    model: NonEmptyStr | None = attrs.field(default=_ABSENT, metadata=_NULLABLE)
    thinking_level: NonEmptyStr | None = attrs.field(default=_ABSENT, metadata=_NULLABLE)
    verbose_level: NonEmptyStr | None = attrs.field(default=_ABSENT, metadata=_NULLABLE)
    reasoning_level: NonEmptyStr | None = attrs.field(default=_ABSENT, metadata=_NULLABLE)
    response_usage: NonEmptyStr | None = attrs.field(default=_ABSENT, metadata=_NULLABLE)
    send_policy: NonEmptyStr | None = attrs.field(default=_ABSENT, metadata=_NULLABLE)
    group_activation: NonEmptyStr | None = attrs.field(default=_ABSENT, metadata=_NULLABLE)
    icon: object = _ABSENT
    color: object = _ABSENT
    category: object = _ABSENT
    board_face: object = _ABSENT
    status_note: object = _ABSENT
    attention: object = _ABSENT
    ttl_minutes: object = _ABSENT
    context_window: object = _ABSENT
    fast_mode: object = _ABSENT
    tool_overrides: object = _ABSENT
    trace_level: object = _ABSENT
    elevated_level: object = _ABSENT
    exec_host: object = _ABSENT
    exec_security: object = _ABSENT
    exec_ask: object = _ABSENT
    exec_node: object = _ABSENT
    permission_mode: object = _ABSENT
    spawned_by: object = _ABSENT
    spawn_depth: object = _ABSENT
    completion_owner_session_key: object = _ABSENT
    inherited_tool_policy_version: object = _ABSENT
    inherited_tool_allow: object = _ABSENT
    inherited_tool_deny: object = _ABSENT

    def changes(self) -> dict[str, Any]:
        """What is to be chosen, by wire name; None is to be taken away."""
        return {
            field.key: value
            for field in wire_fields(SessionsPatchParams)
            if field.name not in _ADDRESSES and (value := getattr(self, field.name)) is not _ABSENT
        }


# Which session is meant, and as it was when it was read.
_ADDRESSES: Final = frozenset(
    {
        *("key", "agent_id", "expected_session_id", "expected_lifecycle_revision"),
        *("expected_permission_mode", "expected_tool_overrides", "expected_marked_unread_at"),
    }
)


@params
class SessionsResetParams:
    """`sessions.reset`. Why it is done makes no difference."""

    key: NonEmptyStr
    agent_id: NonEmptyStr | None = None
    reason: Literal["new", "reset"] = "reset"


@params
class SessionsDeleteParams:
    """`sessions.delete`. There are no hooks to tell (`emitLifecycleHooks`)."""

    key: NonEmptyStr
    agent_id: NonEmptyStr | None = None
    delete_transcript: bool = True
    expected_session_id: NonEmptyStr | None = None
    expected_lifecycle_revision: NonEmptyStr | None = None
    expected_session_updated_at: float | None = attrs.field(default=None, metadata={"minimum": 0})
    emit_lifecycle_hooks: bool = False
    archived_only: bool = False


@params
class SessionsCompactParams:
    """`sessions.compact`."""

    key: NonEmptyStr
    agent_id: NonEmptyStr | None = None
    max_lines: int | None = attrs.field(default=None, metadata={"minimum": 1})


@params
class SessionsResolveParams:
    """`sessions.resolve`: one of the first four."""

    key: NonEmptyStr | None = None
    session_id: NonEmptyStr | None = None
    label: NonEmptyStr | None = attrs.field(default=None, metadata={"max_length": 512})
    short_id: NonEmptyStr | None = None
    slug_hint: NonEmptyStr | None = None
    agent_id: NonEmptyStr | None = None
    spawned_by: NonEmptyStr | None = None
    include_global: bool = False
    include_unknown: bool = False
    allow_missing: bool = False


@params
class SessionsPreviewParams:
    """`sessions.preview`."""

    keys: tuple[NonEmptyStr, ...] = attrs.field(metadata={"min_items": 1})
    limit: int = attrs.field(default=12, metadata={"minimum": 1, "maximum": 1000})
    max_chars: int = attrs.field(default=240, metadata={"minimum": 20})


@SESSION_ADMIN.add("sessions.patch", scope=ADMIN, params=SessionsPatchParams)
async def sessions_patch(call: Call, params: SessionsPatchParams) -> object:
    """Choose something for a session, or take a choice away."""
    _refuse_revision(params.expected_lifecycle_revision)
    if params.expected_permission_mode is not None or params.expected_tool_overrides is not None:
        raise invalid_request("no session has a permissionMode or toolOverrides here; null is expected")
    expected = Expected(session_id=params.expected_session_id)
    if params.expected_marked_unread_at is not _ABSENT:
        expected = attrs.evolve(expected, marked_unread_at_ms=(params.expected_marked_unread_at,))
    generation = call.caller.wire_generation
    session = await call.services.sessions.admin.patch(
        params.key, params.changes(), agent_id=params.agent_id, expected=expected, generation=generation
    )
    return {
        "ok": True,
        "path": str(call.services.loaded.paths.database),
        **_told(call, session),
        "resolved": _resolved(call, session),
    }


@SESSION_ADMIN.add("sessions.reset", scope=ADMIN, params=SessionsResetParams)
async def sessions_reset(call: Call, params: SessionsResetParams) -> object:
    """Begin a new conversation in a session; what is under way is stopped."""
    session = await call.services.sessions.admin.reset(params.key, agent_id=params.agent_id)
    told = {"ok": True, **_told(call, session)}
    told["entry"] |= {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0, "totalTokensFresh": True}
    return told | ({"resolved": _resolved(call, session)} if call.caller.wire_generation >= V4 else {})


@SESSION_ADMIN.add("sessions.delete", scope=ADMIN, params=SessionsDeleteParams)
async def sessions_delete(call: Call, params: SessionsDeleteParams) -> object:
    """Remove a session with everything that was said in it; nothing of it is archived."""
    _refuse_revision(params.expected_lifecycle_revision)
    if not params.delete_transcript:
        raise invalid_request(
            "deleteTranscript false cannot be kept: what was said is stored with its session;"
            " sessions.patch with archived true puts a session away"
        )
    deleted = await call.services.sessions.admin.delete(
        params.key,
        agent_id=params.agent_id,
        expected=Expected(
            session_id=params.expected_session_id,
            updated_at_ms=params.expected_session_updated_at,
            archived=True if params.archived_only else None,
        ),
    )
    key = call.services.sessions.canonical(params.key, params.agent_id)
    return {"ok": True, "key": key, "deleted": deleted, "archived": []}


@SESSION_ADMIN.add("sessions.compact", scope=ADMIN, params=SessionsCompactParams)
async def sessions_compact(call: Call, params: SessionsCompactParams) -> object:
    """Keep the last messages, or, in v4 and without a number, have the conversation summed up."""
    max_lines = params.max_lines
    if max_lines is None and call.caller.wire_generation < V4:
        max_lines = _V3_MAX_LINES
    done = await call.services.sessions.admin.compact(params.key, max_lines, agent_id=params.agent_id)
    told: dict[str, object] = {
        "ok": not done.failed,
        "key": call.services.sessions.canonical(params.key, params.agent_id),
        "compacted": done.compacted,
    }
    if done.kept is not None:
        told["kept"] = done.kept
    return told | ({"reason": done.reason} if done.reason is not None else {})


@SESSION_ADMIN.add("sessions.resolve", scope=READ, params=SessionsResolveParams)
async def sessions_resolve(call: Call, params: SessionsResolveParams) -> object:
    """The key of a session that is named in another way."""
    reference = Reference(**{field.name: getattr(params, field.name) for field in attrs.fields(Reference)})
    found = await call.services.sessions.finder.find(reference)
    if len(found) == 1:
        return {"ok": True, **_candidate(call, found[0])}
    if call.caller.wire_generation >= V4:
        if found:
            return {
                "ok": False,
                "candidates": [_candidate(call, session) for session in found[:_MAX_CANDIDATES]],
            }
        if params.allow_missing:
            return {"ok": False}
    raise invalid_request(f"No session found: {reference.text}")


@SESSION_ADMIN.add("sessions.preview", scope=READ, params=SessionsPreviewParams)
async def sessions_preview(call: Call, params: SessionsPreviewParams) -> object:
    """The last words of some sessions."""
    previews = await call.services.sessions.finder.preview(params.keys, params.limit, params.max_chars)
    return {"ts": call.services.now_ms(), "previews": previews}


def _refuse_revision(revision: str | None) -> None:
    if revision is not None:
        raise invalid_request(f"expectedLifecycleRevision cannot be kept: {_REVISIONS}")


def _told(call: Call, session: SessionRecord) -> dict[str, Any]:
    return {"key": session.key, "entry": entry(session, _chosen(call, session))}


def _chosen(call: Call, session: SessionRecord) -> Chosen:
    return call.services.sessions.chosen(session.key, session)


def _resolved(call: Call, session: SessionRecord) -> Mapping[str, object]:
    chosen = _chosen(call, session)
    resolved: dict[str, object] = {"modelProvider": chosen.provider, "model": chosen.model}
    if call.caller.wire_generation < V4:
        return resolved
    level = session.settings.get("thinkingLevel", chosen.level)
    return resolved | {"thinkingLevel": level, "thinkingLevels": chosen.thinking()["thinkingLevels"]}


def _candidate(call: Call, session: SessionRecord) -> dict[str, object]:
    if call.caller.wire_generation < V4:
        return {"key": session.key}
    agent_id = call.services.agents.of_session(session.key)
    named = {"displayName": session.label} if session.label is not None else {}
    return {"key": session.key, "agentId": agent_id, **named}
