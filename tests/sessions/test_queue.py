"""One turn at a time in a session, sessions side by side, and a queue that outlives the process."""

import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

from openclawd.agents.model import Completion, Emit, TextDelta, Usage
from openclawd.protocol.errors import RequestError
from openclawd.protocol.versions import V4
from tests.sessions.stage import PATIENCE_S, Stage, stage, texts

ROUNDS_OF_KILLING = 3

# A gateway's sessions that answer slowly, and say each run id after it was accepted.
_SLOW_GATEWAY = """
import sys, trio
from pathlib import Path
from openclawd.agents.model import Completion, TextDelta, Usage
from tests.sessions.stage import stage

async def slow(question, emit):
    emit(TextDelta("answer to "))
    await trio.sleep(0.02)
    emit(TextDelta(question))
    return Completion("stop", Usage())

async def main():
    async with stage(Path(sys.argv[1]), slow) as held:
        for number in range(10_000):
            run_id = f"{sys.argv[2]}-{number}"
            await held.send(run_id, run_id, key=f"room-{number % 3}")
            print(run_id, flush=True)

trio.run(main)
"""


class Gate:
    """A model that waits for leave, and knows how many wait."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self._leave = trio.Semaphore(0)
        self._arrived = trio.Event()

    async def script(self, question: str, emit: Emit) -> Completion:
        self.waiting.append(question)
        self._arrived.set()
        self._arrived = trio.Event()
        emit(TextDelta("ready "))
        await self._leave.acquire()
        emit(TextDelta(question))
        return Completion("stop", Usage())

    def let_one_go(self) -> None:
        self._leave.release()

    async def until(self, count: int) -> None:
        with trio.fail_after(PATIENCE_S):
            while len(self.waiting) < count:
                await self._arrived.wait()


async def test_a_session_does_one_turn_at_a_time_in_order(tmp_path: Path) -> None:
    gate = Gate()
    async with stage(tmp_path, gate.script) as held:
        for number in range(4):
            await held.send(f"message {number}", f"run-{number}")
        for number in range(4):
            await gate.until(number + 1)
            assert gate.waiting == [f"message {n}" for n in range(number + 1)]
            told = await held.history()
            states = [(run["runId"], run["state"]) for run in told["activeRuns"]]
            assert states == [(f"run-{n}", "running" if n == number else "queued") for n in range(number, 4)]
            gate.let_one_go()
        await held.ended("run-3")
        told = await held.history()
    assert texts(told) == [
        pair for n in range(4) for pair in (("user", f"message {n}"), ("assistant", f"ready message {n}"))
    ]


async def test_history_shows_how_far_a_running_answer_is(tmp_path: Path) -> None:
    gate = Gate()
    async with stage(tmp_path, gate.script) as held:
        await held.send("go", "run-1")
        await gate.until(1)
        told = await held.history("agent:main:main")
        (active,) = told["activeRuns"]
        assert active | {"startedAt": 0} == {
            "runId": "run-1",
            "state": "running",
            "text": "ready ",
            "startedAt": 0,
        }


async def test_sessions_do_not_wait_for_each_other(tmp_path: Path) -> None:
    gate = Gate()
    async with stage(tmp_path, gate.script) as held:
        for number in range(20):
            await held.send("hello", f"run-{number}", key=f"room-{number}")
        await gate.until(20)


async def test_many_senders_at_once_are_answered_in_the_order_of_acceptance(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(held.send, f"message {number}", f"run-{number}")
        for number in range(30):
            await held.ended(f"run-{number}")
        told = texts(await held.history())
    asked = [text for role, text in told if role == "user"]
    assert sorted(asked) == sorted(f"message {number}" for number in range(30))
    assert [text for role, text in told if role == "assistant"] == [f"you said {text} " for text in asked]
    assert [request.messages[-1].text for request in held.model.requests] == asked


async def test_a_key_in_use_is_in_flight_and_a_finished_one_ok(tmp_path: Path) -> None:
    gate = Gate()
    async with stage(tmp_path, gate.script) as held:
        await held.send("go", "run-1")
        await held.send("then this", "run-2")
        await gate.until(1)
        assert await held.send("go", "run-1") == {"runId": "run-1", "status": "in_flight"}
        assert await held.send("then this", "run-2") == {"runId": "run-2", "status": "in_flight"}
        gate.let_one_go()
        await held.ended("run-1")
        assert await held.send("go", "run-1") == {"runId": "run-1", "status": "ok"}


async def test_a_key_used_in_another_session_is_refused_and_nothing_is_stored(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path) as held:
        await held.send("hello", "run-1")
        with pytest.raises(
            RequestError,
            match="INVALID_REQUEST: idempotencyKey was used for another session; use a new key",
        ):
            await held.send("hello", "run-1", key="garden")
        assert texts(await held.history("garden")) == []
        assert (await held.ended("run-1"))["state"] == "final"


async def test_what_was_queued_before_a_restart_is_done_after_it(tmp_path: Path) -> None:
    async with stage(tmp_path, serving=False) as held:
        assert await held.send("hello", "run-1") == {"runId": "run-1", "status": "started"}
        await held.send("again", "run-2")
    async with stage(tmp_path) as held:
        await held.ended("run-2")
        told = await held.history()
        assert texts(told) == [
            ("user", "hello"),
            ("assistant", "you said hello "),
            ("user", "again"),
            ("assistant", "you said again "),
        ]
        assert await held.send("hello", "run-1") == {"runId": "run-1", "status": "ok"}


async def test_what_is_accepted_before_sessions_are_served_is_done_when_they_are(tmp_path: Path) -> None:
    async with stage(tmp_path, serving=False) as held, trio.open_nursery() as nursery:
        nursery.start_soon(held.send, "hello", "run-1")
        await nursery.start(held.sessions.serve)
        await held.send("again", "run-2", key="garden")
        await held.ended("run-1")
        await held.ended("run-2")
        nursery.cancel_scope.cancel()


async def test_a_stop_of_the_process_puts_runs_back_under_their_ids(tmp_path: Path) -> None:
    gate = Gate()
    async with stage(tmp_path, gate.script) as held:
        await held.send("hello", "run-1")
        await gate.until(1)
        assert await held.sessions.drain(PATIENCE_S)
        assert held.of("run-1", "chat")[-1]["state"] == "delta", "no outcome yet"
        assert await held.send("while draining", "run-2") == {"runId": "run-2", "status": "started"}
    async with stage(tmp_path) as held:
        await held.ended("run-2")
        assert texts(await held.history()) == [
            ("user", "hello"),
            ("assistant", "you said hello "),
            ("user", "while draining"),
            ("assistant", "you said while draining "),
        ]


async def test_before_a_restart_runs_under_way_end_and_none_begins(tmp_path: Path) -> None:
    gate = Gate()
    async with stage(tmp_path, gate.script) as held:
        await held.send("under way", "run-1")
        await held.send("behind it", "run-2")
        await gate.until(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_none_interrupted, held)
            await trio.testing.wait_all_tasks_blocked()
            assert (await held.send("too late", "run-3", key="garden"))["status"] == "started"
            gate.let_one_go()
        assert (await held.ended("run-1"))["state"] == "final"
        states = [(run["runId"], run["state"]) for run in (await held.history())["activeRuns"]]
        assert states == [("run-2", "queued")]
        assert gate.waiting == ["under way"]
    async with stage(tmp_path) as held:
        await held.ended("run-2")
        await held.ended("run-3")


async def _none_interrupted(held: Stage) -> None:
    assert await held.sessions.finish(PATIENCE_S) == 0


async def test_a_restart_waits_for_nobody_when_nothing_is_under_way(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        assert await held.sessions.finish(math.inf) == 0
        assert (await held.send("hello", "run-1"))["status"] == "started"
        await trio.testing.wait_all_tasks_blocked()
        assert held.model.requests == []


async def test_a_run_that_is_too_slow_for_a_restart_goes_on_first_and_starts_anew(
    tmp_path: Path,
) -> None:
    gate = Gate()
    async with stage(tmp_path, gate.script) as held:
        await held.send("hello", "run-1")
        await held.send("again", "run-2")
        await gate.until(1)
        assert await held.sessions.finish(0) == 1
        assert held.of("run-1", "chat")[-1]["state"] == "delta", "no outcome yet"
    async with stage(tmp_path) as held:
        await held.ended("run-2")
        assert [request.messages[-1].text for request in held.model.requests] == ["hello", "again"]
        first, other = (
            next(told for told in held.of(run_id, "chat", V4) if told["state"] == "delta")
            for run_id in ("run-1", "run-2")
        )
    assert first["replace"] is True
    assert first["deltaText"] == first["message"]["content"][0]["text"]
    assert "replace" not in other, "nobody has heard of it before"


async def test_a_stop_in_the_middle_of_a_drain_leaves_the_runs_to_it(tmp_path: Path) -> None:
    gate = Gate()
    async with stage(tmp_path, gate.script) as held:
        await held.send("hello", "run-1")
        await held.send("again", "run-2")
        await gate.until(1)
        with trio.move_on_after(0) as given_up:
            await held.sessions.finish(PATIENCE_S)
        assert given_up.cancelled_caught
        assert await held.sessions.drain(PATIENCE_S)
        assert gate.waiting == ["hello"]
    async with stage(tmp_path) as held:
        assert (await held.ended("run-1"))["state"] == "final"


async def test_planned_restarts_never_use_up_the_attempts_of_a_run(tmp_path: Path) -> None:
    gate = Gate()
    async with stage(tmp_path, serving=False) as held:
        await held.send("patient", "run-1")
    for life in range(5):
        async with stage(tmp_path, gate.script) as held:
            await gate.until(life + 1)
            assert await held.sessions.finish(0) == 1
    async with stage(tmp_path) as held:
        assert (await held.ended("run-1"))["state"] == "final"


async def test_a_run_that_keeps_killing_the_process_is_given_up(tmp_path: Path) -> None:
    # The claims of two processes that died in the middle.
    for _ in range(2):
        async with stage(tmp_path, serving=False) as held:
            await held.send("poison", "run-1")
            queue = held.sessions._runs
            await queue.recover(99, 99, 1)
            assert await queue.claim("agent:main:main", 1) is not None
    async with stage(tmp_path) as held:
        ended = await held.ended("run-1")
        told = await held.history()
        assert await held.send("hello", "run-2") == {"runId": "run-2", "status": "started"}
        await held.ended("run-2")
    assert ended["state"] == "error"
    assert ended["errorMessage"].startswith("interrupted: the gateway stopped 2 times")
    assert told["messages"][-1]["errorMessage"] == ended["errorMessage"]
    assert len(held.model.requests) == 1


@pytest.mark.process
async def test_kill_9_in_the_middle_of_chats_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    accepted: list[str] = []
    for number in range(ROUNDS_OF_KILLING):
        accepted += await trio.to_thread.run_sync(_run_and_kill, tmp_path, number)
    async with stage(tmp_path) as held:
        for room in range(3):
            mine = [run_id for run_id in accepted if int(run_id.split("-")[1]) % 3 == room]
            told = texts(await held.settled_history(f"room-{room}"))
            asked = [text for role, text in told if role == "user"]
            assert [text for text in asked if text in mine] == mine, "everything, in order, once"
            assert [role for role, _ in told] == ["user", "assistant"] * len(asked), "each has one answer"


def _run_and_kill(directory: Path, number: int) -> list[str]:
    accepted: list[str] = []
    command = [sys.executable, "-c", _SLOW_GATEWAY, str(directory), str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout is not None
        accepted += [gateway.stdout.readline().strip() for _ in range(60)]
        gateway.send_signal(signal.SIGKILL)
        accepted += [line.strip() for line in gateway.stdout if line.endswith("\n")]
    return accepted


async def test_after_a_restart_that_was_called_off_what_waits_is_answered(tmp_path: Path) -> None:
    gate = Gate()
    async with stage(tmp_path, gate.script) as held:
        await held.send("under way", "run-1")
        await held.send("behind it", "run-2")
        await gate.until(1)
        assert await held.sessions.finish(0) == 1
        await held.send("meanwhile", "run-3", key="garden")
        gate.let_one_go()
        await held.ended("run-1")
        assert await held.sessions.finish(PATIENCE_S) == 0
        assert gate.waiting == ["under way"]

        held.sessions.go_on()
        gate.let_one_go()
        gate.let_one_go()
        await held.ended("run-2")
        await held.ended("run-3")
