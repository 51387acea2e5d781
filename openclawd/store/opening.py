"""Opening the database: its settings, its schema, and what is done when it cannot be trusted.

What is damaged is set aside and never deleted, and the last backup that is in order takes its place: a
gateway that serves what it had yesterday lets its owner in, who can look after the rest.
"""

import logging
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from openclawd.store.backup_files import backups_in, moment
from openclawd.store.errors import Damaged, DiskFailed, DiskFull, StoreError, from_os, store_error
from openclawd.store.integrity import (
    check_quickly,
    check_wholly,
    log_of,
    look,
    lost_transactions,
    mark,
    mark_of,
    refuse_foreign,
)
from openclawd.store.kept import DAMAGED
from openclawd.store.migrations import Precautions, migrate

# Only a person with a SQLite shell can hold the lock; five seconds let a short look pass.
BUSY_TIMEOUT_MS: Final = 5_000
# After a checkpoint the log is cut back to this, so that one burst does not keep its disk space for ever.
WAL_KEPT_BYTES: Final = 8 * 1024 * 1024

logger = logging.getLogger("openclawd.store")


@attrs.frozen(eq=False, repr=False)
class Opening:
    """The open database. `checked`: every page was looked at, or it was closed before as it should be.

    `full`: the disk is, so that nobody else can read the database, and it should be opened again when there
    is room.
    """

    connection: sqlite3.Connection
    checked: bool
    full: StoreError | None = None


def connect(path: Path, backups: Path | None, precautions: Precautions | None = None) -> Opening:
    """Open the database, created or migrated; a damaged one is set aside, and the newest of the `backups` (a
    folder) that is in order takes its place. Raises StoreError when there is none, or it is newer than us.
    """
    try:
        if _restore_begun(path):
            from openclawd.store.restore import finish

            finish(path)
        try:
            return _connect(path, backups, precautions)
        except Damaged as error:
            # Whether there is a backup or not: the next one must not take it for sound.
            with suppress(OSError):
                mark(path)
            _restore(path, backups, error)
            return _connect(path, backups, precautions)
        except (DiskFull, DiskFailed) as error:
            return attrs.evolve(_connect(path, backups, precautions, alone=True), full=error)
    except OSError as error:
        raise from_os(path, error) from error


def _connect(
    path: Path, backups: Path | None, precautions: Precautions | None, *, alone: bool = False
) -> Opening:
    """`alone`: nobody else reads it, so that what SQLite shares in a file can be in memory."""
    try:
        before = look(path, had_backups=lambda: _has(backups))
        if not path.exists() and _has(backups):
            logger.warning(
                "the state database is gone, a new one is made; openclawd restore latest brings it back",
                extra={"fields": {"file": str(path)}},
            )
        _make_private(path)
        connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000)
    except OSError as error:
        raise from_os(path, error) from error
    except sqlite3.Error as error:
        raise store_error(path, error) from error
    checked = True
    try:
        if alone:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        # Before anything is changed.
        refuse_foreign(connection, path)
        _log_ahead(connection, alone=alone)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
        if before.unclean:
            _keep_damaged_log(connection, path)
        if before.suspect:
            check_wholly(connection, path)
            mark_of(path).unlink(missing_ok=True)
        elif before.unclean:
            checked = check_quickly(connection, path)
        migrate(connection, path, precautions)
    except sqlite3.Error as error:
        connection.close()
        raise store_error(path, error) from error
    except (StoreError, OSError):
        connection.close()
        raise
    return Opening(connection, checked)


def _log_ahead(connection: sqlite3.Connection, *, alone: bool) -> None:
    try:
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    except sqlite3.OperationalError:
        if not alone:
            raise
        # A restored database has no log yet, and on a full disk it gets none; reading needs none.
        return
    if mode != "wal":
        logger.warning("no write-ahead log here; writes are slower", extra={"fields": {"journal": mode}})


def _has(backups: Path | None) -> bool:
    return backups is not None and bool(backups_in(backups))


def _restore_begun(path: Path) -> bool:
    return path.with_name(f"{path.name}.restored").exists()


def _restore(path: Path, backups: Path | None, error: Damaged) -> None:
    """Put the last backup in the place of a damaged database. Raises `error` when there is none."""
    found = backups_in(backups) if backups is not None else []
    if not found:
        raise error
    from openclawd.store.restore import restore_newest

    now_ms = time.time_ns() // 1_000_000
    restored = restore_newest(path, found, error, now_ms)
    salvaged = restored.salvaged
    missing = ", ".join(salvaged.incomplete) or "nothing" if salvaged is not None else "all"
    logger.error(
        "the state database was damaged; its last backup took its place, and what could be read of it",
        extra={
            "fields": {
                "backup": moment(restored.manifest.made_at_ms),
                "damage": error.problem,
                "rows": salvaged.rows if salvaged is not None else 0,
                "someMissingOf": missing,
                "kept": f"{path}.{DAMAGED}-*",
            }
        },
    )


def _keep_damaged_log(connection: sqlite3.Connection, path: Path) -> None:
    """Say so when acknowledged writes are lost in the write-ahead log, and keep it. Raises OSError."""
    row = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    lost = lost_transactions(path, max(0, row[1]))
    if not lost:
        return
    import shutil

    kept = path.with_name(f"{log_of(path).name}.{DAMAGED}-{moment(time.time_ns() // 1_000_000)}")
    with suppress(OSError):
        shutil.copyfile(log_of(path), kept)
        kept.chmod(0o600)
    logger.error(
        "the end of the write-ahead log was damaged; the last writes are missing",
        extra={"fields": {"transactions": lost, "kept": str(kept)}},
    )


def _make_private(path: Path) -> None:
    created = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    if created:
        # The name must survive a power cut as well as the content; SQLite does this for its log only.
        directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
