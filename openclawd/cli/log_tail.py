"""What the end of the log tells of a gateway that cannot be asked any more."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs

# Some thousand lines: an hour of a storm, a week of a quiet gateway.
_MOST_BYTES: Final = 512 * 1024
Record: TypeAlias = Mapping[str, Any]
_BAD: Final = ("error", "fatal")


@attrs.frozen
class LogTail:
    """Records with the keys of the log file, oldest first."""

    records: Sequence[Record] = ()

    @property
    def stopped_well(self) -> bool | None:
        """Whether the last gateway ended as it was told to; None where the log has none."""
        for each in reversed(self.records):
            if (message := each.get("message")) in {"stopped", "ready"}:
                return bool(message == "stopped")
        return None

    @property
    def last_at_ms(self) -> int | None:
        """When it last wrote anything."""
        return at_ms(self.records[-1]) if self.records else None

    @property
    def last_fault(self) -> Record | None:
        """The last error of the last gateway."""
        for each in reversed(self.records):
            if each.get("level") in _BAD:
                return each
            if each.get("message") == "ready":
                return None
        return None

    @property
    def failed_answers(self) -> list[Record]:
        """The answers that failed since the last one that did not, newest first."""
        ended = [each for each in self.records if each.get("message") == "run ended"]
        return [*takewhile(lambda each: each.get("state") == "error", reversed(ended))]

    def refused(self, most: int) -> list[Record]:
        """Who was turned away last, newest first, as `gateway.admissions` has it."""
        refused = [each for each in self.records if each.get("message") == "refused"]
        return [{**each, "ts": at_ms(each)} for each in reversed(refused[-most:])]


def log_tail(file: Path) -> LogTail:
    """Of a log that cannot be read: nothing."""
    try:
        with file.open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - _MOST_BYTES))
            lines = log.read(_MOST_BYTES).splitlines()
    except OSError:
        return LogTail()
    return LogTail([each for line in lines if (each := _record(line)) is not None])


def at_ms(record: Record) -> int | None:
    """When it was written."""
    try:
        return round(datetime.fromisoformat(str(record["time"])).timestamp() * 1000)
    except (KeyError, ValueError):
        return None


def _record(line: bytes) -> Record | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "message" in found else None
