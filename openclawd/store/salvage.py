"""What can still be read of a damaged database, brought into the backup that takes its place.

A backup is a day old at most, and what was acknowledged since is in the damaged file. Of that, most can be
read as a rule: damage is a page or a few, of hundreds. So each table is read row by row, the latest first, by
seeking around what cannot be read. A table that could be read to its end is taken as it was; of any other the
rows that were read go over those of the backup.

Damage that SQLite does not see is not seen here either; what comes of this is checked as a whole.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

from openclawd.store.integrity import log_of
from openclawd.store.migrations import schema_of
from openclawd.store.records import RunState

# A start waits for it, and clients for the start.
LIMIT_S: Final = 10.0
_HIGHEST: Final = 2**63 - 1
_JSON_COLUMNS: Final = frozenset({"body", "document", "settings", "options", "last_run"})


class _OutOfTime(Exception):
    """Clients wait."""


@attrs.frozen
class Salvaged:
    """Rows that are as they were in the damaged file, and the tables of which some may be missing."""

    rows: int
    incomplete: tuple[str, ...]


def salvage(damaged: Path, into: Path, limit_s: float = LIMIT_S) -> Salvaged | None:
    """Bring over what can be read; None where that is nothing, and `into` is as it was. Blocks, and never
    raises for what is damaged.

    Both have to have the same schema. The latest rows come first, so that time, when it is short, is spent on
    what no backup has.
    """
    deadline_s = time.monotonic() + limit_s
    try:
        with (
            closing(_opened(damaged)) as there,
            closing(sqlite3.connect(into, isolation_level=None)) as here,
        ):
            if schema_of(there) != schema_of(here):
                return None
            here.execute("BEGIN IMMEDIATE")
            names = here.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            ).fetchall()
            found = {name: _bring_over(there, here, name, deadline_s) for (name,) in names}
            if not all(whole for _, whole in found.values()):
                _settle(here)
            here.execute("COMMIT")
    except sqlite3.Error:
        return None
    rows = sum(count for count, _ in found.values())
    return Salvaged(rows, tuple(name for name, (_, whole) in found.items() if not whole)) if rows else None


def _opened(damaged: Path) -> sqlite3.Connection:
    """To read only. Where it has no log, none is made: it is kept as it was found."""
    log = log_of(damaged)
    how = "mode=ro" if log.exists() and log.stat().st_size else "immutable=1"
    return sqlite3.connect(f"{damaged.as_uri()}?{how}", uri=True, isolation_level=None)


def _bring_over(
    there: sqlite3.Connection, here: sqlite3.Connection, table: str, deadline_s: float
) -> tuple[int, bool]:
    """How many rows, and whether those are all. Raises sqlite3.Error of `here`."""
    columns = [name for _, name, *_ in here.execute(f"PRAGMA table_info({table})")]
    names = ", ".join(columns)
    places = ", ".join("?" * (len(columns) + 1))
    here.execute("CREATE TEMP TABLE brought (id INTEGER PRIMARY KEY)")
    query = f"SELECT rowid, {names} FROM {table} WHERE rowid <= ? ORDER BY rowid DESC"  # noqa: S608
    reading = _Reading(there, query, deadline_s)
    count = 0
    try:
        for row in reading.rows():
            if not _makes_sense(columns, row[1:]):
                reading.whole = False
                continue
            here.execute("SAVEPOINT a_row")
            try:
                here.execute(f"INSERT OR REPLACE INTO {table} (rowid, {names}) VALUES ({places})", row)  # noqa: S608
                here.execute("INSERT INTO brought VALUES (?)", row[:1])
            except sqlite3.IntegrityError:
                here.execute("ROLLBACK TO a_row")
                reading.whole = False
            else:
                count += 1
            here.execute("RELEASE a_row")
    except _OutOfTime:
        reading.whole = False
    if reading.whole:
        here.execute(f"DELETE FROM {table} WHERE rowid NOT IN (SELECT id FROM brought)")  # noqa: S608
    here.execute("DROP TABLE brought")
    return count, reading.whole


class _Reading:
    """One table's rows, from the highest rowid down; `whole` as long as none had to be left out."""

    def __init__(self, connection: sqlite3.Connection, query: str, deadline_s: float) -> None:
        self._connection = connection
        self._query = query
        self._deadline_s = deadline_s
        self.whole = True

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Raises _OutOfTime."""
        highest = _HIGHEST
        while highest > 0:
            try:
                for row in self._query_below(highest):
                    self._look_at_the_clock()
                    if row[0] > highest:
                        break  # they are in order, or the tree is not
                    yield row
                    highest = row[0] - 1
                else:
                    return
            except sqlite3.Error:
                pass
            self.whole = False
            highest = self._readable_below(highest)

    def _readable_below(self, unreadable: int) -> int:
        """The highest rowid from which on it can be read again; 0 for none."""
        step, readable = 1, unreadable - 1
        while readable > 0 and not self._can_read(readable):
            unreadable, step = readable, 2 * step
            readable = max(0, unreadable - step)
        while unreadable - readable > 1:
            middle = (readable + unreadable) // 2
            if self._can_read(middle):
                readable = middle
            else:
                unreadable = middle
        return readable

    def _can_read(self, highest: int) -> bool:
        self._look_at_the_clock()
        try:
            row = self._query_below(highest).fetchone()
        except sqlite3.Error:
            return False
        return row is None or row[0] <= highest

    def _query_below(self, highest: int) -> sqlite3.Cursor:
        return self._connection.execute(self._query, (highest,))

    def _look_at_the_clock(self) -> None:
        if time.monotonic() > self._deadline_s:
            raise _OutOfTime


def _makes_sense(columns: list[str], values: tuple[Any, ...]) -> bool:
    """Whether the documents in a row are some: who reads them later relies on it."""
    with suppress(orjson.JSONDecodeError, TypeError):
        for name, value in zip(columns, values, strict=True):
            if name in _JSON_COLUMNS and value is not None:
                orjson.loads(value)
        return True
    return False


def _settle(connection: sqlite3.Connection) -> None:
    """Of tables that were read in part: who was answered is not answered again, no run is without its
    question, and no conversation without its session.
    """
    connection.execute(
        "UPDATE runs SET state = ?, ended_at_ms = COALESCE(started_at_ms, accepted_at_ms)"
        " WHERE ended_at_ms IS NULL AND EXISTS (SELECT 1 FROM messages"
        " WHERE messages.session_id = runs.session_id AND run_seq = seq AND role = 'assistant')",
        (RunState.DONE.value,),
    )
    connection.execute(
        "DELETE FROM runs WHERE ended_at_ms IS NULL AND NOT EXISTS (SELECT 1 FROM messages"
        " WHERE messages.session_id = runs.session_id AND run_seq = seq)"
    )
    # Runs of a session that was deleted are there, too; its messages are not.
    connection.execute(
        "INSERT INTO sessions (session_key, session_id, created_at_ms, updated_at_ms)"
        " SELECT session_key, session_id, accepted_at_ms, MAX(accepted_at_ms) FROM runs"
        " WHERE session_key NOT IN (SELECT session_key FROM sessions) AND EXISTS (SELECT 1 FROM messages"
        " WHERE messages.session_id = runs.session_id) GROUP BY session_key"
    )
