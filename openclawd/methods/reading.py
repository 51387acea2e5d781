"""Reading conversations: `chat.history` and what goes with it."""

import binascii
from typing import Any, Final

import attrs

from openclawd.auth.scopes import READ
from openclawd.methods.method import Call, MethodTable
from openclawd.methods.params import params
from openclawd.protocol.codec import NonEmptyStr, PositiveInt
from openclawd.protocol.limits import MAX_EXACT_INT
from openclawd.sessions.history import MAX_TEXT_CHARS
from openclawd.sessions.registry import HistoryQuery

# v4's limits.
_MAX_HISTORY_CHARS: Final = 500_000
_MAX_MESSAGE_CHARS: Final = 2_000_000
_MAX_RUN_IDS: Final = 1000

READING: Final = MethodTable()


@params
class ChatHistoryParams:
    """`chat.history`: the newest `limit` messages but for the newest `offset`, or those around one.

    With `cursor`, what came since. `pending_before` pages through pending inputs, of which there are none.
    """

    session_key: NonEmptyStr
    agent_id: NonEmptyStr | None = None
    cursor: str | None = None
    limit: int = attrs.field(default=200, metadata={"minimum": 1, "maximum": 1000})
    offset: int = attrs.field(default=0, metadata={"minimum": 0, "maximum": MAX_EXACT_INT})
    pending_before: PositiveInt | None = None
    input_run_ids: tuple[NonEmptyStr, ...] = attrs.field(default=(), metadata={"max_items": _MAX_RUN_IDS})
    message_id: NonEmptyStr | None = None
    session_id: NonEmptyStr | None = None
    max_chars: int = attrs.field(
        default=MAX_TEXT_CHARS, metadata={"minimum": 1, "maximum": _MAX_HISTORY_CHARS}
    )

    max_bytes: PositiveInt | None = None

    def query(self) -> HistoryQuery:
        """What to read."""
        return HistoryQuery(
            session_key=self.session_key,
            agent_id=self.agent_id,
            limit=self.limit,
            offset=self.offset,
            max_chars=self.max_chars,
            max_bytes=self.max_bytes,
            message_id=self.message_id,
            session_id=self.session_id,
            cursor=self.cursor,
            input_run_ids=self.input_run_ids,
        )


@params
class ChatMessageGetParams:
    """`chat.message.get`: one message, by the `id` of its `__openclaw`."""

    session_key: NonEmptyStr
    message_id: NonEmptyStr
    agent_id: NonEmptyStr | None = None
    max_chars: int = attrs.field(
        default=_MAX_MESSAGE_CHARS, metadata={"minimum": 1, "maximum": _MAX_MESSAGE_CHARS}
    )


@params
class ChatAttachmentGetParams:
    """`chat.attachment.get` (ours): a file, by the `attachmentId` in its message."""

    session_key: NonEmptyStr
    attachment_id: NonEmptyStr


@READING.add("chat.history", scope=READ, params=ChatHistoryParams)
async def chat_history(call: Call, params: ChatHistoryParams) -> dict[str, Any]:
    """The conversation, oldest first, and what is under way in it."""
    return await call.services.sessions.reading.history(params.query(), call.caller.wire_generation)


@READING.add("chat.message.get", scope=READ, params=ChatMessageGetParams)
async def chat_message_get(call: Call, params: ChatMessageGetParams) -> object:
    """One message, whole."""
    return await call.services.sessions.reading.message(
        params.session_key, params.agent_id, params.message_id, params.max_chars
    )


@READING.add("chat.attachment.get", scope=READ, params=ChatAttachmentGetParams)
async def chat_attachment_get(call: Call, params: ChatAttachmentGetParams) -> object:
    """A file that came with a message."""
    file = await call.services.sessions.reading.attachment(params.session_key, params.attachment_id)
    name = {} if file.file_name is None else {"fileName": file.file_name}
    return {
        "mimeType": file.media_type,
        **name,
        "bytes": len(file.data),
        "content": binascii.b2a_base64(file.data, newline=False).decode(),
    }
