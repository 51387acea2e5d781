"""Whether this version could open the state database, found out without changing it.

It is read as it is now, beside a gateway that uses it, and what migrations this version would make are made
on an empty copy of its tables, in memory.
"""

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from openclawd.store.errors import StoreError, damaged, from_os, from_sqlite
from openclawd.store.integrity import refuse_foreign
from openclawd.store.schema import MIGRATIONS, migrate

# A checkpoint of the gateway that uses it lets nobody wait longer.
_BUSY_TIMEOUT_S: Final = 5.0


def try_database(path: Path) -> None:
    """Raises StoreError as opening it would; a file that is not there yet is fine."""
    if not path.exists():
        return
    if not os.access(path, os.R_OK | os.W_OK):
        raise from_os(path, OSError(errno.EACCES, os.strerror(errno.EACCES)))
    try:
        found, tables = _tables(path)
        if found != len(MIGRATIONS):
            _try_migrations(path, found, tables)
    except sqlite3.Error as error:
        mapped = from_sqlite(path, error)
        raise (mapped if isinstance(mapped, StoreError) else damaged(path, str(error))) from error


def _tables(path: Path) -> tuple[int, list[str]]:
    """The number of migrations that were made, and what makes the tables and indexes that there are."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_BUSY_TIMEOUT_S)) as there:
        refuse_foreign(there, path)
        found = int(there.execute("PRAGMA user_version").fetchone()[0])
        rows = there.execute(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
            " ORDER BY type = 'table' DESC, rowid"
        )
        return found, [str(sql) for (sql,) in rows]


def _try_migrations(path: Path, found: int, tables: list[str]) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        for statement in tables:
            copy.execute(statement)
        copy.execute(f"PRAGMA user_version = {found}")
        migrate(copy, path)
