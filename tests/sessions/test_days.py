"""Days as clients ask for them."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.protocol.errors import RequestError
from openclawd.sessions.days import MAX_DAYS, Span

NOON_MS = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp() * 1000)
HOUR_MS = 3_600_000

dates = st.dates(date(1990, 1, 1), date(2100, 1, 1))
zones = st.sampled_from(["UTC", "Europe/Vienna", "America/St_Johns", "Pacific/Apia", "Asia/Kathmandu"])


def test_without_dates_it_is_the_last_thirty_days_with_today() -> None:
    days = Span().resolve(NOON_MS)
    assert (len(days), days[0].date, days[-1].date) == (30, "2026-10-24", "2026-11-22")


def test_a_number_of_days_ends_today() -> None:
    assert [day.date for day in Span(days=2).resolve(NOON_MS)] == ["2026-11-21", "2026-11-22"]
    assert len(Span(range="7d").resolve(NOON_MS)) == 7


def test_it_is_already_tomorrow_further_east() -> None:
    (day,) = Span(days=1, mode="specific", utc_offset="UTC+13").resolve(NOON_MS)
    assert day.date == "2026-11-23"
    assert day.start_ms == NOON_MS - HOUR_MS


def test_an_offset_may_have_minutes() -> None:
    (day,) = Span(days=1, mode="specific", utc_offset="UTC-3:30").resolve(NOON_MS)
    assert (day.date, NOON_MS - day.start_ms) == ("2026-11-22", 8.5 * HOUR_MS)


def test_a_day_on_which_clocks_change_has_another_length() -> None:
    span = Span(time_zone="Europe/Vienna", start_date="2026-03-28", end_date="2026-03-30")
    assert [(day.end_ms - day.start_ms) // HOUR_MS for day in span.resolve(NOON_MS)] == [24, 23, 24]


@pytest.mark.parametrize(
    "span",
    [
        Span(start_date="2026-11-23"),
        Span(start_date="2026-02-30"),
        Span(end_date="yesterday"),
        Span(start_date="0001-01-01"),
        Span(end_date="9999-12-31"),
        Span(mode="specific", utc_offset="UTC+15"),
        Span(mode="specific", utc_offset="+02:00"),
        Span(time_zone="Nowhere/Land"),
        Span(time_zone="../../etc/passwd"),
        Span(time_zone=""),
    ],
)
def test_what_is_no_day_is_refused(span: Span) -> None:
    with pytest.raises(RequestError, match="INVALID_REQUEST"):
        span.resolve(NOON_MS)


@given(dates, st.integers(0, 3000), zones)
def test_days_follow_each_other_without_a_gap(last: date, back: int, zone: str) -> None:
    span = Span(
        start_date=(last - timedelta(days=back)).isoformat(), end_date=last.isoformat(), time_zone=zone
    )
    days = span.resolve(NOON_MS)
    assert len(days) == min(back + 1, MAX_DAYS)
    assert days[-1].date == last.isoformat()
    assert all(day.end_ms == after.start_ms for day, after in pairwise(days))
    assert all(day.start_ms <= day.end_ms for day in days)


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12), st.text(max_size=20))
def test_whatever_is_written_there_it_is_days_or_a_refusal(a: str, b: str, offset: str, zone: str) -> None:
    for span in (
        Span(start_date=a, end_date=b),
        Span(mode="specific", utc_offset=offset),
        Span(time_zone=zone),
    ):
        try:
            assert span.resolve(NOON_MS)
        except RequestError:
            continue
