"""What would come of opening the state database, found out without changing it.

It is read as it is now, beside a gateway that uses it, and what migrations this version would make are made
on a copy: of all of it where that takes a moment, else of its empty tables.
"""

import errno
import os
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from openclawd.store.errors import StoreError, damaged, from_os, from_sqlite
from openclawd.store.integrity import check_quickly, refuse_foreign
from openclawd.store.migrations import migrate, refuse_newer, refuse_spoilt, schema_of
from openclawd.store.schema import MIGRATIONS

# A checkpoint of the gateway that uses it lets nobody wait longer.
_BUSY_TIMEOUT_S: Final = 5.0
# Of the twenty seconds that whoever asks for a restart waits (daemon/preflight): some gigabytes.
_PATIENCE_S: Final = 8.0
# A megabyte, some milliseconds.
_PAGES: Final = 256
_INSTRUCTIONS_A_LOOK: Final = 100_000
# The migrations' own growth, and what a gateway writes meanwhile.
_SPARED_BYTES: Final = 64 * 1024 * 1024
_PREFIX: Final = ".trying-"
_LEFT_S: Final = 3600


class _TooLarge(Exception):
    """The copy would take too long, or there is no room for it."""


def try_database(path: Path, *, patience_s: float = _PATIENCE_S) -> None:
    """Raises StoreError as opening it would; a file that is not there yet is fine."""
    if not path.exists():
        return
    if not os.access(path, os.R_OK | os.W_OK):
        raise from_os(path, OSError(errno.EACCES, os.strerror(errno.EACCES)))
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_BUSY_TIMEOUT_S)) as there:
            refuse_foreign(there, path)
            refuse_newer(there, path)
            refuse_spoilt(there, path)
            if schema_of(there) >= len(MIGRATIONS):
                return
            try:
                _try_on_copy(there, path, time.monotonic() + patience_s)
            except _TooLarge:
                _try_on_empty_tables(there, path)
    except sqlite3.Error as error:
        mapped = from_sqlite(path, error)
        raise (mapped if isinstance(mapped, StoreError) else damaged(path, str(error))) from error
    except OSError as error:
        raise from_os(path, error) from error


def try_pages(path: Path) -> None:
    """Raises Damaged where a page of it is none, as far as that can be seen in a second; for a database that
    nobody uses.
    """
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as there:
            check_quickly(there, path)
    except sqlite3.Error as error:
        mapped = from_sqlite(path, error)
        raise (mapped if isinstance(mapped, StoreError) else damaged(path, str(error))) from error


def _try_on_copy(there: sqlite3.Connection, path: Path, until_s: float) -> None:
    """Raises _TooLarge, and StoreError."""

    def too_late() -> bool:
        return time.monotonic() > until_s

    def look(*_: int) -> None:
        if too_late():
            raise _TooLarge

    disk = os.statvfs(path.parent)
    # The copy, and all of it once more where every row is changed.
    if disk.f_bavail * disk.f_frsize < 2 * path.stat().st_size + _SPARED_BYTES:
        raise _TooLarge
    # Beside it: where there is room for what is to come, and only its owner may look.
    for left in path.parent.glob(f"{_PREFIX}*"):
        # Of one that was killed; nobody tries for so long.
        if time.time() - left.stat().st_mtime > _LEFT_S:
            left.unlink(missing_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=_PREFIX, dir=path.parent)
    os.close(descriptor)
    with closing(sqlite3.connect(name, isolation_level=None)) as copy:
        try:
            copy.execute("PRAGMA synchronous = OFF")
            there.backup(copy, pages=_PAGES, progress=look)
            # Read once and thrown away, so nothing of it needs a name from here on.
            copy.execute("PRAGMA journal_mode = OFF")
        finally:
            Path(name).unlink()
        copy.set_progress_handler(too_late, _INSTRUCTIONS_A_LOOK)
        try:
            migrate(copy, path)
        except StoreError:
            if too_late():
                raise _TooLarge from None
            raise


def _try_on_empty_tables(there: sqlite3.Connection, path: Path) -> None:
    rows = there.execute(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        " ORDER BY type = 'table' DESC, rowid"
    ).fetchall()
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        for (statement,) in rows:
            copy.execute(str(statement))
        copy.execute(f"PRAGMA user_version = {schema_of(there)}")
        migrate(copy, path)
