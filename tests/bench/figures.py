"""What is measured, and the budget that each figure has."""

from collections.abc import Mapping
from typing import Final

import attrs


@attrs.frozen
class Figure:
    """One row. `budget` is the worst value that meets it; with `strict`, the first that does not."""

    name: str
    title: str
    unit: str
    budget: float
    more_is_better: bool = False
    strict: bool = False
    digits: int = 0

    def met(self, value: float) -> bool:
        """Whether `value` keeps the budget."""
        if value == self.budget:
            return not self.strict
        return (value > self.budget) is self.more_is_better

    @property
    def budget_text(self) -> str:
        sign = "≥" if self.more_is_better else "<" if self.strict else "≤"
        return f"{sign} {number(self.budget, self.digits)} {self.unit}"


def number(value: float, digits: int) -> str:
    """The value with a space between the thousands."""
    return f"{value:,.{digits}f}".replace(",", " ")


_ALL: Final = (
    Figure("start", "start to first hello-ok", "s", 0.4, strict=True, digits=3),
    Figure("idle", "idle memory (RSS)", "MB", 45, strict=True, digits=1),
    Figure("idle-signed", "the same after a signed client", "MB", 45, strict=True, digits=1),
    Figure("memory", "memory a further client", "KiB", 31, digits=1),
    Figure("handshakes-returning", "signed handshakes, device token", "/s", 900, more_is_better=True),
    Figure("handshakes-known", "the same, known device, shared token", "/s", 900, more_is_better=True),
    Figure("handshakes-new", "the same, new device", "/s", 900, more_is_better=True),
    Figure("health", "pipelined health calls on one core", "/s", 15_000, more_is_better=True),
    Figure("burst", "deliveries to 1000 clients in bursts", "/s", 100_000, more_is_better=True),
    Figure("fan-out", "1 event to 1000 clients, p99", "ms", 100, strict=True, digits=1),
    Figure("first-delta", "first chat delta after provider's byte", "ms", 10, digits=1),
    Figure("restart-1", "planned restart, a client is back", "s", 1, digits=2),
    Figure("restart-50", "the same, the last of 50 clients", "s", 1, digits=2),
    Figure("restart-1000", "the same, the last of 1000 clients", "s", 1, digits=2),
    Figure("restart-signed", "the same, of 1000 signed devices", "s", 1, digits=2),
)
FIGURES: Final[Mapping[str, Figure]] = {figure.name: figure for figure in _ALL}


@attrs.frozen
class Reading:
    """One measurement, and what stands beside it: how it came about."""

    value: float
    beside: str = ""


@attrs.frozen
class Scale:
    """How much is done in one round."""

    handshakes: int
    calls: int
    crowd: int
    bursts: int
    events: int
    deltas: int


FULL: Final = Scale(handshakes=400, calls=20_000, crowd=1000, bursts=4, events=6, deltas=5)
QUICK: Final = Scale(handshakes=150, calls=8_000, crowd=1000, bursts=2, events=3, deltas=3)
