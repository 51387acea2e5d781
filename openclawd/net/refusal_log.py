"""One line in the log for each kind of refused request, however many there are of it.

A page that asks every second and a scanner that asks under a thousand names must not fill the disk, nor hide
the line that the owner needs. So the same refusal is told once in an interval, then with the number of those
that were not; and an interval has a bounded number of lines.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final

# A person who tries again sees a new line.
INTERVAL_S: Final = 60.0
# Kinds of refusal told in one interval; a household has one or two. No address takes all of them, so that a
# scanner does not hide the owner's own line.
LINES_MAX: Final = 30
LINES_OF_ADDRESS_MAX: Final = 10
# What makes two refusals one kind.
_SAME: Final = ("reason", "address", "host", "origin")
_ADDRESS: Final = _SAME.index("address")


class RefusalLog:
    """Logs refusals to `log`; `now_s` is a clock that does not jump."""

    def __init__(self, log: logging.Logger, *, now_s: Callable[[], float]) -> None:
        self._log = log
        self._now_s = now_s
        self._since_s = now_s()
        self._told: dict[tuple[object, ...], int] = {}
        self._untold = 0

    def refused(self, fields: Mapping[str, object]) -> None:
        """Log a line `refused`, unless the interval has had this one, or too many."""
        now_s = self._now_s()
        kind = tuple(fields.get(name) for name in _SAME)
        before = 0
        if now_s - self._since_s >= INTERVAL_S:
            self._since_s = now_s
            before = self._told.get(kind, 0)
            self._untold += sum(self._told.values()) - before
            self._told = {}
        elif kind in self._told:
            self._told[kind] += 1
            return
        elif len(self._told) >= LINES_MAX or self._lines_of(fields.get("address")) >= LINES_OF_ADDRESS_MAX:
            self._untold += 1
            return
        self._told[kind] = 0
        counts = {"again": before, "othersUntold": self._untold}
        self._untold = 0
        self._log.info(
            "refused",
            extra={"fields": {**fields, **{name: count for name, count in counts.items() if count}}},
        )

    def _lines_of(self, address: object) -> int:
        return sum(kind[_ADDRESS] == address for kind in self._told)
