"""The files of backups: how they are called, which there are, which are kept.

`openclawd-20261122T030000Z.tar.gz` says when it was made, by the wall clock, in UTC; the name counts, not the
file's own time, which copying changes.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import attrs

_TIME: Final = "%Y%m%dT%H%M%SZ"
_NAME: Final = re.compile(r"openclawd-(\d{8}T\d{6}Z)\.tar\.gz")


@attrs.frozen
class BackupFile:
    """One that is there."""

    path: Path
    made_at_ms: int
    size: int


def moment(at_ms: int) -> str:
    """A time as names have it, to the second."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime(_TIME)


def name_of(made_at_ms: int) -> str:
    return f"openclawd-{moment(made_at_ms)}.tar.gz"


def backups_in(folder: Path) -> list[BackupFile]:
    """Every backup there, the newest first; none where there is no such folder."""
    found: list[BackupFile] = []
    try:
        paths = list(folder.iterdir())
    except OSError:
        return found
    for path in paths:
        named = _NAME.fullmatch(path.name)
        if named is None:
            continue
        try:
            made = datetime.strptime(named[1], _TIME).replace(tzinfo=UTC)
            size = path.stat().st_size
        except (ValueError, OSError):
            continue
        found.append(BackupFile(path, int(made.timestamp()) * 1000, size))
    return sorted(found, key=lambda backup: backup.made_at_ms, reverse=True)


def surplus(backups: Iterable[BackupFile], *, keep: int, max_bytes: int) -> Sequence[BackupFile]:
    """Those to delete, so that the newest of each of the last `keep` days is left, all together in
    `max_bytes`.

    Of the newest one's own day all are left, as somebody may have made one before a change; the newest is
    left whatever its size.
    """
    ordered = sorted(backups, key=lambda backup: backup.made_at_ms, reverse=True)
    days: list[str] = []
    gone: list[BackupFile] = []
    room = max_bytes
    for index, backup in enumerate(ordered):
        day = moment(backup.made_at_ms)[:8]
        is_new_day = day not in days
        if is_new_day:
            days.append(day)
        wanted = len(days) <= keep and (is_new_day or len(days) == 1) and backup.size <= room
        if index == 0 or wanted:
            room -= backup.size
        else:
            gone.append(backup)
    return gone
