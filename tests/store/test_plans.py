"""Whatever a conversation or a list is read for, no table that grows for ever is read from end to end."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from openclawd.store.conversations import Conversations
from openclawd.store.database import open_database
from openclawd.store.records import RunKind, Submission
from openclawd.store.runs import RunQueue

# As a query names them; the index of what is unfinished is small, whatever is read of it.
WHOLE = re.compile(r"SCAN (TABLE )?(messages|m|runs|r|usage|attachments)\b")

Reading = Callable[[Conversations], Awaitable[object]]

READINGS: dict[str, Reading] = {
    "transcript": lambda store: store.transcript("key", 10, offset=5),
    "context": lambda store: store.context("id", 7, 1000, len),
    "find": lambda store: store.messages.find("key", "1"),
    "since": lambda store: store.messages.since("key", 3, 10),
    "inputs": lambda store: store.messages.inputs("key", ["run-1"]),
    "attachment": lambda store: store.attachment("id", "file"),
    "row": lambda store: store.directory.one("key"),
    "page": lambda store: store.directory.page(lambda _: True, with_last=True),
    "conversation costs": lambda store: store.spending.conversation("id"),
    "first": lambda store: store.spending.first_ms(),
}


@pytest.mark.parametrize("name", READINGS)
async def test_a_reading_finds_its_rows_by_an_index(tmp_path: Path, name: str) -> None:
    asked: list[str] = []
    async with open_database(tmp_path / "state.sqlite3") as database:
        message = {"role": "user", "content": [], "timestamp": 1}
        await RunQueue(database).accept(Submission("run-1", "key", RunKind.TURN, 1, "id", message))
        await database.read(lambda connection: connection.set_trace_callback(asked.append))
        await READINGS[name](Conversations(database))
        await database.read(lambda connection: connection.set_trace_callback(None))
        queries = [query for query in asked if query.startswith("SELECT")]
        plans = await database.read(
            lambda connection: [
                row[3] for query in queries for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")
            ]
        )
    assert queries
    assert plans
    assert [plan for plan in plans if WHOLE.search(plan) and "runs_unfinished" not in plan] == []


async def test_a_long_conversation_is_counted_without_its_bodies(tmp_path: Path) -> None:
    async with open_database(tmp_path / "state.sqlite3") as database:
        ((*_, plan),) = await database.read(
            lambda connection: connection.execute(
                "EXPLAIN QUERY PLAN SELECT COUNT(*), COALESCE(MAX(id), 0) FROM messages"
                " WHERE session_id = 'id' AND shown = 1"
            ).fetchall()
        )
    assert "messages_shown" in plan
