"""A tool call without a result gets one when its run is put back or ends: that nobody knows the outcome."""

import sqlite3
from pathlib import Path
from typing import Any

import orjson
import pytest

from openclawd.sessions.prompt import build_messages
from openclawd.store.conversations import Conversations
from openclawd.store.database import Database, open_database
from openclawd.store.records import Ending, RunKind, RunRecord, RunState, Submission
from openclawd.store.runs import RunQueue
from openclawd.store.tool_calls import UNKNOWN_OUTCOME

KEY = "agent:main:main"
NOW_MS = 5


def calling(*calls: tuple[str, str]) -> dict[str, Any]:
    """What a model says when it wants tools to be called: (id, tool)."""
    parts = [{"type": "toolCall", "id": id_, "name": name, "arguments": {"at": 1}} for id_, name in calls]
    content = [{"type": "text", "text": "let me see"}, *parts]
    return {"role": "assistant", "content": content, "stopReason": "toolUse", "timestamp": 2}


def result(call_id: str, name: str) -> dict[str, Any]:
    """What a tool answered."""
    content = [{"type": "text", "text": "sunny"}]
    return {
        "role": "toolResult",
        "toolCallId": call_id,
        "toolName": name,
        "content": content,
        "isError": False,
        "timestamp": 3,
    }


async def interrupted(database: Database, *said: dict[str, Any]) -> RunRecord:
    """A run that was claimed, and in which this was said."""
    queue = RunQueue(database)
    question = {"role": "user", "content": [{"type": "text", "text": "weather?"}], "timestamp": 1}
    await queue.accept(Submission("run-1", KEY, RunKind.TURN, 1, "s-1", question))
    run = await queue.claim(KEY, 2)
    assert run is not None

    def job(connection: sqlite3.Connection) -> None:
        for message in said:
            connection.execute(
                "INSERT INTO messages (session_id, run_seq, role, shown, body) VALUES (?, ?, ?, 1, ?)",
                (run.session_id, run.seq, message["role"], orjson.dumps(message).decode()),
            )

    await database.write(job)
    return run


async def said(database: Database) -> list[dict[str, Any]]:
    """The conversation but for the question."""
    return [stored.body for stored in (await Conversations(database).transcript(KEY, 100)).messages][1:]


def settled(message: dict[str, Any]) -> tuple[str, str, bool]:
    """The call, the tool, and whether the result says that the outcome is unknown."""
    assert message["role"] == "toolResult"
    return message["toolCallId"], message["toolName"], message["content"][0]["text"] == UNKNOWN_OUTCOME


@pytest.mark.parametrize("planned", [True, False], ids=["restart", "crash"])
async def test_a_call_without_a_result_is_settled_once_however_often_the_run_is_put_back(
    tmp_path: Path, *, planned: bool
) -> None:
    path = tmp_path / "state.db"
    async with open_database(path) as database:
        queue = RunQueue(database)
        await interrupted(database, calling(("c1", "weather"), ("c2", "clock")), result("c1", "weather"))
        for _ in range(3):
            if planned:
                await queue.requeue("run-1", NOW_MS)
            else:
                await queue.recover(99, 99, NOW_MS)
            await queue.claim(KEY, NOW_MS)
        call, answered, unknown = await said(database)
    assert call["role"] == "assistant"
    assert settled(answered) == ("c1", "weather", False)
    assert settled(unknown) == ("c2", "clock", True)
    assert unknown["isError"] is True


@pytest.mark.parametrize("state", [RunState.ABORTED, RunState.ERROR, RunState.DONE])
async def test_a_run_that_ends_leaves_no_call_open(tmp_path: Path, state: RunState) -> None:
    async with open_database(tmp_path / "state.db") as database:
        await interrupted(database, calling(("c1", "weather")))
        await RunQueue(database).finish("run-1", Ending(state), NOW_MS)
        assert [settled(message) for message in (await said(database))[1:]] == [("c1", "weather", True)]


async def test_a_run_whose_calls_all_have_results_gets_no_more(tmp_path: Path) -> None:
    async with open_database(tmp_path / "state.db") as database:
        await interrupted(database, calling(("c1", "weather")), result("c1", "weather"))
        await RunQueue(database).requeue("run-1", NOW_MS)
        assert len(await said(database)) == 2


async def test_the_model_is_told_in_words_what_it_called_and_that_nobody_knows_the_outcome(
    tmp_path: Path,
) -> None:
    async with open_database(tmp_path / "state.db") as database:
        run = await interrupted(database, calling(("c1", "weather")))
        await RunQueue(database).requeue("run-1", NOW_MS)
        context = await Conversations(database).context(run.session_id, run.seq, 9_000, lambda _: 1)
    system, question, call, outcome = build_messages("be brief", context)
    assert (system.role, question.text) == ("system", "weather?")
    assert (call.role, call.text) == (
        "assistant",
        'let me see\n\n(I called the tool weather with {"at":1})',
    )
    assert outcome.role == "user"
    assert UNKNOWN_OUTCOME in outcome.text
