"""Bringing a database to the newest schema, and reading one that a newer version has brought further.

All steps are one transaction: whatever goes wrong in it, also a power cut, the database is what it was, and
the version before reads it. Its content says which version may read it: that of the last step that did more
than add. An older one than that refuses it; any other uses it as it is, and leaves alone what it does not
know.
"""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from itertools import takewhile
from pathlib import Path
from typing import Final

import attrs
import orjson

from openclawd.store.errors import StoreError, damaged, from_sqlite, newer, not_migrated
from openclawd.store.message_facts import has_failed, opening_of, said_at
from openclawd.store.schema import MIGRATIONS, Migration

# The name of a fact: "found oldest", the schema, and the lowest one whose version may use it. One that
# speaks of another schema than there is was not written by who made that.
OLDEST_READER: Final = "schema.oldest-reader"

logger = logging.getLogger("openclawd.store")


def _no_backup() -> None:
    """There is nothing that could be lost, or its owner wants none."""


@attrs.frozen(eq=False, repr=False)
class Precautions:
    """What is done for the case that this version has to go again. `backup` is called before a database that
    has something in it is changed; `only_adding`: no step is made that an older version could not live with.
    """

    backup: Callable[[], object] = _no_backup
    only_adding: bool = False


def migrate(
    connection: sqlite3.Connection,
    path: Path,
    precautions: Precautions | None = None,
    migrations: Sequence[Migration] = MIGRATIONS,
) -> None:
    """Bring the database to the newest schema that the precautions allow. Raises StoreError when it is too
    new for us, and when a step fails; then nothing was changed.
    """
    precautions = precautions or Precautions()
    found = schema_of(connection)
    if found > len(migrations):
        refuse_newer(connection, path, known=len(migrations))
        refuse_spoilt(connection, path, migrations)
        logger.info(
            "a newer openclawd has added to the state; what this one does not know stays as it is",
            extra={"fields": {"schema": found, "known": len(migrations)}},
        )
        return
    steps: Sequence[Migration] = migrations[found:]
    if precautions.only_adding and found:
        steps = [*takewhile(lambda step: step.only_adds, steps)]
    if not steps:
        return
    if found:
        precautions.backup()
    add_functions(connection)
    reached = found + len(steps)
    try:
        connection.execute("BEGIN IMMEDIATE")
        for step in steps:
            for statement in step.statements:
                connection.execute(statement)
        connection.execute(
            "INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)",
            (OLDEST_READER, f"{reached} {_oldest_reader(migrations[:reached])}".encode()),
        )
        connection.execute(f"PRAGMA user_version = {reached}")
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        mapped = from_sqlite(path, error)
        raise mapped if isinstance(mapped, StoreError) else not_migrated(path, reached, error) from error
    finally:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")


def add_functions(connection: sqlite3.Connection) -> None:
    """What the statements of migrations call; in Python, as a SQLite may lack its JSON functions."""
    for name, function in (
        ("opening_of", opening_of),
        ("said_at", said_at),
        ("has_failed", has_failed),
    ):
        connection.create_function(name, 1, lambda body, of=function: of(orjson.loads(body)))


def schema_of(connection: sqlite3.Connection) -> int:
    """How many migrations were made."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_ours(connection: sqlite3.Connection) -> bool:
    """Whether a migration of ours was made there: it says so, whatever became of the rest."""
    try:
        row = connection.execute("SELECT 1 FROM facts WHERE name = ?", (OLDEST_READER,)).fetchone()
    except sqlite3.OperationalError:
        return False
    return row is not None


def refuse_spoilt(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS
) -> None:
    """Raises Damaged where a newer version has taken away what this one knows, and says that it has not."""
    if schema_of(connection) <= len(migrations):
        return
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as own:
        add_functions(own)
        for step in migrations:
            for statement in step.statements:
                own.execute(statement)
        lost = _columns(own) - _columns(connection)
    if lost:
        raise damaged(path, f"it lacks {'.'.join(min(lost))}")


def _columns(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """Of all tables, as (table, column)."""
    return set(
        connection.execute(
            "SELECT its.name, one.name FROM sqlite_master AS its, pragma_table_info(its.name) AS one"
            " WHERE its.type = 'table'"
        )
    )


def refuse_newer(connection: sqlite3.Connection, path: Path, known: int = len(MIGRATIONS)) -> None:
    """Raises StoreError for a database that a version with `known` migrations cannot use."""
    found = schema_of(connection)
    if found > known and _told_oldest_reader(connection, found) > known:
        raise newer(path, found, known)


def _told_oldest_reader(connection: sqlite3.Connection, found: int) -> int:
    try:
        row = connection.execute("SELECT value FROM facts WHERE name = ?", (OLDEST_READER,)).fetchone()
    except sqlite3.OperationalError:
        return found
    told = bytes(row[0]).split() if row is not None else []
    if len(told) != 2 or told[0] != b"%d" % found or not told[1].isdigit():
        return found
    return int(told[1])


def _oldest_reader(made: Sequence[Migration]) -> int:
    return max((number for number, step in enumerate(made, start=1) if not step.only_adds), default=1)
