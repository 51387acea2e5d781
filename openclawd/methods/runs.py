"""Runs for programs: `agent` asks and waits for the answer, `agent.wait` only waits."""

import math
from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

from openclawd.auth.scopes import WRITE
from openclawd.methods.method import Call, MethodTable
from openclawd.methods.params import params
from openclawd.methods.refused import (
    NO_CHANNELS,
    NO_TOOLS,
    NO_WORKSPACES,
    Provenance,
    refuse,
    refuse_provenance,
)
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import ErrorCode, ErrorShape, RequestError, invalid_request, unavailable
from openclawd.protocol.limits import MAX_EXACT_INT
from openclawd.protocol.versions import V4
from openclawd.sessions.registry import MAX_TIMEOUT_MS, Commands, Send
from openclawd.sessions.transcript import text_of
from openclawd.store.records import RunRecord, RunState, StoredMessage

_MAX_TIMEOUT_S: Final = MAX_EXACT_INT // 1000
_WAIT_MS: Final = 30_000

RUNS: Final = MethodTable()


@params
class AgentParams:
    """`agent` of both generations. The idempotency key becomes the run id; `timeout` is in seconds.

    Where an answer would go changes nothing as long as it need not go there: `reply_to`, `channel`,
    `reply_channel`, `account_id`, `reply_account_id`, `thread_id`, `group_*`. Neither do `lane` (each session
    is one), what concerns tools and files that agents do not have (`cleanup_bundle_mcp_on_run_end`,
    `bootstrap_context_mode`, `bootstrap_context_run_kind`, `disable_message_tool`,
    `force_restart_safe_tools`, `force_code_mode_tools`) and `voice_wake_trigger`.
    """

    message: NonEmptyStr
    idempotency_key: NonEmptyStr
    agent_id: NonEmptyStr | None = None
    provider: str | None = None
    model: str | None = None
    to: str | None = None
    reply_to: str | None = None
    session_id: str | None = None
    session_key: str | None = None
    expected_existing_session_id: NonEmptyStr | None = None
    thinking: str | None = None
    deliver: bool = False
    attachments: tuple[Mapping[str, object], ...] = ()
    channel: str | None = None
    reply_channel: str | None = None
    account_id: str | None = None
    reply_account_id: str | None = None
    thread_id: str | None = None
    group_id: str | None = None
    group_channel: str | None = None
    group_space: str | None = None
    timeout: int | None = attrs.field(default=None, metadata={"minimum": 0, "maximum": _MAX_TIMEOUT_S})
    best_effort_deliver: bool = False
    lane: str | None = None
    cwd: NonEmptyStr | None = None
    cleanup_bundle_mcp_on_run_end: bool = False
    model_run: bool = False
    prompt_mode: Literal["full", "minimal", "none"] = "full"
    extra_system_prompt: str | None = None
    bootstrap_context_mode: Literal["full", "lightweight"] | None = None
    bootstrap_context_run_kind: Literal["default", "heartbeat", "cron"] | None = None
    acp_turn_source: Literal["manual_spawn"] | None = None
    internal_runtime_handoff_id: NonEmptyStr | None = None
    internal_execution_identity_retry: bool = False
    internal_execution_identity_recovery_attempt: int | None = attrs.field(
        default=None, metadata={"minimum": 1}
    )
    exec_approval_followup_expected_session_id: NonEmptyStr | None = None
    internal_events: tuple[object, ...] = ()
    input_provenance: Provenance | None = None
    suppress_prompt_persistence: bool = False
    session_effects: Literal["visible", "internal"] = "visible"
    source_reply_delivery_mode: Literal["automatic", "message_tool_only"] = "automatic"
    disable_message_tool: bool = False
    swarm_collector: bool = False
    swarm_output_schema: object = None
    force_restart_safe_tools: bool = False
    force_code_mode_tools: bool = False
    voice_wake_trigger: str | None = None
    label: NonEmptyStr | None = attrs.field(default=None, metadata={"max_length": 512})
    spawned_by: str | None = None


_INTERNAL: Final = "it is a word between parts of a stock gateway"
_REFUSED: Final = {
    "cwd": NO_WORKSPACES,
    "model_run": "a run belongs to a session here, and has its prompt",
    "acp_turn_source": _INTERNAL,
    "internal_runtime_handoff_id": _INTERNAL,
    "internal_execution_identity_retry": _INTERNAL,
    "internal_execution_identity_recovery_attempt": _INTERNAL,
    "exec_approval_followup_expected_session_id": _INTERNAL,
    "internal_events": _INTERNAL,
    "suppress_prompt_persistence": "what is said is stored",
    "swarm_collector": NO_TOOLS,
    "swarm_output_schema": NO_TOOLS,
    "label": "sessions.patch names a session",
    "spawned_by": "sessions do not start sessions here",
}


@params
class AgentWaitParams:
    """`agent.wait`."""

    run_id: NonEmptyStr
    timeout_ms: int = attrs.field(default=_WAIT_MS, metadata={"minimum": 0})


@RUNS.add("agent", scope=WRITE, params=AgentParams)
async def agent(call: Call, params: AgentParams) -> object:
    """Accept a message, say so, and answer again when the run has ended.

    The same key again gets the same two answers, whatever of them is still to come.
    """
    _check(params)
    sessions = call.services.sessions
    session_key = params.session_key or await _session_of(call, params)
    sent = await sessions.writing.accept(
        Send(
            session_key=session_key,
            message=params.message,
            run_id=params.idempotency_key,
            agent_id=params.agent_id,
            attachments=params.attachments,
            timeout_ms=None if params.timeout is None else params.timeout * 1000,
            thinking=params.thinking,
            model=f"{params.provider}/{params.model}" if params.provider else params.model,
            extra_system_prompt=params.extra_system_prompt,
            commands=Commands.RESETS,
            expected_session_id=params.expected_existing_session_id or params.session_id or None,
            may_begin=params.expected_existing_session_id is None,
        )
    )
    run = sent.run
    if run is None:
        raise AssertionError("a message to an agent is no stop text")
    accepted: dict[str, object] = {
        "runId": run.run_id,
        "status": "accepted",
        "acceptedAt": run.accepted_at_ms,
    }
    if call.caller.wire_generation >= V4:
        accepted |= {"sessionKey": run.session_key, "agentId": sessions.agent_of(run.session_key)}
    call.respond(accepted)
    ended = await sessions.wait(run.run_id, math.inf)
    if ended is None:
        raise unavailable("this run is no longer known")
    return _result(ended, await sessions.answer(ended))


@RUNS.add("agent.wait", scope=WRITE, params=AgentWaitParams)
async def agent_wait(call: Call, params: AgentWaitParams) -> object:
    """How a run ended, or `timeout` when it has not, or is not known, or was stopped."""
    run = await call.services.sessions.wait(params.run_id, min(params.timeout_ms, MAX_TIMEOUT_MS) / 1000)
    if run is None:
        return {"runId": params.run_id, "status": "timeout"}
    told = {
        "runId": run.run_id,
        "status": _status(run) if run.finished else "timeout",
        "startedAt": run.started_at_ms,
        "endedAt": run.ended_at_ms,
        "error": run.error,
    }
    return {name: value for name, value in told.items() if value is not None}


def _check(params: AgentParams) -> None:
    refuse(params, _REFUSED)
    refuse_provenance("inputProvenance", params.input_provenance)
    if params.deliver and not params.best_effort_deliver:
        raise invalid_request(f"deliver cannot be kept: {NO_CHANNELS}")
    if params.provider and not params.model:
        raise invalid_request("provider needs a model beside it")
    if params.prompt_mode != "full":
        raise invalid_request("promptMode cannot be kept: there is one prompt, the full one")
    if params.session_effects != "visible":
        raise invalid_request("sessionEffects cannot be kept: what is said is part of its session")
    if params.source_reply_delivery_mode != "automatic":
        raise invalid_request(f"sourceReplyDeliveryMode cannot be kept: {NO_TOOLS}")


async def _session_of(call: Call, params: AgentParams) -> str:
    """The session of a message that names none: the one of its `sessionId`, else the agent's main one.

    A `sessionId` that nobody has begins a session of its own, under the key that stock gives it.
    Whoever is named in `to` is a contact of a direct chat, and those share the main session.
    """
    sessions = call.services.sessions
    if params.session_id:
        # The message may have begun another conversation itself, or have been followed by one that did.
        known = await sessions.run(params.idempotency_key)
        if known is not None:
            return known.session_key
        return await sessions.key_of(params.session_id) or f"explicit:{params.session_id}"
    return sessions.main_key(params.agent_id)


def _status(run: RunRecord) -> str:
    """Stock's word: a run that was stopped counts as one that did not come to its end."""
    return {RunState.DONE: "ok", RunState.ERROR: "error"}.get(run.state, "timeout")


def _result(run: RunRecord, answer: StoredMessage | None) -> dict[str, object]:
    """The last answer of `agent`. Raises RequestError, with a payload, for a run that failed."""
    if run.state is RunState.ERROR:
        summary = run.error or "the run failed"
        failed = {"runId": run.run_id, "status": "error", "summary": summary}
        raise RequestError(ErrorShape(ErrorCode.UNAVAILABLE, summary), failed)
    body = answer.body if answer is not None else {"content": []}
    text = text_of(body)
    started_ms = run.accepted_at_ms if run.started_at_ms is None else run.started_at_ms
    aborted = run.state is RunState.ABORTED
    return {
        "runId": run.run_id,
        "status": _status(run),
        "summary": "aborted" if aborted else "completed",
        "result": {
            "payloads": [{"text": text, "mediaUrl": None}] if text else [],
            "meta": {
                "durationMs": (run.ended_at_ms or started_ms) - started_ms,
                "agentMeta": {"sessionId": run.session_id, **_answered_by(body)},
                "aborted": aborted,
            },
        },
    }


def _answered_by(body: dict[str, Any]) -> dict[str, object]:
    named: dict[str, object] = {name: body[name] for name in ("provider", "model") if name in body}
    usage = body.get("usage") or {}
    if usage.get("totalTokens"):
        counts = ("input", "output", "cacheRead", "cacheWrite")
        named["usage"] = {name: usage[name] for name in counts} | {"total": usage["totalTokens"]}
    return named
