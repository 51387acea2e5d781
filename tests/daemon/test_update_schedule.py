"""When a gateway looks for newer versions by itself, and which it takes."""

from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.daemon.update_schedule import is_due, is_quiet, was_tried
from openclawd.slots.trial import End, Outcome

HOUR_MS = 60 * 60 * 1000
NOW_MS = 1_795_000_000_000


@pytest.mark.parametrize(
    ("at", "quiet"),
    [("21:59", False), ("22:00", True), ("23:59", True), ("00:00", True), ("06:59", True), ("07:00", False)],
)
def test_quiet_hours_go_over_midnight(at: str, quiet: bool) -> None:
    assert is_quiet("22:00-07:00", time.fromisoformat(at)) is quiet


@given(st.times(), st.times(), st.times())
def test_of_two_times_either_is_quiet_or_the_rest_of_the_day_is(first: time, last: time, at: time) -> None:
    one, other = (each.strftime("%H:%M") for each in (first, last))
    if one != other:
        assert is_quiet(f"{one}-{other}", at) != is_quiet(f"{other}-{one}", at)


def test_without_quiet_hours_it_may_begin_at_any_time() -> None:
    assert not is_quiet(None, time(3, 0))


@pytest.mark.parametrize(
    ("ago_h", "failed", "due"),
    [
        (None, False, True),
        (23.9, False, False),
        (24, False, True),
        (0.9, True, False),
        (1, True, True),
        (-5, False, True),
    ],
    ids=["never", "too early", "a day ago", "failed just now", "failed an hour ago", "the clock was wrong"],
)
def test_it_is_looked_once_a_day_and_sooner_after_a_failure(
    ago_h: float | None, failed: bool, due: bool
) -> None:
    looked_at_ms = None if ago_h is None else NOW_MS - int(ago_h * HOUR_MS)
    assert is_due(looked_at_ms, NOW_MS, every_hours=24, failed=failed) is due


@pytest.mark.parametrize(("end", "tried"), [("confirmed", False), ("rolled-back", True), ("failed", True)])
def test_a_version_that_did_not_stay_is_not_tried_again_by_itself(end: End, tried: bool) -> None:
    last = Outcome("1.0.0", "1.1.0", end, NOW_MS, "guard", None)
    assert was_tried("1.1.0", last) is tried
    assert not was_tried("1.1.1", last)
    assert was_tried("1.1.0", Outcome("1.0.0", "", "failed", NOW_MS, "updater", None), last) is tried
    assert not was_tried("1.1.0", None)
