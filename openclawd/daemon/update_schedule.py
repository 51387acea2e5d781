"""When a gateway looks for newer versions by itself, and which of them it takes. Pure."""

from datetime import time
from typing import Final

from openclawd.slots.trial import Outcome

_HOUR_MS: Final = 60 * 60 * 1000
# A place that was out of reach, or a laptop without a network.
RETRY_MS: Final = _HOUR_MS


def is_quiet(quiet_hours: str | None, at: time) -> bool:
    """Whether the clock shows a time of `quiet_hours` (`22:00-07:00`), the last minute of which is not."""
    if quiet_hours is None:
        return False
    first, last = (time.fromisoformat(each) for each in quiet_hours.split("-"))
    if first < last:
        return first <= at < last
    return at >= first or at < last


def is_due(looked_at_ms: int | None, now_ms: int, *, every_hours: int, failed: bool) -> bool:
    """Whether it is time to look again; `failed`: the last look found out nothing."""
    if looked_at_ms is None or looked_at_ms > now_ms:
        # Never, or by a clock that was wrong.
        return True
    every_ms = every_hours * _HOUR_MS
    return now_ms - looked_at_ms >= (min(every_ms, RETRY_MS) if failed else every_ms)


def was_tried(version: str, *ended: Outcome | None) -> bool:
    """Whether one of these updates was to this version, which did not stay: only a person tries it again."""
    return any(each is not None and each.to_version == version and each.end != "confirmed" for each in ended)
