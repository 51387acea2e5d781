"""Tool calls whose result nobody wrote down, because the process ended while the tool was at work.

A model's provider refuses a conversation in which a call has no result, for ever. Whether the tool did its
work is not known and it is not called again, so the call gets a result that says exactly that, once.
"""

import sqlite3
from collections.abc import Iterator
from typing import Final

import orjson

from openclawd.store.appending import append
from openclawd.store.records import Message, RunRecord

UNKNOWN_OUTCOME: Final = (
    "Interrupted, outcome unknown: the gateway stopped while this tool was at work, and it was not called"
    " again. It may or may not have done its work; find out before you repeat it."
)


def settle_tool_calls(connection: sqlite3.Connection, run: RunRecord, now_ms: int) -> int:
    """Write a result for every call of the run that has none (protocol.md 7.4); how many there were."""
    rows = connection.execute(
        "SELECT body FROM messages WHERE session_id = ? AND run_seq = ?"
        " AND role IN ('assistant', 'toolResult') ORDER BY id",
        (run.session_id, run.seq),
    ).fetchall()
    unsettled: dict[str, str] = {}
    for (body,) in rows:
        message = orjson.loads(body)
        unsettled.update(_calls(message))
        unsettled.pop(message.get("toolCallId", ""), None)
    for call_id, name in unsettled.items():
        append(connection, run, _result(call_id, name, now_ms), shown=True)
    return len(unsettled)


def _calls(message: Message) -> Iterator[tuple[str, str]]:
    """The id and the tool of each call in a message."""
    for part in message["content"]:
        if part["type"] == "toolCall":
            yield part["id"], part["name"]


def _result(call_id: str, name: str, now_ms: int) -> Message:
    return {
        "role": "toolResult",
        "toolCallId": call_id,
        "toolName": name,
        "content": [{"type": "text", "text": UNKNOWN_OUTCOME}],
        "isError": True,
        "timestamp": now_ms,
    }
