"""One source's tries: how many are out, when they come back, how late an answer has to be."""

import math
from typing import Final

import attrs

# Stock's figures: the second try waits a quarter of a second, the seventh and later ones five seconds.
FIRST_DELAY_MS: Final = 250
MAX_DELAY_MS: Final = 5_000
# Answers of one source that are held back at once, if it has no more tries than that.
HELD_MAX: Final = 16


@attrs.frozen(eq=False, repr=False)
class Standing:
    """`tries_left` of `tries` until a source is refused unexamined, and when one more of them is back; 0 when
    all are there.
    """

    tries: int
    tries_left: int
    next_back_ms: int


@attrs.define(eq=False, repr=False)
class Bucket:
    """`spent` of `capacity` tries are out, as of `updated_at_ms`; one comes back each `interval_ms`."""

    interval_ms: float
    capacity: int
    is_loopback: bool = False
    spent: float = 0.0
    updated_at_ms: int = 0
    seen_at_ms: int = 0
    # When the answer to each is due, so that asking again does not tell sooner.
    due_ms: dict[bytes, int] = attrs.Factory(dict)
    # When each answer that is held back is due; a connection waits for each.
    held_ms: list[int] = attrs.Factory(list)

    def hold(self, due_ms: int, now_ms: int) -> int:
        """One more answer that is not given before `due_ms`; how long that is."""
        delay_ms = wait_ms(due_ms, now_ms)
        if delay_ms:
            self.held_ms.append(due_ms)
        return delay_ms

    def crowded_ms(self, now_ms: int) -> int:
        """When one of those who wait for an answer has it; 0 unless that many wait already."""
        most = max(HELD_MAX, self.capacity)
        if len(self.held_ms) < most:
            return 0
        self.held_ms = [due for due in self.held_ms if wait_ms(due, now_ms)]
        if len(self.held_ms) < most:
            return 0
        return min(wait_ms(due, now_ms) for due in self.held_ms)

    def settle(self, now_ms: int) -> None:
        """Give back what has come back by now."""
        elapsed = max(0, now_ms - self.updated_at_ms)
        self.spent = max(0.0, self.spent - elapsed / self.interval_ms)
        self.updated_at_ms = now_ms

    def measure(self, capacity: int, interval_ms: float) -> None:
        """From now on. Nobody owes more tries than he now has."""
        self.capacity, self.interval_ms = capacity, interval_ms
        self.spent = min(self.spent, capacity)

    @property
    def retry_after_ms(self) -> int:
        """0 when a try is left."""
        return max(0, math.ceil((self.spent - (self.capacity - 1)) * self.interval_ms))

    @property
    def standing(self) -> Standing:
        """How many tries are left."""
        left = max(0, math.floor(self.capacity - self.spent))
        missing = self.spent - (self.capacity - left - 1)
        next_back_ms = math.ceil(missing * self.interval_ms) if self.spent else 0
        return Standing(self.capacity, left, next_back_ms)

    @property
    def delay_ms(self) -> int:
        """How much later than at once the next answer may be given."""
        level = math.ceil(self.spent)
        return min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (level - 1)) if level else 0


def wait_ms(due_ms: int, now_ms: int) -> int:
    """No answer is due later than the longest delay; the clock has gone back if one seems to be."""
    left_ms = due_ms - now_ms
    return left_ms if 0 < left_ms <= MAX_DELAY_MS else 0
