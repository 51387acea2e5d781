"""What clients heard over restarts, and whether each heard everything once.

A broadcast is addressed by (epoch, seq); `seq` is one counter a wire generation, so clients of one wire
generation that may hear everything are each other's witnesses. Pure: frames go in, faults come out.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
import orjson
import trio

# Their state is in every hello-ok: they have a number, and are not told again.
STATE_EVENTS: Final = frozenset({"presence", "health", "tick", "shutdown"})


@attrs.frozen(order=True)
class Place:
    """Where in the story of one wire generation: `epoch` counts the epochs as they came."""

    epoch: int
    seq: int


@attrs.frozen
class Heard:
    """One broadcast at one client. `live` is the number of its connection, for one that was published after
    the hello-ok of that; None where it was told again.
    """

    place: Place
    name: str
    digest: int
    live: int | None
    step: tuple[str, int] | None = None
    """Of an agent event, the run and the number in it: from 1, and from 1 again when it begins anew."""


@attrs.define
class Span:
    """What a client heard from a place on, over as many connections as were told `recovered`."""

    start: Place
    heard: list[Heard] = attrs.Factory(list)


class Epochs:
    """The epochs in the order in which anybody met them."""

    def __init__(self) -> None:
        self._order: dict[str, int] = {}
        self._another = trio.Event()

    def __len__(self) -> int:
        return len(self._order)

    def number(self, epoch: str) -> int:
        if epoch not in self._order:
            self._order[epoch] = len(self._order)
            self._another.set()
            self._another = trio.Event()
        return self._order[epoch]

    async def more_than(self, count: int) -> None:
        """Wait until there are."""
        while len(self) <= count:
            await self._another.wait()


class Ledger:
    """One client's. `wire` is its wire generation; it may hear every broadcast."""

    def __init__(self, name: str, wire: int, epochs: Epochs) -> None:
        self.name = name
        self.wire = wire
        self.spans: list[Span] = []
        self.recoveries = 0
        self._epochs = epochs
        self._connections = 0
        self._epoch = ""
        self._greeted = Place(0, 0)
        self._position: dict[str, Any] = {}

    @property
    def position(self) -> dict[str, Any]:
        """For `connect.params.resume`."""
        return dict(self._position)

    def welcome(self, resume: Mapping[str, Any]) -> None:
        """A hello-ok came; its member `resume`."""
        self._connections += 1
        self._epoch = resume["epoch"]
        self._greeted = Place(self._epochs.number(self._epoch), resume["seq"])
        if resume["recovered"]:
            self.recoveries += 1
        else:
            self._position = {"epoch": resume["epoch"], "seq": resume["seq"]}
            self.spans.append(Span(self._greeted))

    def hear(self, frame: Mapping[str, Any]) -> None:
        """An event came; one without `seq` is no broadcast."""
        seq = frame.get("seq")
        if seq is None:
            return
        epoch = frame.get("epoch", self._epoch)
        place = Place(self._epochs.number(epoch), seq)
        self._position = {"epoch": epoch, "seq": seq}
        digest = hash(orjson.dumps((frame["event"], frame.get("payload"))))
        live = self._connections if place > self._greeted else None
        step = (frame["payload"]["runId"], frame["payload"]["seq"]) if frame["event"] == "agent" else None
        self.spans[-1].heard.append(Heard(place, frame["event"], digest, live, step))


def faults(ledgers: Sequence[Ledger]) -> list[str]:
    """A sentence for each thing that was lost, doubled, out of order or told in two ways."""
    found: list[str] = []
    for wire in sorted({ledger.wire for ledger in ledgers}):
        witnesses = [ledger for ledger in ledgers if ledger.wire == wire]
        union: dict[Place, Heard] = {}
        for ledger in witnesses:
            for each in _all(ledger):
                first = union.setdefault(each.place, each)
                if first.digest != each.digest:
                    found.append(f"{ledger.name}: {_at(each)} was told to others as another event")
        told = sorted(place for place, each in union.items() if each.name not in STATE_EVENTS)
        for ledger in witnesses:
            found += _order(ledger)
            found += _steps(ledger)
            found += _losses(ledger, told, union)
    return found


def _all(ledger: Ledger) -> Iterable[Heard]:
    for span in ledger.spans:
        yield from span.heard


def _order(ledger: Ledger) -> list[str]:
    found = []
    times = Counter(each.place for each in _all(ledger))
    found += [f"{ledger.name}: {place} came {count} times" for place, count in times.items() if count > 1]
    for span in ledger.spans:
        latest = span.start
        for each in span.heard:
            if each.place < latest:
                found.append(f"{ledger.name}: {_at(each)} came after {latest}")
            latest = max(latest, each.place)
    return found


def _steps(ledger: Ledger) -> list[str]:
    """What all of them lost has no witness; but runs count their own events, too."""
    found = []
    for span in ledger.spans:
        latest: dict[str, int] = {}
        for each in span.heard:
            if each.step is None:
                continue
            run_id, number = each.step
            if run_id in latest and number not in {1, latest[run_id] + 1}:
                found.append(
                    f"{ledger.name}: {_at(each)} is step {number} of {run_id} after {latest[run_id]}"
                )
            latest[run_id] = number
    return found


def _losses(ledger: Ledger, told: Sequence[Place], union: Mapping[Place, Heard]) -> list[str]:
    found = []
    for number, span in enumerate(ledger.spans):
        heard = {each.place for each in span.heard}
        is_last = number == len(ledger.spans) - 1
        end = max(told, default=span.start) if is_last else max(heard, default=span.start)
        due = told[bisect_right(told, span.start) : bisect_right(told, end)]
        found += [f"{ledger.name}: {_at(union[place])} was lost" for place in due if place not in heard]
        # Nobody may be a witness for what all of them lost; but who listened saw the number jump.
        for before, after in zip(span.heard, span.heard[1:], strict=False):
            if after.live is None or before.live != after.live:
                continue
            skipped = range(before.place.seq + 1, after.place.seq)
            missing = [seq for seq in skipped if Place(after.place.epoch, seq) not in union]
            if missing:
                found.append(f"{ledger.name}: {_at(after)} came live right after {before.place.seq}")
    return found


def _at(heard: Heard) -> str:
    return f"{heard.name} {heard.place.epoch}:{heard.place.seq}"
