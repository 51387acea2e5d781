"""How late the event loop is: the one number that tells whether something holds everybody up.

A task sleeps a quarter of a second, over and over, and looks how much longer it took: whatever kept the loop
from it kept every client waiting, too. That costs a few wake-ups a second and no message anything,
where instruments that see every turn of the loop would cost a tenth of the gateway's throughput.
"""

import logging
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import Final

import attrs
import trio

SAMPLE_INTERVAL_S: Final = 0.25
# What "now" means: a minute of samples.
SAMPLES_KEPT: Final = 240
# Upper bounds of the histogram, in seconds; a person notices the fifth, a page gives up on none.
BUCKETS_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Before five seconds there is nothing to judge by: a start is busy.
JUDGED_FROM: Final = 20
# The 99th percentile of a minute that people feel, and the share of one core that leaves no room.
DEGRADED_DELAY_S: Final = 0.25
DEGRADED_UTILISATION: Final = 0.95
# One stall of this length is worth a line in the log.
STALL_S: Final = 1.0

_log = logging.getLogger("openclawd.loop")


@attrs.frozen(eq=False, repr=False)
class Clocks:
    """In seconds: of the loop, of its thread's work, and of the whole process's."""

    loop: Callable[[], float] = trio.current_time
    thread: Callable[[], float] = time.thread_time
    process: Callable[[], float] = time.process_time


@attrs.frozen(eq=False, repr=False)
class _Sample:
    at_s: float
    lag_s: float
    thread_s: float
    process_s: float


class LoopLag:
    """The last minute, and the sums since the start."""

    def __init__(self, clocks: Clocks | None = None) -> None:
        self._clocks = Clocks() if clocks is None else clocks
        self._samples: deque[_Sample] = deque(maxlen=SAMPLES_KEPT)
        self._degraded_since_s: float | None = None
        self.buckets = [0] * (len(BUCKETS_S) + 1)
        """Samples within each bound of BUCKETS_S, above the one before; the last number: above all bounds."""
        self.sum_s = 0.0

    @property
    def last_s(self) -> float:
        """The latest sample; 0 before the first."""
        return self._samples[-1].lag_s if self._samples else 0.0

    @property
    def max_s(self) -> float:
        """The largest of the last minute."""
        return max((sample.lag_s for sample in self._samples), default=0.0)

    def record(self, lag_s: float) -> None:
        """One sample, taken now."""
        lag_s = max(0.0, lag_s)
        clocks = self._clocks
        self._samples.append(_Sample(clocks.loop(), lag_s, clocks.thread(), clocks.process()))
        self.buckets[bisect_left(BUCKETS_S, lag_s)] += 1
        self.sum_s += lag_s
        if not self._reasons():
            self._degraded_since_s = None
        elif self._degraded_since_s is None:
            self._degraded_since_s = clocks.loop()
        if lag_s >= STALL_S:
            _log.warning("loop stalled", extra={"fields": {"lagMs": round(lag_s * 1000)}})

    def to_wire(self) -> dict[str, object]:
        """`eventLoop` of v4's health and readiness, over the last minute (protocol.md 1.3)."""
        since_s = self._degraded_since_s
        passed_s = self._passed_s
        return {
            "degraded": since_s is not None,
            "degradedSinceMs": None if since_s is None else round((self._clocks.loop() - since_s) * 1000),
            "reasons": self._reasons(),
            "intervalMs": round(passed_s * 1000),
            "delayP99Ms": round(self._p99_s() * 1000, 1),
            "delayMaxMs": round(self.max_s * 1000, 1),
            "utilization": round(self._utilisation, 3),
            "cpuCoreRatio": round(self._share(lambda sample: sample.process_s), 3),
        }

    async def serve(self) -> None:
        """Take samples until cancelled."""
        while True:
            due_s = trio.current_time() + SAMPLE_INTERVAL_S
            await trio.sleep_until(due_s)
            self.record(trio.current_time() - due_s)

    def _reasons(self) -> list[str]:
        reasons: list[str] = []
        if len(self._samples) < JUDGED_FROM:
            return reasons
        if self._p99_s() >= DEGRADED_DELAY_S:
            reasons.append("event_loop_delay")
        if self._utilisation >= DEGRADED_UTILISATION:
            reasons.append("event_loop_utilization")
        return reasons

    def _p99_s(self) -> float:
        lags = sorted(sample.lag_s for sample in self._samples)
        return lags[-1 - len(lags) // 100] if lags else 0.0

    @property
    def _passed_s(self) -> float:
        return self._samples[-1].at_s - self._samples[0].at_s if self._samples else 0.0

    @property
    def _utilisation(self) -> float:
        return self._share(lambda sample: sample.thread_s)

    def _share(self, clock: Callable[[_Sample], float]) -> float:
        passed_s = self._passed_s
        return max(0.0, clock(self._samples[-1]) - clock(self._samples[0])) / passed_s if passed_s else 0.0
