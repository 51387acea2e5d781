"""What each source has tried to guess, as rows. Their meaning is `auth.limiter`'s business."""

import logging
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Protocol

import attrs

from openclawd.store.database import Database

_log = logging.getLogger("openclawd.store")


class Limit(Protocol):
    """One source's tries of one kind. Times are wall-clock milliseconds; a digest has at most 255 bytes."""

    @property
    def source(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def spent(self) -> float: ...
    @property
    def updated_at_ms(self) -> int: ...
    @property
    def seen_at_ms(self) -> int: ...
    @property
    def digests(self) -> tuple[bytes, ...]: ...


@attrs.frozen
class StoredLimit:
    """A Limit as it was found."""

    source: str
    kind: str
    spent: float
    updated_at_ms: int
    seen_at_ms: int
    digests: tuple[bytes, ...]


class LimitStore:
    """Each change is on disk when its call returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> tuple[StoredLimit, ...]:
        """Every row that can be read; of the others it is said in the log how many there are."""

        def job(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
            return connection.execute(
                "SELECT source, kind, spent, updated_at_ms, seen_at_ms, digests FROM limits"
            ).fetchall()

        stored = await self._database.read(job)
        rows = [row for row in map(_row, stored) if row is not None]
        if len(rows) < len(stored):
            _log.warning("limits not readable", extra={"fields": {"rows": len(stored) - len(rows)}})
        return tuple(rows)

    async def save(self, rows: Sequence[Limit], gone: Sequence[tuple[str, str]]) -> None:
        """Add or replace `rows` and delete each (source, kind) of `gone`, all or nothing."""

        def job(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM limits WHERE source = ? AND kind = ?", gone)
            _put(connection, rows)

        await self._database.write(job)

    async def replace(self, rows: Sequence[Limit]) -> None:
        """Have `rows` and no others."""

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM limits")
            _put(connection, rows)

        await self._database.write(job)


def _put(connection: sqlite3.Connection, rows: Iterable[Limit]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO limits (source, kind, spent, updated_at_ms, seen_at_ms, digests)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            (row.source, row.kind, row.spent, row.updated_at_ms, row.seen_at_ms, _packed(row.digests))
            for row in rows
        ),
    )


def _packed(digests: Iterable[bytes]) -> bytes:
    """Each digest behind a byte that says how long it is."""
    return b"".join(bytes((len(digest),)) + digest for digest in digests)


def _unpacked(packed: bytes) -> tuple[bytes, ...]:
    digests: list[bytes] = []
    offset = 0
    while offset < len(packed):
        end = offset + 1 + packed[offset]
        if end > len(packed):
            raise ValueError("a digest is cut short")
        digests.append(packed[offset + 1 : end])
        offset = end
    return tuple(digests)


def _row(stored: tuple[object, ...]) -> StoredLimit | None:
    match stored:
        case (str(source), str(kind), float(spent), int(updated_at_ms), int(seen_at_ms), bytes(packed)) if (
            spent >= 0
        ):
            try:
                return StoredLimit(source, kind, spent, updated_at_ms, seen_at_ms, _unpacked(packed))
            except ValueError:
                return None
        case _:
            return None
