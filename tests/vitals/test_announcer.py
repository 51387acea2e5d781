"""Telling who is here: soon, once for what comes together, and to whom it is news."""

from itertools import pairwise
from typing import Any

import trio

from openclawd.events.event import Event
from openclawd.vitals.announcer import ANNOUNCE_GAP_S, PresenceAnnouncer
from openclawd.vitals.presence import Presence, PresenceList

GUEST = Presence("gateway-client", "backend", "1", "linux", "operator", ("operator.read",))


class Announced:
    """An announcer, and what it published, and when."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.events: list[tuple[float, Event]] = []
        self.presence = PresenceList(gateway_version="1", now_ms=lambda: 1)
        self.announcer = PresenceAnnouncer(
            self.presence,
            publish=lambda event: self.events.append((trio.current_time(), event)),
            health_version=lambda: 7,
        )
        nursery.start_soon(self.announcer.serve)

    @property
    def only(self) -> list[int | None]:
        return [event.only for _, event in self.events]


async def test_changes_that_come_together_are_told_once(autojump_clock: Any, nursery: trio.Nursery) -> None:
    told = Announced(nursery)
    for _ in range(10):
        told.announcer.request()
    await trio.sleep(10)
    ((_, event),) = told.events
    assert (event.name, event.scope, event.drop_if_slow) == ("presence", "operator.read", True)
    assert event.state_version == {"presence": 1, "health": 7}


async def test_an_arrival_is_for_v4_clients_alone(autojump_clock: Any, nursery: trio.Nursery) -> None:
    told = Announced(nursery)
    told.announcer.request(only=4)
    told.announcer.request(only=4)
    await trio.sleep(10)
    told.announcer.request()
    await trio.sleep(10)
    assert told.only == [4, None]


async def test_what_is_news_to_all_is_not_kept_from_anybody_by_an_arrival(
    autojump_clock: Any, nursery: trio.Nursery
) -> None:
    told = Announced(nursery)
    told.announcer.request()
    told.announcer.request(only=4)
    await trio.sleep(10)
    told.announcer.request(only=4)
    told.announcer.request()
    await trio.sleep(10)
    assert told.only == [None, None]


async def test_the_longer_the_list_the_less_often_it_is_told(
    autojump_clock: Any, nursery: trio.Nursery
) -> None:
    told = Announced(nursery)
    for number in range(99):
        told.presence.arrived(f"c{number}", GUEST)
    for _ in range(50):
        told.announcer.request(only=4)
        await trio.sleep(0.1)
    times = [at for at, _ in told.events]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) >= ANNOUNCE_GAP_S + 1
