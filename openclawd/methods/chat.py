"""The chat: send, abort, inject. The work is the sessions floor's; here are the shapes of the wire."""

from collections.abc import Mapping
from typing import Final, Literal

import attrs

from openclawd.auth.scopes import ADMIN, WRITE
from openclawd.methods.method import Call, MethodTable
from openclawd.methods.params import params
from openclawd.methods.refused import NO_CHANNELS, NO_TOOLS, Provenance, refuse, refuse_provenance
from openclawd.methods.sender import sender_of
from openclawd.protocol.codec import NonEmptyStr, NonNegativeInt, PositiveInt
from openclawd.protocol.errors import invalid_request
from openclawd.protocol.limits import MAX_EXACT_INT
from openclawd.sessions.registry import Commands, Send

# Sessions wait a day at most, whatever a client asks for.
MAX_TIMEOUT_MS: Final = MAX_EXACT_INT
# What a client writes that has said nothing: an id is never empty.
_UNSAID: Final = NonEmptyStr("")

CHAT = MethodTable()


@attrs.frozen(eq=False, repr=False)
class GoalIntent:
    """v4's start of a goal."""

    kind: Literal["session-goal-start"]
    version: Literal[1]
    issued_at_ms: NonNegativeInt


@params
class ChatSendParams:
    """`chat.send` of both generations. The idempotency key becomes the run id.

    What changes nothing here: `deliver`, `originating*` (there are no channels), `fast_mode`,
    `fast_auto_on_seconds` (models have no such mode), and the queue modes but `interrupt` (every message
    waits for its turn).
    """

    session_key: NonEmptyStr
    message: str
    idempotency_key: NonEmptyStr
    agent_id: NonEmptyStr | None = None
    session_id: NonEmptyStr | None = None
    intent: GoalIntent | None = None
    thinking: str | None = None
    fast_mode: object = None
    fast_auto_on_seconds: PositiveInt | None = None
    queue_mode: Literal["steer", "followup", "collect", "interrupt"] | None = None
    deliver: bool | None = None
    originating_channel: str | None = None
    originating_to: str | None = None
    originating_account_id: str | None = None
    originating_thread_id: str | None = None
    reply_to_id: NonEmptyStr | None = None
    attachments: tuple[Mapping[str, object], ...] = ()
    tool_bindings: Mapping[str, object] | None = None
    timeout_ms: int | None = attrs.field(default=None, metadata={"minimum": 0, "maximum": MAX_TIMEOUT_MS})
    system_input_provenance: Provenance | None = None
    system_provenance_receipt: str | None = None
    suppress_command_interpretation: bool = False
    expected_leaf_entry_id: NonEmptyStr | None = attrs.field(default=_UNSAID, metadata={"nullable": True})
    expected_session_routing_contract: NonEmptyStr | None = None
    expected_permission_mode: object = attrs.field(default=None, metadata={"nullable": True})
    expected_tool_overrides: object = attrs.field(default=None, metadata={"nullable": True})


_REFUSED: Final = {
    "intent": "sessions have no goals here",
    "reply_to_id": "quote what you reply to in the message",
    "tool_bindings": NO_TOOLS,
    "system_provenance_receipt": "sessions do not write to sessions here",
    "expected_session_routing_contract": NO_CHANNELS,
    "expected_permission_mode": NO_TOOLS,
    "expected_tool_overrides": NO_TOOLS,
}


@params
class ChatAbortParams:
    """`chat.abort`: one run, or every run of the session; no run has side runs that could be preserved."""

    session_key: NonEmptyStr
    agent_id: NonEmptyStr | None = None
    run_id: NonEmptyStr | None = None
    preserve_side_runs: bool = False


@params
class ChatInjectParams:
    """`chat.inject`: words of the gateway, which no model reads."""

    session_key: NonEmptyStr
    message: NonEmptyStr
    agent_id: NonEmptyStr | None = None
    label: str | None = attrs.field(default=None, metadata={"max_length": 100})


@CHAT.add("chat.send", scope=WRITE, params=ChatSendParams)
async def chat_send(call: Call, params: ChatSendParams) -> object:
    """Accept a message: it is on disk when this answers."""
    refuse(params, _REFUSED)
    refuse_provenance("systemInputProvenance", params.system_input_provenance)
    if params.originating_channel not in {None, "webchat"}:
        raise invalid_request(f"originatingChannel cannot be kept: {NO_CHANNELS}")
    return await call.services.sessions.send(
        Send(
            session_key=params.session_key,
            message=params.message,
            run_id=params.idempotency_key,
            agent_id=params.agent_id,
            attachments=params.attachments,
            timeout_ms=params.timeout_ms,
            thinking=params.thinking,
            sender=sender_of(call.caller),
            commands=Commands.NONE if params.suppress_command_interpretation else Commands.ALL,
            expected_session_id=params.session_id,
            expected_last=params.expected_leaf_entry_id,
            interrupts=params.queue_mode == "interrupt",
        )
    )


@CHAT.add("chat.abort", scope=WRITE, params=ChatAbortParams)
async def chat_abort(call: Call, params: ChatAbortParams) -> object:
    """Stop answers that are under way or waiting; what was said of them is kept."""
    run_ids = await call.services.sessions.abort(
        params.session_key, params.run_id, agent_id=params.agent_id, origin="rpc"
    )
    return {"ok": True, "aborted": bool(run_ids), "runIds": run_ids}


@CHAT.add("chat.inject", scope=ADMIN, params=ChatInjectParams)
async def chat_inject(call: Call, params: ChatInjectParams) -> object:
    """Put a message into a conversation; it is on disk, and told, when this answers."""
    message_id = await call.services.sessions.writing.inject(
        params.session_key, params.agent_id, params.message, params.label
    )
    return {"ok": True, "messageId": message_id}
