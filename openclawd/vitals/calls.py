"""How often each method was called, how that ended, and how long it took altogether.

Only methods that exist are told apart: what clients invent is one label, so that nobody can fill the memory
with names.
"""

import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Final

UNKNOWN_METHOD: Final = "unknown"


class Outcome(StrEnum):
    """How a call ended."""

    OK = "ok"
    ERROR = "error"
    """The handler, or the check of its params, said no."""
    FAILED = "failed"
    """A fault of ours; the log has it."""
    REFUSED = "refused"
    """Unknown, or not for this caller."""
    LEFT = "left"
    """The client went before the answer came."""


class CallCounts:
    """Counters only; one `dict` update a call. `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock: Final = clock
        self.counts: Counter[tuple[str, Outcome]] = Counter()
        self.seconds: dict[str, float] = {}

    def refused(self, method: str | None) -> None:
        """A call that reached no handler; None for a method that does not exist."""
        self.counts[method or UNKNOWN_METHOD, Outcome.REFUSED] += 1

    def ended(self, method: str, outcome: Outcome, began_s: float) -> None:
        """A call that began at `began_s` of the clock is over."""
        self.counts[method, outcome] += 1
        self.seconds[method] = self.seconds.get(method, 0.0) + self.clock() - began_s
