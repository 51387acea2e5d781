"""The event loop's lag: what a stall looks like from inside."""

import logging

import pytest
import trio
import trio.testing

from openclawd.vitals.loop_lag import BUCKETS_S, SAMPLE_INTERVAL_S, SAMPLES_KEPT, Clocks, LoopLag


class Machine:
    """Clocks that go on when they are told to."""

    def __init__(self) -> None:
        self.loop = self.thread = self.process = 0.0

    def lag(self) -> LoopLag:
        return LoopLag(Clocks(lambda: self.loop, lambda: self.thread, lambda: self.process))

    def goes_on(self, seconds: float, *, busy: float = 0.0) -> None:
        self.loop += seconds
        self.thread += seconds * busy
        self.process += seconds * busy


def measured(*lags_s: float, busy: float = 0.0) -> LoopLag:
    machine = Machine()
    lag = machine.lag()
    for lag_s in lags_s:
        machine.goes_on(SAMPLE_INTERVAL_S, busy=busy)
        lag.record(lag_s)
    return lag


def test_before_the_first_sample_all_is_well() -> None:
    told = LoopLag().to_wire()
    assert (told["degraded"], told["delayP99Ms"], told["intervalMs"]) == (False, 0.0, 0)


def test_a_sample_counts_in_the_first_bucket_that_holds_it() -> None:
    lag = measured(0.0005, 0.001, 0.0011, 99.0)
    assert lag.buckets[0] == 2
    assert lag.buckets[1] == 1
    assert lag.buckets[len(BUCKETS_S)] == 1
    assert lag.sum_s == pytest.approx(99.0026)


def test_last_and_largest_are_of_the_last_minute() -> None:
    lag = measured(3.0, *[0.001] * (SAMPLES_KEPT - 1), 0.002)
    assert (lag.last_s, lag.max_s) == (0.002, 0.002)


def test_one_stall_in_a_minute_is_shown_and_degrades_nothing() -> None:
    told = measured(*[0.001] * 200, 0.9, *[0.001] * 39).to_wire()
    assert told["delayMaxMs"] == 900.0
    assert told["delayP99Ms"] == 1.0
    assert told["degraded"] is False


def test_many_stalls_are_a_degraded_loop_and_it_says_since_when() -> None:
    told = measured(*[0.001] * 20, *[0.4] * 5).to_wire()
    assert told["degraded"] is True
    assert told["reasons"] == ["event_loop_delay"]
    # The first of five was enough, and four samples have passed since.
    assert told["degradedSinceMs"] == 4 * SAMPLE_INTERVAL_S * 1000


def test_a_loop_without_a_pause_is_degraded_too() -> None:
    told = measured(*[0.001] * 40, busy=0.97).to_wire()
    assert told["reasons"] == ["event_loop_utilization"]
    assert (told["utilization"], told["cpuCoreRatio"]) == (0.97, 0.97)


def test_a_busy_start_is_not_judged() -> None:
    assert measured(0.5, 0.5, busy=1.0).to_wire()["degraded"] is False


def test_a_loop_that_recovers_is_degraded_no_longer() -> None:
    told = measured(*[0.4] * 30, *[0.001] * SAMPLES_KEPT).to_wire()
    assert (told["degraded"], told["degradedSinceMs"]) == (False, None)


async def test_a_loop_that_keeps_time_has_no_lag(autojump_clock: trio.testing.MockClock) -> None:
    lag = LoopLag()
    with trio.move_on_after(10):
        await lag.serve()
    assert sum(lag.buckets) == 10 / SAMPLE_INTERVAL_S - 1
    assert lag.max_s == 0.0


def test_a_long_stall_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "openclawd.loop"):
        measured(0.001, 2.5)
    said = [(each.message, vars(each)["fields"]) for each in caplog.records]
    assert said == [("loop stalled", {"lagMs": 2500})]
