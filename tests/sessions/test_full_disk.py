"""A store that fails when a run ends: the outcome is kept until it takes it, and told once."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from openclawd.agents.model import Completion, Emit, TextDelta, Usage
from tests.sessions.stage import ENDS, PATIENCE_S, Stage, stage, texts

ANSWER = "x" * 200_000


async def pragma(held: Stage, statement: str) -> None:
    await held.database.read(lambda connection: connection.execute(f"PRAGMA {statement}").fetchone())


class Failures(logging.Handler):
    """Hears of each outcome that could not be written."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._heard = trio.Semaphore(0)

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "outcome not written":
            self._heard.release()

    async def until(self, count: int) -> None:
        with trio.fail_after(PATIENCE_S):
            for _ in range(count):
                await self._heard.acquire()


@pytest.fixture
def failures() -> Iterator[Failures]:
    handler = Failures()
    logger = logging.getLogger("openclawd.sessions")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def outcomes(held: Stage, run_id: str) -> list[str]:
    return [event["state"] for event in held.of(run_id, "chat") if event["state"] in ENDS]


async def test_an_answer_waits_for_room_on_the_disk_and_is_told_once(
    tmp_path: Path, failures: Failures
) -> None:
    async def fills_the_disk(question: str, emit: Emit) -> Completion:
        if question == "everything":
            await pragma(held, "max_page_count = 1")
            emit(TextDelta(ANSWER))
        else:
            emit(TextDelta("short"))
        return Completion("stop", Usage())

    async with stage(tmp_path, fills_the_disk) as held:
        await held.send("everything", "run-1")
        await held.send("a word", "run-2")
        await failures.until(3)
        assert outcomes(held, "run-1") == []
        (active, waiting) = (await held.history())["activeRuns"]
        assert (active["state"], active["text"]) == ("running", ANSWER)
        assert waiting["state"] == "queued", "nothing is claimed before"
        await pragma(held, "max_page_count = 9999")
        await held.ended("run-2")
        told = await held.history()
    assert outcomes(held, "run-1") == ["final"]
    assert len(held.model.requests) == 2, "nothing was asked twice"
    assert [text[:5] for _, text in texts(told)] == ["every", "xxxxx", "a wor", "short"]


async def test_a_stop_of_the_process_leaves_an_untold_outcome_to_the_next_start(
    tmp_path: Path, failures: Failures
) -> None:
    async def loses_the_disk(_: str, emit: Emit) -> Completion:
        await pragma(held, "query_only = ON")
        emit(TextDelta("lost"))
        return Completion("stop", Usage())

    async with stage(tmp_path, loses_the_disk, retry_s=3600) as held:
        await held.send("hello", "run-1")
        await failures.until(1)
        assert await held.sessions.drain(PATIENCE_S)
    assert outcomes(held, "run-1") == []
    async with stage(tmp_path) as after:
        await after.ended("run-1")
        assert texts(await after.history()) == [("user", "hello"), ("assistant", "you said hello ")]
    assert outcomes(after, "run-1") == ["final"]


async def test_an_outcome_that_no_store_could_take_ends_the_run_as_a_fault_of_ours(
    tmp_path: Path, failures: Failures
) -> None:
    async def half_a_character(_: str, emit: Emit) -> Completion:
        emit(TextDelta("\ud83e"))
        return Completion("stop", Usage())

    async with stage(tmp_path, half_a_character) as held:
        await held.send("hello", "run-1")
        await failures.until(1)
        assert "openclawd itself failed" in (await held.ended("run-1"))["errorMessage"]
        assert (await held.history())["activeRuns"] == []
    assert len(held.model.requests) == 1
