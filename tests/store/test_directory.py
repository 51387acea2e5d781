"""Pages of sessions, as lists read them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openclawd.store.conversations import Conversations
from openclawd.store.database import Database, open_database
from openclawd.store.records import Ending, RunKind, RunState, Submission
from openclawd.store.runs import RunQueue

PRICED = {"input": 0.5, "output": 0.25, "cacheRead": 0.0, "cacheWrite": 0.0, "total": 0.75}


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "state.sqlite3") as opened:
        yield opened


async def turn(database: Database, run_id: str, cost: dict[str, float] | None = None) -> None:
    queue = RunQueue(database)
    message = {"role": "user", "content": [{"type": "text", "text": run_id}], "timestamp": 1}
    await queue.accept(Submission(run_id, "key", RunKind.TURN, 1, "id", message))
    await queue.claim("key", 2)
    usage = {"input": 1, "output": 1, "cacheRead": 0, "cacheWrite": 0, "totalTokens": 2}
    answer = {
        "role": "assistant",
        "content": [{"type": "text", "text": f"to {run_id}"}],
        "timestamp": 3,
        "usage": usage | ({"cost": cost} if cost else {}),
    }
    await queue.finish(run_id, Ending(RunState.DONE, message=answer, provider="p", model="m"), 3)


async def test_what_a_conversation_cost_is_known_when_every_answer_has_a_price(database: Database) -> None:
    directory = Conversations(database).directory
    await turn(database, "one", PRICED)
    await turn(database, "two", PRICED)
    listed = await directory.one("key")
    assert listed is not None
    assert listed.cost_usd == pytest.approx(1.5)
    await turn(database, "three")
    listed = await directory.one("key")
    assert listed is not None
    assert listed.cost_usd is None


async def test_the_last_message_is_read_only_when_asked_for(database: Database) -> None:
    await turn(database, "one")
    directory = Conversations(database).directory
    (without,) = (await directory.page(lambda _: True)).rows
    (with_last,) = (await directory.page(lambda _: True, with_last=True)).rows
    assert without.last is None
    assert with_last.last is not None
    assert with_last.last["content"][0]["text"] == "to one"


async def test_the_run_that_ended_last_is_kept_with_the_session(database: Database) -> None:
    await turn(database, "one")
    session = await Conversations(database).session("key")
    assert session is not None
    assert session.last_run is not None
    assert (session.last_run.run_id, session.last_run.state) == ("one", RunState.DONE)
    assert (session.last_run.started_at_ms, session.last_run.ended_at_ms) == (2, 3)
    assert (session.opening, session.last_interaction_at_ms) == ("one", 1)


async def test_pages_can_go_by_who_was_spoken_to_last(database: Database) -> None:
    conversations = Conversations(database)
    await turn(database, "one")
    await conversations.administration.patch("quiet", {"label": "x"}, now_ms=9, new_session_id="q")
    by_change = await conversations.directory.page(lambda _: True)
    by_words = await conversations.directory.page(lambda _: True, by_interaction=True)
    assert [listed.session.key for listed in by_change.rows] == ["quiet", "key"]
    assert [listed.session.key for listed in by_words.rows] == ["key", "quiet"]


async def test_a_compaction_is_not_undone_by_keeping_more_messages(database: Database) -> None:
    conversations, queue = Conversations(database), RunQueue(database)
    for run_id in ("one", "two"):
        await turn(database, run_id)
    message = {"role": "user", "content": [], "timestamp": 4}
    await queue.accept(Submission("sum", "key", RunKind.COMPACTION, 4, "id", message, shown=False))
    await queue.claim("key", 5)
    summary = {"role": "assistant", "content": [{"type": "text", "text": "SUMMARY"}], "timestamp": 6}
    await queue.finish("sum", Ending(RunState.DONE, message=summary), 6)
    await conversations.administration.keep_last("key", 4, now_ms=7)
    read = await conversations.context("id", 99, 1_000, lambda _message: 1)
    assert [said["content"][0]["text"] for said in read] == ["SUMMARY"]
