"""A flood in the log."""

import pytest
import trio
from trio.testing import MockClock

from openclawd.net.floods import Floods


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[int, int]]:
    """Evicted and refused of each line so far."""
    fields = [vars(record)["fields"] for record in caplog.records]
    assert all(each["mostFrom"] == "192.0.2.7" for each in fields)
    return [(each["evicted"], each["refused"]) for each in fields]


async def test_a_flood_is_one_line_with_everybody_of_its_first_second(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, nursery: trio.Nursery
) -> None:
    floods = Floods(lambda: {"mostFrom": "192.0.2.7"})
    nursery.start_soon(floods.tell)
    for _ in range(500):
        floods.evict()
        await trio.sleep(0.001)
    floods.refuse()
    await trio.sleep(60)

    assert told(caplog) == [(500, 1)]


async def test_while_it_lasts_it_is_told_of_every_ten_seconds(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, nursery: trio.Nursery
) -> None:
    floods = Floods(lambda: {"mostFrom": "192.0.2.7"})
    nursery.start_soon(floods.tell)
    for _ in range(30):
        floods.evict()
        await trio.sleep(1)
    await trio.sleep(60)

    lines = told(caplog)
    assert len(lines) in {3, 4}
    assert sum(evicted for evicted, _ in lines) == 30


async def test_that_everybody_waits_is_told_too(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, nursery: trio.Nursery
) -> None:
    floods = Floods(lambda: {"mostFrom": "192.0.2.7"})
    nursery.start_soon(floods.tell)
    floods.hold_up()
    await trio.sleep(60)

    assert told(caplog) == [(0, 0)]
