"""The fan-out. `publish` never waits: it encodes an event once a wire generation and offers it to every
member.

A member that cannot keep up is its own outbox's concern, so that a stuck client costs the others nothing.
`seq` is one counter a wire generation and starts at 1 with each process generation, as stock clients expect;
a client that may not hear an event sees a gap, which they tolerate. Nothing here awaits, so events leave in
the order in which they were published.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from openclawd.auth.scopes import allows
from openclawd.events.event import Event
from openclawd.protocol.frames import event_frame
from openclawd.protocol.versions import V3, V4
from openclawd.protocol.websocket_frames import text_frame


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

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._seq = {V3: 0, V4: 0}
        self.published: Counter[str] = Counter()
        """How many events of each name there were, whoever heard of them."""

    def __len__(self) -> int:
        return len(self._members)

    def join(self, member: Member) -> None:
        """From now on `member` is offered every event that it may hear."""
        self._members[member.connection_id] = member

    def leave(self, member: Member) -> None:
        """Forget `member`; unknown ones are ignored, so that leaving twice is harmless."""
        self._members.pop(member.connection_id, None)

    def publish(self, event: Event) -> None:
        """Offer `event` to each member that may hear it."""
        self.published[event.name] += 1
        numbers = self._number(event)
        frames: dict[int, bytes] = {}
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

    def _number(self, event: Event) -> Mapping[int, int]:
        """The `seq` of a broadcast by wire generation; one that never hears of it is not counted on."""
        if event.connections is not None:
            return {}
        for generation in self._seq:
            self._seq[generation] += event.is_for(generation)
        return self._seq

    def _audience(self, event: Event) -> list[Member]:
        if event.connections is None:
            return list(self._members.values())
        return [self._members[each] for each in event.connections if each in self._members]


def _encoded(event: Event, generation: int, seq: int | None) -> bytes:
    return text_frame(
        event_frame(event.name, event.payload_for(generation), seq=seq, state_version=event.state_version)
    )
