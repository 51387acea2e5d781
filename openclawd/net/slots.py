"""The places of connections that are nobody's yet, and who makes room when there are no more.

A stranger costs memory and a descriptor before anything is known about him, so there is a bound on them. When
it is reached, the one that is missed least goes, and the newcomer comes in: a crowd that only sits there
keeps nobody out. In this order:

1. who has what he wanted: an idle keep-alive, or one that was told everything and only has to go;
2. the oldest of the source that holds the most, where that is more than a household needs;
3. where one source holds more than half of the places: one of its own, even one that waits for us;
4. the oldest of all, if those that we wait for hold more than a quarter of the places.

"Oldest" counts from the last step forward. Who waits for us, be it for his turn or for a decision, stays, but
for 3: sending him away would make nothing quicker. Where most do, newcomers wait as well. But one whose own
source is a crowd takes nothing from smaller ones: where its own cannot make room he is refused, so that
nobody waits behind him.

What comes through a trusted proxy has no source here (None), as everybody behind the proxy would be one: each
stands for itself.

A pure table: it knows neither sockets nor time. Guaranteed: there are never more holders than places, and who
loses his is told to the caller, once.
"""

import enum
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

import attrs

# A browser opens six connections to one host, and has an app or two beside it.
HOUSEHOLD: Final = 12


class Stage(enum.Enum):
    """How far a connection has come."""

    OPEN = "open"
    """No whole request head is here."""

    WAITING = "waiting"
    """Its first bytes are here, and it is us it waits for."""

    ANSWERING = "answering"
    """An HTTP request is being answered."""

    KEPT = "kept"
    """HTTP between two requests."""

    UPGRADED = "upgraded"
    """A WebSocket whose `connect` is not here."""

    DECIDING = "deciding"
    """Its `connect` is being decided."""

    LEAVING = "leaving"
    """It was told everything."""


Reached = Callable[[Stage], None]
"""Told how far a connection has come."""


def unwatched(_: Stage) -> None:
    """For a connection that holds no place."""


class Full(enum.Enum):
    """Why there is no place for a newcomer."""

    WAIT = "wait"
    """Most wait for us; that ends in seconds."""

    REFUSE = "refuse"
    """Its own source holds too much already."""


Holder = TypeVar("Holder")


@attrs.define(eq=False, repr=False)
class _Source(Generic[Holder]):
    """What one source holds: who may have to go, the oldest first, and whom we keep waiting."""

    count: int = 0
    movable: dict[Holder, None] = attrs.Factory(dict)
    kept_waiting: dict[Holder, None] = attrs.Factory(dict)


@attrs.define(eq=False, repr=False)
class _Place(Generic[Holder]):
    """Where a holder is listed."""

    source: _Source[Holder] | None
    key: str | None
    lists: tuple[dict[Holder, None], ...] = ()


class Slots(Generic[Holder]):
    """A table of `places`; what holds one is whatever the caller likes."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._household = max(1, min(HOUSEHOLD, places // 2))
        self._holders: dict[Holder, _Place[Holder]] = {}
        self._done: dict[Holder, None] = {}
        self._movable: dict[Holder, None] = {}
        self._sources: dict[str, _Source[Holder]] = {}
        # Those above a household: never more than places / household.
        self._crowds: dict[str, _Source[Holder]] = {}

    def __len__(self) -> int:
        return len(self._holders)

    def __iter__(self) -> Iterator[Holder]:
        return iter(self._holders)

    def take(self, newcomer: Holder, source: str | None) -> Holder | Full | None:
        """Give `newcomer` a place, in stage OPEN. Who lost his for it, if anybody; or why there is none."""
        victim = None
        if len(self._holders) >= self._places:
            victim = next(self._missed_least(source), None)
            if victim is None:
                return Full.REFUSE if source in self._crowds else Full.WAIT
            self.give_back(victim)
        place: _Place[Holder] = _Place(None, source)
        if source is not None:
            place.source = held = self._sources.setdefault(source, _Source())
            held.count += 1
            if held.count > self._household:
                self._crowds[source] = held
        self._holders[newcomer] = place
        self._list(newcomer, place, Stage.OPEN)
        return victim

    def move(self, holder: Holder, stage: Stage) -> None:
        """`holder` came to `stage`, as its youngest. Nothing, when it holds no place any more."""
        place = self._holders.get(holder)
        if place is not None:
            for each in place.lists:
                del each[holder]
            self._list(holder, place, stage)

    def give_back(self, holder: Holder) -> bool:
        """`holder` needs no place any more; False when it had none."""
        place = self._holders.pop(holder, None)
        if place is None:
            return False
        for each in place.lists:
            del each[holder]
        held, key = place.source, place.key
        if held is not None and key is not None:
            held.count -= 1
            if held.count <= self._household:
                self._crowds.pop(key, None)
            if not held.count:
                del self._sources[key]
        return True

    def largest(self) -> tuple[str, int] | None:
        """The source that holds the most places, and how many; None when none is above a household."""
        crowds = self._by_size()
        return (crowds[0], self._crowds[crowds[0]].count) if crowds else None

    def _missed_least(self, newcomer: str | None) -> Iterator[Holder]:
        yield from self._done
        own = self._crowds.get(newcomer) if newcomer is not None else None
        crowds = [self._crowds[source] for source in self._by_size()]
        for crowd in crowds:
            if own is None or crowd.count >= own.count:
                yield from crowd.movable
        for crowd in crowds:
            if crowd is not own and crowd.count * 2 > self._places:
                yield from crowd.kept_waiting
        if own is None and len(self._movable) * 4 > self._places:
            yield from self._movable

    def _by_size(self) -> list[str]:
        return sorted(self._crowds, key=lambda source: self._crowds[source].count, reverse=True)

    def _list(self, holder: Holder, place: _Place[Holder], stage: Stage) -> None:
        held = place.source
        if stage is Stage.KEPT or stage is Stage.LEAVING:
            place.lists = (self._done,)
        elif stage is Stage.DECIDING or stage is Stage.WAITING:
            place.lists = (held.kept_waiting,) if held is not None else ()
        else:
            place.lists = (self._movable, held.movable) if held is not None else (self._movable,)
        for each in place.lists:
            each[holder] = None
