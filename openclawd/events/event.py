"""What happened, as a value: encoded once a wire generation, whoever hears of it."""

from collections.abc import Mapping

import attrs

from openclawd.protocol.versions import V4


@attrs.frozen(eq=False, repr=False)
class Event:
    """One thing to tell clients.

    `payload_v4` is what v4 clients get where their form differs; an event with `only` is for clients of that
    wire generation alone, as its news is told to the other in another way, or not at all. `scope` is what a
    client must hold to hear it; None means every client. `drop_if_slow` events are skipped for a client whose
    outbox is full, any other event ends that client (protocol: slow consumer). An event with `connections`
    goes to these only and carries no `seq`, as the sequence belongs to broadcasts.
    """

    name: str
    payload: Mapping[str, object]
    payload_v4: Mapping[str, object] | None = None
    only: int | None = None
    scope: str | None = None
    drop_if_slow: bool = False
    state_version: Mapping[str, int] | None = None
    connections: frozenset[str] | None = None

    def is_for(self, wire_generation: int) -> bool:
        """Whether clients of `wire_generation` hear of it at all."""
        return self.only is None or self.only == wire_generation

    def payload_for(self, wire_generation: int) -> Mapping[str, object]:
        """The payload in the form of `wire_generation`."""
        return self.payload if wire_generation < V4 or self.payload_v4 is None else self.payload_v4
