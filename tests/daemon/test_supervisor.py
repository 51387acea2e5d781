"""Parts of the house that fail."""

import pytest
import trio
from trio.testing import MockClock

from openclawd.daemon.supervisor import MAX_FAILURES, PartFailed, supervise


class Part:
    """Fails the first `failures` times it is run, `apart_s` seconds after each start."""

    def __init__(self, failures: int, *, apart_s: float = 0) -> None:
        self.failures = failures
        self.apart_s = apart_s
        self.starts = 0

    async def run(self) -> None:
        self.starts += 1
        await trio.sleep(self.apart_s)
        if self.starts <= self.failures:
            raise OSError("disk full")


async def test_a_part_that_ends_is_not_started_again(autojump_clock: MockClock) -> None:
    part = Part(0)
    await supervise("part", part.run)

    assert part.starts == 1


async def test_a_part_that_fails_is_started_again_after_a_while(autojump_clock: MockClock) -> None:
    part = Part(2)
    started = trio.current_time()
    await supervise("part", part.run)

    assert (part.starts, trio.current_time() - started) == (3, 2.0)


async def test_a_part_that_keeps_failing_ends_the_process(autojump_clock: MockClock) -> None:
    part = Part(100)
    with pytest.raises(PartFailed, match=f"part failed {MAX_FAILURES} times") as caught:
        await supervise("part", part.run)

    assert part.starts == MAX_FAILURES
    assert isinstance(caught.value.__cause__, OSError)


async def test_failures_that_lie_far_apart_do_not_add_up(autojump_clock: MockClock) -> None:
    part = Part(20, apart_s=30)
    await supervise("part", part.run)

    assert part.starts == 21


async def test_cancelling_ends_a_part_at_once(autojump_clock: MockClock) -> None:
    part = Part(0, apart_s=1000)
    with trio.move_on_after(5):
        await supervise("part", part.run)

    assert part.starts == 1
