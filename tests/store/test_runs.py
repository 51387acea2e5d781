"""The durable queue: order of acceptance, one outcome for each, and what a crash leaves."""

from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest

from openclawd.store import runs
from openclawd.store.conversations import Conversations
from openclawd.store.database import Database, open_database
from openclawd.store.records import Ending, Message, RunKind, RunState, Submission, TokenCount
from openclawd.store.runs import FINISHED_KEPT_MS, RunQueue

KEY = "agent:main:main"
CLOCK: Iterator[int] = count(1_000)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "state.sqlite3") as opened:
        yield opened


def said(text: str, role: str = "user") -> Message:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def turn(run_id: str, *, key: str = KEY, fresh: bool = False, shown: bool = True, at: int = 0) -> Submission:
    return Submission(
        run_id=run_id,
        session_key=key,
        kind=RunKind.TURN,
        accepted_at_ms=at or next(CLOCK),
        new_session_id=f"session of {run_id}",
        message=said(run_id),
        shown=shown,
        fresh=fresh,
    )


async def shown(conversations: Conversations) -> list[Message]:
    return [stored.body for stored in (await conversations.transcript(KEY, 10)).messages]


def words(messages: tuple[Message, ...] | list[Message]) -> list[str]:
    return [message["content"][0]["text"] for message in messages]


def text_length(message: Message) -> int:
    return len(message["content"][0]["text"])


async def test_runs_are_claimed_in_the_order_of_acceptance_session_by_session(database: Database) -> None:
    queue = RunQueue(database)
    for run_id, key in (("a1", "a"), ("b1", "b"), ("a2", "a")):
        await queue.accept(turn(run_id, key=key))
    claimed = [await queue.claim(key, 1) for key in ("a", "b", "a", "a")]
    assert [run.run_id if run else None for run in claimed] == ["a1", "b1", "a2", None]


async def test_an_id_that_is_known_changes_nothing_in_any_session(database: Database) -> None:
    queue = RunQueue(database)
    first = await queue.accept(turn("once"))
    again = await queue.accept(turn("once", key="another"))
    assert first.new
    assert not again.new
    assert again.run == first.run
    assert await Conversations(database).session("another") is None


async def test_a_run_gets_one_outcome_and_keeps_it(database: Database) -> None:
    queue = RunQueue(database)
    await queue.accept(turn("run"))
    await queue.claim(KEY, 5)
    assert await queue.finish("run", Ending(RunState.DONE, message=said("answer", "assistant")), 6)
    assert not await queue.finish("run", Ending(RunState.ERROR, error="late", message=said("late")), 7)
    run = await queue.find("run")
    assert run is not None
    assert (run.state, run.error, run.ended_at_ms) == (RunState.DONE, None, 6)
    assert words(await shown(Conversations(database))) == ["run", "answer"]


async def test_a_waiting_message_shows_but_is_not_in_the_context_of_earlier_turns(database: Database) -> None:
    queue, conversations = RunQueue(database), Conversations(database)
    first = (await queue.accept(turn("one"))).run
    second = (await queue.accept(turn("two"))).run
    assert words(await shown(conversations)) == ["one", "two"]
    assert words(await conversations.context(first.session_id, first.seq, 10_000, text_length)) == ["one"]
    await queue.claim(KEY, 1)
    await queue.finish("one", Ending(RunState.DONE, message=said("first answer", "assistant")), 2)
    told = ["one", "first answer", "two"]
    assert words(await shown(conversations)) == told
    assert words(await conversations.context(second.session_id, second.seq, 10_000, text_length)) == told


async def test_a_context_keeps_the_newest_that_fit_and_always_the_last(database: Database) -> None:
    queue, conversations = RunQueue(database), Conversations(database)
    for number in range(10):
        run = (await queue.accept(turn(f"message {number}"))).run
    kept = words(await conversations.context(run.session_id, run.seq, 27, text_length))
    assert kept == ["message 7", "message 8", "message 9"]
    assert words(await conversations.context(run.session_id, run.seq, 26, text_length)) == kept[1:]
    assert words(await conversations.context(run.session_id, run.seq, -5, text_length)) == ["message 9"]


async def test_a_fresh_conversation_hides_the_old_one_and_forgets_its_tokens(database: Database) -> None:
    queue, conversations = RunQueue(database), Conversations(database)
    old = (await queue.accept(turn("old"))).run
    await queue.claim(KEY, 1)
    await queue.finish("old", Ending(RunState.DONE, tokens=TokenCount(5, 6, 7)), 2)
    fresh = (await queue.accept(turn("new", fresh=True))).run
    session = await conversations.session(KEY)
    assert session is not None
    assert session.session_id == fresh.session_id != old.session_id
    assert session.total_tokens is None
    assert words(await shown(conversations)) == ["new"]


async def test_a_run_of_the_conversation_before_leaves_the_fresh_one_alone(database: Database) -> None:
    queue, conversations = RunQueue(database), Conversations(database)
    await queue.accept(turn("old"))
    await queue.claim(KEY, 1)
    await queue.accept(turn("new", fresh=True))
    ending = Ending(RunState.DONE, message=said("late", "assistant"), tokens=TokenCount(5, 6, 7))
    assert await queue.finish("old", ending, 2)
    session = await conversations.session(KEY)
    assert session is not None
    assert session.total_tokens is None
    assert words(await shown(conversations)) == ["new"]


async def test_a_hidden_prompt_is_read_by_the_model_and_not_by_people(database: Database) -> None:
    queue, conversations = RunQueue(database), Conversations(database)
    run = (await queue.accept(turn("our prompt", shown=False))).run
    assert await shown(conversations) == []
    assert words(await conversations.context(run.session_id, run.seq, 10_000, text_length)) == ["our prompt"]
    session = await conversations.session(KEY)
    assert session is not None
    assert session.opening is None


async def test_a_command_is_finished_the_moment_it_is_accepted(database: Database) -> None:
    queue = RunQueue(database)
    answer = said("all is well", "assistant")
    accepted = await queue.accept(Submission("status", KEY, RunKind.COMMAND, 5, "s", answer))
    assert accepted.run.state is RunState.DONE
    assert accepted.run.finished
    assert await queue.claim(KEY, 6) is None
    assert await shown(Conversations(database)) == [answer]


async def test_aborting_ends_the_queued_and_names_the_running(database: Database) -> None:
    queue = RunQueue(database)
    for run_id in ("one", "two", "three"):
        await queue.accept(turn(run_id))
    await queue.claim(KEY, 1)
    only_two = await queue.abort_queued(KEY, "two", 2)
    assert [run.run_id for run in only_two.ended] == ["two"]
    assert only_two.running == ()
    everything = await queue.abort_queued(KEY, None, 3)
    assert [run.run_id for run in everything.ended] == ["three"]
    assert [run.run_id for run in everything.running] == ["one"]


async def test_after_a_crash_running_runs_are_queued_again_but_not_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    async with open_database(path) as database:
        await RunQueue(database).accept(turn("fatal"))
        await RunQueue(database).accept(turn("behind"))
    for attempt in range(1, 4):
        async with open_database(path) as database:
            queue = RunQueue(database)
            unfinished = await queue.recover(3, 3, 1)
            assert unfinished.session_keys == (KEY,)
            assert unfinished.exhausted == ()
            run = await queue.claim(KEY, attempt)
            assert run is not None
            assert (run.run_id, run.attempts, run.interruptions) == ("fatal", attempt, attempt - 1)
    async with open_database(path) as database:
        unfinished = await RunQueue(database).recover(3, 3, 1)
        assert [run.run_id for run in unfinished.exhausted] == ["fatal"]
        assert unfinished.session_keys == (KEY,)


async def test_a_run_that_was_put_back_has_not_used_up_an_attempt(database: Database) -> None:
    queue = RunQueue(database)
    await queue.accept(turn("patient"))
    for _ in range(5):
        await queue.claim(KEY, 1)
        await queue.requeue("patient", 1)
    run = await queue.find("patient")
    assert run is not None
    assert (run.state, run.attempts, run.interruptions) == (RunState.QUEUED, 0, 5)


async def test_finished_ids_are_known_for_a_day_and_unfinished_ones_for_ever(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "FINISHED_KEPT", 1)
    queue = RunQueue(database)
    await queue.accept(turn("done", at=1))
    await queue.accept(turn("waiting", at=2))
    await queue.claim(KEY, 3)
    await queue.finish("done", Ending(RunState.DONE), 4)
    await queue.accept(turn("a day later", at=4 + FINISHED_KEPT_MS))
    assert await queue.find("done") is not None
    await queue.accept(turn("and a bit", at=5 + FINISHED_KEPT_MS))
    assert await queue.find("done") is None
    assert await queue.find("waiting") is not None


async def test_a_clock_that_is_set_ahead_makes_nobody_answer_twice_who_was_answered_last(
    database: Database,
) -> None:
    queue = RunQueue(database)
    await queue.accept(turn("answered", at=1))
    await queue.claim(KEY, 2)
    await queue.finish("answered", Ending(RunState.DONE), 3)
    for number in range(3):
        await queue.accept(turn(f"years later {number}", at=1_000 * FINISHED_KEPT_MS))

    again = await queue.accept(turn("answered", at=1_000 * FINISHED_KEPT_MS))

    assert (again.new, again.run.state) == (False, RunState.DONE)


async def test_of_several_runs_that_were_under_way_at_a_death_none_is_blamed_as_soon_as_a_single_one(
    database: Database,
) -> None:
    queue = RunQueue(database)
    for key in ("one", "two"):
        await queue.accept(turn(key, key=f"agent:main:{key}"))
        await queue.claim(f"agent:main:{key}", 1)

    together = await queue.recover(1, 2, 1)
    await queue.claim("agent:main:one", 1)
    alone = await queue.recover(2, 3, 1)

    assert together.exhausted == ()
    assert [run.run_id for run in alone.exhausted] == ["one"]
