"""kill -9 at every point where something becomes durable or is handed over: nothing acknowledged is lost.

No mercy is built into the product: the points are calls of its own functions (tests/support/mined.py) and of
the operating system (tests/support/kill_at_call.c).
"""

import os
import random
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
import trio

from tests.process.deaths import MINED, Life
from tests.support.dying import watched
from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.mined import CHECKPOINT, MINE
from tests.support.provider_process import ProviderProcess, provider_process

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]

FULL: Final = bool(os.environ.get("OPENCLAWD_TEST_FULL"))

# When and what; at which call; in which generation. The first commits are those of a start: migrations, keys.
POINTS: Final = (
    "before sql:BEGIN 2 1",
    "before sql:COMMIT 1 1",
    "after sql:COMMIT 1 1",
    "before sql:COMMIT 6 1",
    "after sql:COMMIT 6 1",
    "before sql:COMMIT 12 1",
    "after sql:COMMIT 12 1",
    'before sent:"started" 1 1',
    'after sent:"started" 1 1',
    'before sent:"started" 4 1',
    'after sent:"started" 4 1',
    'before sent:"final" 1 1',
    'after sent:"final" 1 1',
    "before openclawd.store.devices.DeviceStore.put_device 1 1",
    "after openclawd.store.devices.DeviceStore.put_device 1 1",
    "before openclawd.store.limits.LimitStore.save 1 1",
    "after openclawd.store.limits.LimitStore.save 1 1",
    "before openclawd.config.atomic.write_atomic 1 1",
    "before os.fsync 2 1",
    "before os.replace 1 1",
    "after os.replace 1 1",
    "before os.replace 2 1",
    "after os.replace 2 1",
    "before openclawd.store.runs.RunQueue.claim 3 1",
    "after openclawd.store.runs.RunQueue.claim 3 1",
    "before openclawd.store.runs.RunQueue.finish 2 1",
    "after openclawd.store.runs.RunQueue.finish 2 1",
)
# Without --full: some of each kind.
FEW_POINTS: Final = POINTS[5::5]
# A generation that follows another is told by it where its sockets are; the second one is the next.
HANDOVER_POINTS: Final = (
    "before os.memfd_create 1 1",
    "after os.memfd_create 1 1",
    "before os.execve 1 1",
    "before openclawd.cli.main.main 1 2",
    "before openclawd.store.migrations.migrate 1 2",
    "before sql:COMMIT 1 2",
    "after sql:COMMIT 2 2",
    "after openclawd.store.runs.RunQueue.claim 1 2",
)
FEW_HANDOVER_POINTS: Final = HANDOVER_POINTS[2::4]
# Of the calls of the operating system in a life, so many are tried: every fourth or so, or a few.
CALLS: Final = 150 if FULL else 3
LIFE_S: Final = 2.5


@pytest.fixture(scope="module")
def provider() -> Generator[ProviderProcess, None, None]:
    with provider_process() as running:
        yield running


async def die(gateway: GatewayProcess, *, restart: bool = False) -> Life:
    """Start a mined gateway, which may die at that, and use it until it is dead."""
    life = Life(gateway)
    gateway.program = MINED
    gateway.start(wait=False)
    with suppress(AssertionError):
        gateway.wait_until_ready()
        await life.live(restart=restart)
    await life.die()
    return life


@pytest.mark.parametrize("point", POINTS if FULL else FEW_POINTS)
async def test_a_death_at_a_point_of_durability_loses_nothing(provider: ProviderProcess, point: str) -> None:
    with gateway_process(provider.config(), environment={MINE: point}, start=False) as gateway:
        life = await die(gateway)
        await life.check()


@pytest.mark.parametrize("point", HANDOVER_POINTS if FULL else FEW_HANDOVER_POINTS)
async def test_a_death_between_two_generations_loses_nothing(provider: ProviderProcess, point: str) -> None:
    # So short that the longer answers are interrupted.
    config = provider.config() | {"openclawd": {"restart": {"drainMs": 200}}}
    with gateway_process(config, environment={MINE: point}, start=False) as gateway:
        life = await die(gateway, restart=True)
        await life.check()


# --- every call of the operating system that changes a file


@pytest.fixture(scope="module")
def calls(library: Path, provider: ProviderProcess) -> int:
    """How many there are in a life."""
    environment = {CHECKPOINT: "1"}
    with gateway_process(provider.config(), environment=environment, start=False) as gateway:
        trace = gateway.state.parent / "calls.txt"
        environment |= watched(library, gateway.state, KILL_TRACE=str(trace))
        gateway.program = MINED
        gateway.start()
        life = Life(gateway)

        async def live() -> None:
            with trio.move_on_after(LIFE_S):
                await life.live()

        trio.run(live)
        gateway.kill()
        assert life.config_changed
        lines = trace.read_text().splitlines()
        assert {"pwrite64", "fdatasync", "write", "fsync", "rename"} <= {line.split()[0] for line in lines}
        return len(lines)


@pytest.mark.parametrize("part", range(CALLS))
async def test_a_death_in_the_middle_of_a_write_loses_nothing(
    provider: ProviderProcess, library: Path, calls: int, part: int
) -> None:
    # Another one each time, from all over the life.
    number = random.randint(part * calls // CALLS, (part + 1) * calls // CALLS - 1) + 1
    moment = ("before", "torn", "after")[part % 3]
    environment = {CHECKPOINT: "1"}
    with gateway_process(provider.config(), environment=environment, start=False) as gateway:
        environment |= watched(library, gateway.state, KILL_AT=str(number), KILL_MOMENT=moment)
        print(f"dies {moment} call {number} of {calls}")
        life = await die(gateway)
        environment.clear()
        await life.check()
