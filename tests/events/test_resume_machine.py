"""Whatever happens, a client that resumes hears exactly what it would have heard, once, or is told to reload.

The model is a client that never lost its socket; bounds are small, so that they matter.
"""

import json
from typing import Any

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from openclawd.auth.scopes import allows
from openclawd.events.event import Event
from openclawd.events.hub import PASSING, Hub
from openclawd.protocol.versions import V3, V4

MAX_EVENTS = 4
MAX_BYTES = 600
SCOPES = (None, "operator.read", "operator.pairing")
GRANTS = (
    frozenset[str](),
    frozenset({"operator.read"}),
    frozenset({"operator.admin"}),
)
# name, scope, only, size
EVENTS = st.tuples(
    st.sampled_from(("chat", "agent", "chat", "tick", "health")),
    st.sampled_from(SCOPES),
    st.sampled_from((None, V3, V4)),
    st.sampled_from((1, 1, 1, 120, 1000)),
)


@attrs.frozen
class Said:
    """A broadcast as it was numbered for one wire generation."""

    epoch: str
    seq: int
    name: str
    scope: str | None
    payload: dict[str, Any]


@attrs.define(eq=False)
class Traveller:
    """A client that comes and goes, and the position that it would resume from."""

    connection_id: str
    wire_generation: int
    scopes: frozenset[str]
    here: bool = False
    epoch: str = ""
    crashes: int = 0
    """How many there had been when it was here last."""

    heard_up_to: int = 0
    """An index into what was said to its wire generation."""

    fresh: list[dict[str, Any]] = attrs.Factory(list)

    def offer(self, frame: bytes, *, drop_if_slow: bool) -> None:
        self.fresh.append(json.loads(frame[frame.index(b"{") :]))


class Resuming(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.epochs = 0
        self.crashes = 0
        self.hub = self._hub(None)
        self.said: dict[int, list[Said]] = {V3: [], V4: []}
        self.travellers = [
            Traveller(f"{generation}-{index}", generation, scopes)
            for generation in (V3, V4)
            for index, scopes in enumerate(GRANTS)
        ]

    def _hub(self, previous: dict[str, Any] | None) -> Hub:
        self.epochs += 1
        self.epoch = f"e{self.epochs}"
        self.seq = {V3: 0, V4: 0}
        return Hub(self.epoch, previous, max_events=MAX_EVENTS, max_bytes=MAX_BYTES)

    @rule(events=st.lists(EVENTS, min_size=1, max_size=3))
    def publish(self, events: list[tuple[str, str | None, int | None, int]]) -> None:
        for name, scope, only, size in events:
            payload = {"n": sum(map(len, self.said.values())), "text": "x" * size}
            for generation in (V3, V4):
                if only in (None, generation):
                    self.seq[generation] += 1
                    self.said[generation].append(Said(self.epoch, self.seq[generation], name, scope, payload))
            self.hub.publish(Event(name, payload, only=only, scope=scope))

    @rule(index=st.integers(0, 5))
    def come_or_leave(self, index: int) -> None:
        traveller = self.travellers[index]
        if traveller.here:
            self._hear(traveller)
            traveller.here = False
            self.hub.leave(traveller)
        else:
            self._come(traveller)

    @rule()
    def all_come(self) -> None:
        for traveller in self.travellers:
            if not traveller.here:
                self._come(traveller)

    @rule()
    def all_leave(self) -> None:
        for traveller in self.travellers:
            if traveller.here:
                self._hear(traveller)
                traveller.here = False
                self.hub.leave(traveller)

    def _come(self, traveller: Traveller) -> None:
        said = self.said[traveller.wire_generation]
        last = next(
            (each.seq for each in reversed(said[: traveller.heard_up_to]) if each.epoch == traveller.epoch),
            0,
        )
        resumed = self.hub.resume(traveller.wire_generation, traveller.scopes, traveller.epoch or None, last)
        self.hub.join(traveller)
        traveller.here = True
        assert (resumed.epoch, resumed.seq) == (self.epoch, self.seq[traveller.wire_generation])

        behind = said[traveller.heard_up_to :]
        for frame in resumed.frames:
            traveller.offer(frame, drop_if_slow=False)
        if resumed.recovered:
            replayed = [each for each in behind if each.name not in PASSING]
            self._check(traveller, replayed)
        else:
            assert not resumed.frames
            assert self._is_lost(traveller, behind)
        traveller.epoch, traveller.crashes, traveller.heard_up_to = self.epoch, self.crashes, len(said)

    @rule()
    def restart(self) -> None:
        self.all_leave()
        self.hub = self._hub(json.loads(json.dumps(self.hub.hand_over())))

    @rule(is_rare=st.integers(0, 7))
    def crash(self, is_rare: int) -> None:
        if is_rare == 7:
            self.all_leave()
            self.crashes += 1
            self.hub = self._hub(None)

    @invariant()
    def whoever_is_here_hears_what_is_said(self) -> None:
        for traveller in self.travellers:
            if traveller.here:
                self._hear(traveller)

    def _hear(self, traveller: Traveller) -> None:
        """A client that reads has heard everything that is said to it."""
        said = self.said[traveller.wire_generation]
        self._check(traveller, said[traveller.heard_up_to :])
        traveller.heard_up_to = len(said)

    def _check(self, traveller: Traveller, expected: list[Said]) -> None:
        heard = [
            (frame.get("epoch", self.epoch), frame["seq"], frame["event"], frame["payload"])
            for frame in traveller.fresh
        ]
        traveller.fresh.clear()
        assert heard == [
            (each.epoch, each.seq, each.name, each.payload)
            for each in expected
            if each.scope is None or allows(traveller.scopes, each.scope)
        ]

    def _is_lost(self, traveller: Traveller, behind: list[Said]) -> bool:
        """Whether it had to be told to reload: it was never here, the journal is gone, or too much was said
        since, to both generations together.
        """
        if not traveller.epoch or traveller.crashes != self.crashes:
            return True
        since = behind[0].payload["n"] if behind else None
        if since is None:
            return False
        frames = [
            each
            for said in self.said.values()
            for each in said
            if each.payload["n"] >= since and each.name not in PASSING
        ]
        return len(frames) > MAX_EVENTS or sum(150 + len(each.payload["text"]) for each in frames) > MAX_BYTES


TestResuming = Resuming.TestCase
TestResuming.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
