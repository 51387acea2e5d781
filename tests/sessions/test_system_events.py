"""Events wait for the next turn, which tells them to the model once, whatever becomes of the process."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from openclawd.agents.model import Completion, Emit, ModelMessage, TextDelta, Usage
from openclawd.sessions.system_events import MAX_EVENT_CHARS, MAX_WAITING, SystemEvents, told
from openclawd.store.database import open_database
from openclawd.store.records import Ending, RunKind, RunRecord, RunState, Submission
from openclawd.store.runs import RunQueue
from openclawd.store.system_events import SystemEventRows
from tests.sessions.stage import KEY, ScriptedModel, stage
from tests.sessions.test_queue import Gate

RUN, NEXT_RUN = 1, 2


@asynccontextmanager
async def events(directory: Path) -> AsyncIterator[SystemEvents]:
    """What a process knows of the events in `directory`."""
    async with open_database(directory / "state.sqlite3") as database:
        yield SystemEvents(SystemEventRows(database), lambda: 1_700_000_000_000)


async def test_an_event_is_told_once_and_marked_line_by_line(tmp_path: Path) -> None:
    async with events(tmp_path) as waiting:
        await waiting.add(KEY, "  the backup is done\n3 files were left out ")
        assert await waiting.texts(KEY) == ["the backup is done\n3 files were left out"]
        lines = "System: [2023-11-14 22:13:20 UTC] the backup is done\nSystem: 3 files were left out"
        assert await waiting.lines(KEY, RUN) == lines
        assert await waiting.take(KEY, RUN) == lines
        assert await waiting.texts(KEY) == []
        assert await waiting.take(KEY, NEXT_RUN) == ""


async def test_each_session_has_its_own(tmp_path: Path) -> None:
    async with events(tmp_path) as waiting:
        await waiting.add(KEY, "a")
        assert await waiting.texts("agent:main:other") == []


async def test_the_same_again_says_nothing_new(tmp_path: Path) -> None:
    async with events(tmp_path) as waiting:
        for text in ("a", "a", "b", "a"):
            await waiting.add(KEY, text)
        assert await waiting.texts(KEY) == ["a", "b", "a"]


async def test_the_oldest_gives_way_and_a_document_is_cut(tmp_path: Path) -> None:
    async with events(tmp_path) as waiting:
        for number in range(MAX_WAITING + 2):
            await waiting.add(KEY, f"event {number}")
        await waiting.add(KEY, "x" * (MAX_EVENT_CHARS + 1))
        texts = await waiting.texts(KEY)
    assert len(texts) == MAX_WAITING
    assert texts[0] == "event 3"
    assert len(texts[-1]) == MAX_EVENT_CHARS
    async with events(tmp_path) as waiting:
        assert await waiting.texts(KEY) == texts, "no more are kept on disk"


async def test_what_waits_outlives_the_process_and_what_was_told_does_not_come_again(tmp_path: Path) -> None:
    async with events(tmp_path) as waiting:
        await waiting.add(KEY, "told")
        await waiting.take(KEY, RUN)
        await waiting.add(KEY, "waits")
    async with events(tmp_path) as waiting:
        assert await waiting.texts(KEY) == ["waits"]
        assert "told" not in await waiting.take(KEY, NEXT_RUN)


async def test_a_turn_that_was_interrupted_tells_its_events_again_and_the_next_one_does_not(
    tmp_path: Path,
) -> None:
    gate = Gate()
    async with stage(tmp_path, gate.script) as held:
        await held.sessions.system_events.add(KEY, "the door bell rang")
        await held.send("hello", "run-1")
        await held.send("again", "run-2")
        await gate.until(1)
        assert "the door bell rang" in gate.waiting[0]
        assert await held.sessions.finish(0) == 1
    async with stage(tmp_path) as held:
        await held.ended("run-2")
        assert _rang(held.model) == [True, False]
    async with stage(tmp_path, _brief) as held:
        await held.send("and now", "run-3")
        await held.ended("run-3")
        assert _rang(held.model) == [False]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["event", "turn", "ended", "crash"]), max_size=30))
async def test_every_event_is_told_in_the_next_turn_that_ends_and_in_no_later_one(script: list[str]) -> None:
    waiting: list[str] = []
    telling: list[str] = []
    with tempfile.TemporaryDirectory() as directory:
        async with open_database(Path(directory) / "state.sqlite3") as database:
            queue = RunQueue(database)
            known = SystemEvents(SystemEventRows(database), lambda: 1)
            run: RunRecord | None = None
            for number, step in enumerate(script):
                if step == "event" and len(waiting) + len(telling) < MAX_WAITING:
                    await known.add(KEY, f"event <{number}>")
                    waiting.append(f"event <{number}>")
                elif step == "turn":
                    if run is None:
                        await queue.accept(_turn(f"run-{number}"))
                        run = await queue.claim(KEY, 1)
                        assert run is not None
                    # Of a run that is asked again, as after a crash, too.
                    telling, waiting = telling + waiting, []
                    lines = await known.take(KEY, run.seq)
                    assert [text for text in _events(script) if text in lines] == telling
                elif step == "ended" and run is not None:
                    await queue.finish(run.run_id, Ending(RunState.DONE), 1)
                    telling, run = [], None
                elif step == "crash":
                    known = SystemEvents(SystemEventRows(database), lambda: 1)
                assert await known.texts(KEY) == waiting


def _events(script: list[str]) -> list[str]:
    return [f"event <{number}>" for number, _ in enumerate(script)]


def _turn(run_id: str) -> Submission:
    message = {"role": "user", "content": [{"type": "text", "text": run_id}], "timestamp": 1}
    return Submission(run_id, KEY, RunKind.TURN, 1, "s-1", message)


def _rang(model: ScriptedModel) -> list[bool]:
    return ["the door bell rang" in request.messages[-1].text for request in model.requests]


async def _brief(_question: str, emit: Emit) -> Completion:
    emit(TextDelta("yes"))
    return Completion("stop", Usage())


def test_they_stand_above_the_users_last_words() -> None:
    messages = (
        ModelMessage("system", "s"),
        ModelMessage("user", "one"),
        ModelMessage("assistant", "two"),
        ModelMessage("user", "three"),
    )
    assert told(messages, "System: x")[-1] == ModelMessage("user", "System: x\n\nthree")
    assert told(messages, "System: x")[:-1] == messages[:-1]
    assert told(messages, "") == messages
