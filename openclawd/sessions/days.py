"""Days as somebody counts them: in UTC, at an offset, in a named zone, or where the gateway stands.

A day begins at its midnight and ends at the next, so that it has 23 or 25 hours when clocks change.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Final, Literal

import attrs

from openclawd.protocol.errors import invalid_request
from openclawd.store.spending import Day

Mode = Literal["utc", "gateway", "specific"]
Range = Literal["7d", "30d", "90d", "1y", "all"]

DEFAULT_DAYS: Final = 30
# Five years; a longer look back is shortened to it.
MAX_DAYS: Final = 5 * 366
RANGES: Final = {"7d": 7, "30d": 30, "90d": 90, "1y": 365, "all": MAX_DAYS}

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_OFFSET: Final = re.compile(r"UTC([+-])(\d{1,2})(?::([0-5]\d))?", re.ASCII)
# What every platform's clock knows.
_FIRST: Final = date(1980, 1, 1)
_LAST: Final = date(2999, 12, 31)
# From Baker Island to the Line Islands, as stock has it.
_MIN_OFFSET: Final = timedelta(hours=-12)
_MAX_OFFSET: Final = timedelta(hours=14)


@attrs.frozen(eq=False, repr=False)
class Span:
    """Which days are meant, as a client says it (protocol.md 6.2)."""

    start_date: str | None = None
    end_date: str | None = None
    days: int | None = None
    mode: Mode | None = None
    utc_offset: str | None = None
    time_zone: str | None = None
    range: Range | None = None

    def resolve(self, now_ms: int) -> Sequence[Day]:
        """The days, oldest first; never none and at most `MAX_DAYS`. Raises RequestError.

        Without dates the last `DEFAULT_DAYS`, today being one of them.
        """
        zone = self._zone()
        today = datetime.fromtimestamp(now_ms / 1000, zone).date()
        last = _date("endDate", self.end_date) or today
        count = self.days or RANGES.get(self.range or "", DEFAULT_DAYS)
        count = min(count, MAX_DAYS)
        first = _date("startDate", self.start_date) or last - timedelta(days=count - 1)
        if first > last:
            raise invalid_request(f"startDate {first} is later than endDate {last}")
        length = min((last - first).days + 1, MAX_DAYS)
        dates = [last - timedelta(days=back) for back in reversed(range(length))]
        starts = [_midnight_ms(day, zone) for day in (*dates, last + timedelta(days=1))]
        return [
            Day(day.isoformat(), start, end)
            for day, start, end in zip(dates, starts, starts[1:], strict=False)
        ]

    def _zone(self) -> tzinfo | None:
        """None is the gateway's own."""
        if self.time_zone is not None:
            # Imported here: a start would pay for what few ask for.
            from zoneinfo import ZoneInfo

            try:
                return ZoneInfo(self.time_zone)
            except (LookupError, ValueError, OSError) as error:
                raise invalid_request(
                    f"unknown timeZone {self.time_zone!r}; use Europe/Vienna, say"
                ) from error
        if self.mode == "gateway":
            return None
        if self.mode != "utc" and self.utc_offset is not None:
            return _fixed(self.utc_offset)
        return UTC


def _fixed(text: str) -> tzinfo:
    match = _OFFSET.fullmatch(text)
    if match is not None:
        offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        offset = -offset if match[1] == "-" else offset
        if _MIN_OFFSET <= offset <= _MAX_OFFSET:
            return timezone(offset)
    raise invalid_request(f"invalid utcOffset {text!r}; use UTC+2 or UTC-3:30")


def _date(name: str, text: str | None) -> date | None:
    if text is None:
        return None
    with suppress(ValueError):
        day = date.fromisoformat(text) if _DATE.fullmatch(text) else date.min
        if _FIRST <= day <= _LAST:
            return day
    raise invalid_request(f"invalid {name} {text!r}; use YYYY-MM-DD")


def _midnight_ms(day: date, zone: tzinfo | None) -> int:
    return round(datetime.combine(day, time.min, zone).timestamp() * 1000)
