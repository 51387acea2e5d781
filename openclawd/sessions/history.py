"""What clients read of a conversation (`chat.history`, protocol.md 7.4), in the form of either generation.

Messages are trimmed on the way out, never in the store. Every one carries `__openclaw {id, seq}`: `id` names
it for ever, `seq` grows along the transcript.
"""

import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
import orjson

from openclawd.protocol.limits import MAX_EXACT_INT
from openclawd.sessions.run import Run
from openclawd.sessions.settings import settings_of
from openclawd.sessions.transcript import text_content
from openclawd.store.records import Message, RunRecord, RunState, SessionRecord, StoredMessage, Transcript

# protocol.md 7.4: a longer text, thinking or arguments string is cut to this, and says so.
MAX_TEXT_CHARS: Final = 12_000
_CUT_MARK: Final = "\n...(truncated)..."
# protocol.md 7.4: a message that is still bigger is replaced by a placeholder.
MAX_MESSAGE_BYTES: Final = 128 * 1024
_TOO_LARGE: Final = "[chat.history omitted: message too large]"
# The longest form of a character in UTF-8: whoever asks for longer texts gets the messages they make.
_BYTES_PER_CHAR: Final = 4
# protocol.md 7.4: the whole answer stays below this, at the cost of the oldest messages.
MAX_HISTORY_BYTES: Final = 6 * 1024 * 1024
# What v3 clients have no use for in a history; v4's show what an answer cost.
LEFT_OUT_V3: Final = frozenset({"usage", "cost", "details"})
LEFT_OUT_V4: Final = frozenset({"details"})
_TEXTS: Final = ("text", "thinking", "partialJson", "arguments")


@attrs.frozen(eq=False, repr=False)
class HistoryQuery:
    """What to read: the newest `limit` messages but for the newest `offset`.

    Or those around `message_id`, or those written since `cursor` was given out.
    """

    session_key: str
    agent_id: str | None = None
    limit: int = 200
    offset: int = 0
    max_chars: int = MAX_TEXT_CHARS
    max_bytes: int | None = None
    """What the messages may weigh together, if less than `MAX_HISTORY_BYTES`."""
    message_id: str | None = None
    session_id: str | None = None
    cursor: str | None = None
    input_run_ids: Sequence[str] = ()


@attrs.frozen(eq=False, repr=False)
class Page:
    """A part of a conversation and what is known about its session, read at one moment."""

    query: HistoryQuery
    offset: int
    transcript: Transcript
    session: SessionRecord | None
    row: Mapping[str, Any]
    """As `sessions.list` has it; for a session that is not there yet, as much as can be said."""
    running: Mapping[str, Run]
    inputs: Mapping[str, int]
    """The runs of `input_run_ids` whose message is known, with its id."""
    now_ms: int


@attrs.frozen
class Cursor:
    """What a client has: all messages of a conversation up to one."""

    session_id: str
    last_id: int
    total: int

    def text(self) -> str:
        """The form in which clients keep it; they must not read it."""
        fields = [self.session_id, self.last_id, self.total]
        return binascii.b2a_base64(orjson.dumps(fields), newline=False).decode()

    @classmethod
    def read(cls, text: str) -> "Cursor | None":
        """The cursor of that form; None for what is none."""
        try:
            fields = orjson.loads(binascii.a2b_base64(text, strict_mode=True))
        except ValueError:
            return None
        if not isinstance(fields, list) or [type(field) for field in fields] != [str, int, int]:
            return None
        cursor = cls(*fields)
        return cursor if 0 <= cursor.last_id <= MAX_EXACT_INT else None


def history_v3(page: Page) -> dict[str, Any]:
    """The answer to a v3 client: stock's, and our `hasMore`, `totalMessages` and `activeRuns`."""
    messages = _shown(page.transcript.messages, page.query, LEFT_OUT_V3)
    return _head(page) | {"messages": messages} | _chosen(page) | _extent(page, messages) | _active(page)


def history_v4(page: Page) -> dict[str, Any]:
    """The answer to a v4 client. No input is ever pending: what is accepted is part of the transcript."""
    messages = _shown(page.transcript.messages, page.query, LEFT_OUT_V4)
    found = _head(page) | {"messages": messages, "pendingInputs": _NOTHING_PENDING}
    if page.transcript.session_id is not None:
        cursor = Cursor(page.transcript.session_id, page.transcript.last_id, page.transcript.total)
        found["deltaCursor"] = cursor.text()
    if page.query.input_run_ids:
        found["inputReceipts"] = _receipts(page.inputs, page.transcript.unfinished)
    found |= _extent(page, messages) | _chosen(page)
    return found | {"sessionInfo": session_info(page)} | _in_flight(page) | _active(page)


def delta_v4(page: Page, cursor: Cursor, newer: Sequence[StoredMessage]) -> dict[str, Any]:
    """What was written since `cursor`, or that the client has to read everything again.

    The client's part is still good if nothing was taken away from it: then it and `newer` are all there is.
    """
    total = page.transcript.total
    if page.transcript.session_id != cursor.session_id or cursor.total + len(newer) != total:
        return {"kind": "reset"}
    messages = _shown(newer, page.query, LEFT_OUT_V4)
    if len(messages) < len(newer):
        return {"kind": "reset"}
    last_id = max((stored.id for stored in newer), default=cursor.last_id)
    found: dict[str, Any] = {
        "kind": "delta",
        "messages": messages,
        "deltaCursor": Cursor(cursor.session_id, last_id, total).text(),
        "sessionInfo": session_info(page),
        "pendingInputs": _NOTHING_PENDING,
    }
    if page.query.input_run_ids:
        found["inputReceipts"] = _receipts(page.inputs, page.transcript.unfinished)
    return found | _in_flight(page)


def session_info(page: Page) -> dict[str, Any]:
    """The session's row, and what it does at this moment."""
    unfinished = page.transcript.unfinished
    return {
        **page.row,
        "snapshotAt": page.now_ms,
        "hasActiveRun": bool(unfinished),
        "activeRunIds": [run.run_id for run in unfinished],
        "activeLeafEntryId": str(page.transcript.last_id or "") or None,
    }


def numbered(stored: StoredMessage, max_chars: int, left_out: frozenset[str] = LEFT_OUT_V4) -> Message:
    """A message as clients get it: with its numbers, its texts no longer than that."""
    numbers: dict[str, Any] = {"id": str(stored.id), "seq": stored.seq}
    shown = {key: value for key, value in stored.body.items() if key not in left_out}
    shown["content"] = [_trimmed(part, max_chars) for part in stored.body["content"]]
    shown["__openclaw"] = numbers
    if len(orjson.dumps(shown)) > max(MAX_MESSAGE_BYTES, _BYTES_PER_CHAR * max_chars):
        shown["content"] = text_content(_TOO_LARGE)
        numbers |= {"truncated": True, "reason": "oversized"}
    return shown


def clipped(message: Message, max_chars: int) -> Message:
    """As much of a message as `numbered` needs to show it and to see what is longer."""
    parts = [
        {
            key: value[: max_chars + 1] if key in _TEXTS and isinstance(value, str) else value
            for key, value in part.items()
        }
        for part in message["content"]
    ]
    return message | {"content": parts}


def longest_text(message: Message) -> int:
    """How many characters the longest text of a message has."""
    return max((len(part[name]) for part in message["content"] for name in _TEXTS if name in part), default=0)


_NOTHING_PENDING: Final[Mapping[str, Any]] = {"items": [], "total": 0}


def _shown(stored: Iterable[StoredMessage], query: HistoryQuery, left_out: frozenset[str]) -> list[Message]:
    """The newest messages that fit into an answer, oldest first; the newest of all fits always."""
    room = min(query.max_bytes or MAX_HISTORY_BYTES, MAX_HISTORY_BYTES)
    kept: list[Message] = []
    size = 0
    for message in reversed([numbered(each, query.max_chars, left_out) for each in stored]):
        size += len(orjson.dumps(message)) + 1
        if size > room and kept:
            break
        kept.append(message)
    return kept[::-1]


def _trimmed(part: Mapping[str, Any], max_chars: int) -> dict[str, Any]:
    return {
        key: value[:max_chars] + _CUT_MARK
        if key in _TEXTS and isinstance(value, str) and len(value) > max_chars
        else value
        for key, value in part.items()
    }


def _head(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = {"sessionKey": page.query.session_key}
    if page.transcript.session_id is not None:
        found["sessionId"] = page.transcript.session_id
    return found


def _chosen(page: Page) -> dict[str, Any]:
    settings = settings_of(page.session)
    chosen: dict[str, Any] = {"thinkingLevel": settings.thinking_level or "off"}
    if settings.verbose_level is not None:
        chosen["verboseLevel"] = settings.verbose_level
    return chosen


def _extent(page: Page, messages: Sequence[Message]) -> dict[str, Any]:
    """How much of the conversation this is; `nextOffset` is where older messages begin."""
    total = page.transcript.total
    next_offset = page.offset + len(messages)
    extent: dict[str, Any] = {"hasMore": next_offset < total, "totalMessages": total}
    if next_offset < total:
        extent["nextOffset"] = next_offset
    if page.offset:
        extent["offset"] = page.offset
    return extent


def _active(page: Page) -> dict[str, Any]:
    unfinished = page.transcript.unfinished
    return {"activeRuns": [_active_run(run, page.running.get(run.run_id)) for run in unfinished]}


def _active_run(record: RunRecord, live: Run | None) -> dict[str, object]:
    if live is None:
        return {"runId": record.run_id, "state": "queued", "text": ""}
    return {
        "runId": record.run_id,
        "state": "running",
        "text": live.text,
        "startedAt": live.record.started_at_ms,
    }


def _in_flight(page: Page) -> dict[str, Any]:
    for run_id, run in page.running.items():
        return {"inFlightRun": {"runId": run_id, "text": run.text, "startedAt": run.record.started_at_ms}}
    return {}


def _receipts(inputs: Mapping[str, int], unfinished: Iterable[RunRecord]) -> list[dict[str, str]]:
    queued = {run.run_id for run in unfinished if run.state is RunState.QUEUED}
    return [
        {"runId": run_id, "state": "pending"}
        if run_id in queued
        else {"runId": run_id, "state": "consumed", "consumedByEventId": str(message_id)}
        for run_id, message_id in inputs.items()
    ]
