"""The counters of calls."""

from openclawd.vitals.calls import UNKNOWN_METHOD, CallCounts, Outcome


def test_calls_are_counted_by_method_and_outcome_and_their_time_adds_up() -> None:
    now = 0.0
    calls = CallCounts(lambda: now)
    for took_s, outcome in ((1.0, Outcome.OK), (2.0, Outcome.OK), (4.0, Outcome.FAILED)):
        began_s = calls.clock()
        now += took_s
        calls.ended("health", outcome, began_s)
    assert calls.counts == {("health", Outcome.OK): 2, ("health", Outcome.FAILED): 1}
    assert calls.seconds == {"health": 7.0}


def test_what_clients_invent_is_one_label() -> None:
    calls = CallCounts(lambda: 0.0)
    for _ in range(3):
        calls.refused(None)
    calls.refused("config.set")
    assert calls.counts == {(UNKNOWN_METHOD, Outcome.REFUSED): 3, ("config.set", Outcome.REFUSED): 1}
