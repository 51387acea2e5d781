"""Everything at once: whoever sends and stops whatever, each accepted message has exactly one outcome."""

import random
from pathlib import Path

import pytest
import trio

from openclawd.agents.model import Completion, Emit, ModelError, ModelErrorKind, TextDelta, Usage
from tests.sessions.stage import ENDS, Stage, stage, texts

KEYS = ("main", "garden")


async def moody(question: str, emit: Emit) -> Completion:
    """Answers, fails or dawdles, by what it is asked."""
    emit(TextDelta(question))
    mood = sum(question.encode()) % 4
    if mood == 0:
        await trio.sleep(0.02)
    if mood == 1:
        raise ModelError(ModelErrorKind.OVERLOADED, "overloaded; send it again")
    await trio.lowlevel.checkpoint()
    emit(TextDelta(" indeed"))
    return Completion("stop", Usage())


async def stir(held: Stage, rng: random.Random, name: str, accepted: list[str]) -> None:
    for number in range(25):
        key = rng.choice(KEYS)
        run_id = f"{name}-{number}"
        choice = rng.random()
        if choice < 0.75:
            assert (await held.send(f"words of {run_id}", run_id, key=key))["status"] == "started"
            accepted.append(run_id)
        elif choice < 0.85:
            await held.send("stop", run_id, key=key)
        else:
            await held.sessions.abort(key, None)
        if rng.random() < 0.3:
            await trio.sleep(rng.random() * 0.02)


@pytest.mark.parametrize("seed", range(3))
async def test_every_accepted_message_has_one_outcome_and_nothing_after_it(tmp_path: Path, seed: int) -> None:
    accepted: list[str] = []
    async with stage(tmp_path, moody) as held:
        async with trio.open_nursery() as nursery:
            for task in range(5):
                nursery.start_soon(stir, held, random.Random(seed * 10 + task), f"task-{task}", accepted)
        histories = [await held.settled_history(key) for key in KEYS]
        for run_id in accepted:
            # On disk first, then told: the last run of a session may still be on its way to the clients.
            await held.ended(run_id)
            chat = [event["state"] for event in held.of(run_id, "chat")]
            assert len([state for state in chat if state in ENDS]) == 1, (run_id, chat)
            assert chat[-1] in ENDS
            assert [event["seq"] for event in held.of(run_id, "agent")] == list(
                range(1, len(held.of(run_id, "agent")) + 1)
            )
    asked = [text for told in histories for role, text in texts(told) if role == "user"]
    assert sorted(asked) == sorted(f"words of {run_id}" for run_id in accepted)


async def test_a_session_leaves_nothing_behind_when_it_is_idle(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        for number in range(5):
            await held.send("hello", f"run-{number}", key=f"room-{number}")
            await held.settled_history(f"room-{number}")
        await trio.testing.wait_all_tasks_blocked()
        assert held.sessions._workers._sessions == {}


async def test_a_restart_in_the_middle_of_everything_loses_and_repeats_nothing(tmp_path: Path) -> None:
    accepted: list[str] = []
    for generation in range(3):
        async with stage(tmp_path, moody) as held, trio.open_nursery() as nursery:
            for task in range(4):
                rng = random.Random(generation * 10 + task)
                nursery.start_soon(stir, held, rng, f"life-{generation}-{task}", accepted)
            await trio.sleep(0.03)
            assert await held.sessions.drain(5)
    async with stage(tmp_path, moody) as held:
        histories = [await held.settled_history(key) for key in KEYS]
    asked = [text for told in histories for role, text in texts(told) if role == "user"]
    assert sorted(asked) == sorted(f"words of {run_id}" for run_id in accepted)
