"""The chat: send, history, abort. The work is the sessions floor's; here are the shapes of the wire."""

from collections.abc import Mapping
from typing import Final

import attrs

from openclawd.auth.scopes import READ, WRITE
from openclawd.methods.method import Call, MethodTable
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import invalid_request
from openclawd.sessions.registry import Send

# What JSON numbers carry exactly (RFC 8259, 6); sessions wait a day at most, whatever a client asks for.
MAX_TIMEOUT_MS: Final = 2**53

CHAT = MethodTable()


@attrs.frozen
class ChatSendParams:
    """`chat.send`. The idempotency key becomes the run id; `thinking` and `deliver` change nothing yet."""

    session_key: NonEmptyStr
    message: str
    idempotency_key: NonEmptyStr
    thinking: str | None = None
    deliver: bool | None = None
    attachments: tuple[Mapping[str, object], ...] = ()
    timeout_ms: int | None = attrs.field(default=None, metadata={"minimum": 0, "maximum": MAX_TIMEOUT_MS})


@attrs.frozen
class ChatHistoryParams:
    """`chat.history`: the last `limit` messages."""

    session_key: NonEmptyStr
    limit: int = attrs.field(default=200, metadata={"minimum": 1, "maximum": 1000})


@attrs.frozen
class ChatAbortParams:
    """`chat.abort`: one run, or every run of the session."""

    session_key: NonEmptyStr
    run_id: NonEmptyStr | None = None


@CHAT.add("chat.send", scope=WRITE, params=ChatSendParams)
async def chat_send(call: Call, params: ChatSendParams) -> object:
    """Accept a message: it is on disk when this answers."""
    agents = call.services.agents
    if agents.find(agent_id := agents.of_session(params.session_key)) is None:
        raise invalid_request(f'unknown agent id "{agent_id}"')
    return await call.services.sessions.send(
        Send(
            session_key=params.session_key,
            message=params.message,
            run_id=params.idempotency_key,
            attachments=params.attachments,
            timeout_ms=params.timeout_ms,
        )
    )


@CHAT.add("chat.history", scope=READ, params=ChatHistoryParams)
async def chat_history(call: Call, params: ChatHistoryParams) -> object:
    """The conversation, oldest first, and what is under way in it."""
    return await call.services.sessions.history(params.session_key, params.limit)


@CHAT.add("chat.abort", scope=WRITE, params=ChatAbortParams)
async def chat_abort(call: Call, params: ChatAbortParams) -> object:
    """Stop answers that are under way or waiting; what was said of them is kept."""
    run_ids = await call.services.sessions.abort(params.session_key, params.run_id, origin="rpc")
    return {"ok": True, "aborted": bool(run_ids), "runIds": run_ids}
