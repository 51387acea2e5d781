"""The fan-out. `publish` never waits: it encodes an event once a wire generation and offers it to every
member.

A member that cannot keep up is its own outbox's concern, so that a stuck client costs the others nothing.
`seq` is one counter a wire generation and starts at 1 with each process generation, as stock clients expect;
a client that may not hear an event sees a gap, which they tolerate. Nothing here awaits, so events leave in
the order in which they were published, and a client that resumes misses none between what is replayed to it
and the first that it hears live.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, Protocol

from openclawd.auth.scopes import allows
from openclawd.events.event import Event
from openclawd.events.journal import MAX_BYTES, MAX_EVENTS, Journal, NotUnderstood, Resumed
from openclawd.protocol.frames import event_frame
from openclawd.protocol.versions import V3, V4
from openclawd.protocol.websocket_frames import text_frame

# What hello-ok tells anyway, or what is of no use later, is numbered but not replayed.
PASSING: Final = frozenset(("health", "openclawd.update", "presence", "shutdown", "tick", "update.available"))

_log = logging.getLogger("openclawd.gateway")


class Member(Protocol):
    """Who hears events: an admitted client, seen from the hub."""

    @property
    def connection_id(self) -> str: ...
    @property
    def wire_generation(self) -> int: ...
    @property
    def scopes(self) -> frozenset[str]: ...

    def offer(self, frame: bytes, *, drop_if_slow: bool) -> None:
        """Take a finished WebSocket frame; must not wait and must not raise."""


class Hub:
    """Everybody who is connected, and the counters of what was said."""

    def __init__(
        self,
        epoch: str,
        previous: Mapping[str, Any] | None = None,
        *,
        max_events: int = MAX_EVENTS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """`epoch` names this process generation; `previous` is what the one before handed over. As much as
        the bounds allow is kept for clients that come back.
        """
        self._members: dict[str, Member] = {}
        self._present: Counter[int] = Counter()
        try:
            self._journal = Journal(epoch, previous, max_events=max_events, max_bytes=max_bytes)
        except NotUnderstood as error:
            _log.warning("events not taken over", extra={"fields": {"reason": str(error)}})
            self._journal = Journal(epoch, max_events=max_events, max_bytes=max_bytes)
        self.published: Counter[str] = Counter()
        """How many events of each name there were, whoever heard of them."""

        self.resumes: Counter[str] = Counter()
        """Clients that came back with a position: `recovered`, or to `reload`."""

    def __len__(self) -> int:
        return len(self._members)

    def join(self, member: Member) -> None:
        """From now on `member` is offered every event that it may hear."""
        if member.connection_id not in self._members:
            self._present[member.wire_generation] += 1
            self._journal.arrived(member.wire_generation)
        self._members[member.connection_id] = member

    def leave(self, member: Member) -> None:
        """Forget `member`; unknown ones are ignored, so that leaving twice is harmless."""
        if self._members.pop(member.connection_id, None) is not None:
            self._present[member.wire_generation] -= 1
            if not self._present[member.wire_generation]:
                self._journal.deserted(member.wire_generation)

    def publish(self, event: Event) -> None:
        """Offer `event` to each member that may hear it."""
        self.published[event.name] += 1
        numbers: dict[int, int] = {}
        frames: dict[int, bytes] = {}
        if event.connections is None:
            self._number(event, numbers, frames)
        for member in self._audience(event):
            generation = member.wire_generation
            if not event.is_for(generation):
                continue
            if event.scope is not None and not allows(member.scopes, event.scope):
                continue
            frame = frames.get(generation)
            if frame is None:
                frame = frames[generation] = _encoded(event, generation, numbers.get(generation))
            member.offer(frame, drop_if_slow=event.drop_if_slow)

    def position(self, wire_generation: int) -> tuple[str, int]:
        """Where a wire generation stands: the epoch, and the `seq` of its last broadcast."""
        return self._journal.epoch, self._journal.seq(wire_generation)

    def resume(
        self, wire_generation: int, scopes: frozenset[str], epoch: str | None, seq: int | None
    ) -> Resumed:
        """What a client that has heard everything up to (`epoch`, `seq`) missed; who joins before anything
        waits misses nothing after it.
        """
        resumed = self._journal.resume(wire_generation, scopes, epoch, seq)
        if epoch is not None:
            self.resumes["recovered" if resumed.recovered else "reload"] += 1
        return resumed

    def hand_over(self) -> dict[str, Any]:
        """What the next generation's hub needs for clients to resume, as JSON."""
        return self._journal.hand_over()

    def _number(self, event: Event, numbers: dict[int, int], frames: dict[int, bytes]) -> None:
        """Give a broadcast its `seq` by wire generation, and journal it where somebody may come back for it;
        one that never hears of it is not counted on.
        """
        journal, only = self._journal, event.only
        passes = event.name in PASSING
        for generation in (V3, V4) if only is None else (only,):
            seq = numbers[generation] = journal.number(generation)
            if not passes and journal.is_kept(generation):
                frame = frames[generation] = _encoded(event, generation, seq)
                journal.append(generation, event.scope, frame)

    def _audience(self, event: Event) -> list[Member]:
        if event.connections is None:
            return list(self._members.values())
        return [self._members[each] for each in event.connections if each in self._members]


def _encoded(event: Event, generation: int, seq: int | None) -> bytes:
    return text_frame(
        event_frame(event.name, event.payload_for(generation), seq=seq, state_version=event.state_version)
    )
