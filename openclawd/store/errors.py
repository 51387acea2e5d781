"""What goes wrong with the state on disk, in words that name the file and the cure."""

import errno
import sqlite3
from pathlib import Path


class StoreError(Exception):
    """The state could not be read or written; `str(error)` names the file and what helps."""

    def __init__(self, path: Path, problem: str, cure: str) -> None:
        super().__init__(f"{path}: {problem}. {cure}")
        self.path = path
        self.problem = problem
        self.cure = cure


class Damaged(StoreError):
    """The file is, or was, a database of ours, and SQLite cannot trust it any more."""


class DiskFull(StoreError):
    """There is no room; it passes when somebody makes some."""


class DiskFailed(StoreError):
    """The disk did not do what it was asked for; it may be full, too, as SQLite does not always tell."""


class ConversationChanged(Exception):
    """A message was meant for another conversation than the one that its session key stands for now."""


def damaged(path: Path, detail: str) -> Damaged:
    """Not a database, or no longer one."""
    return Damaged(
        path,
        f"the state database is damaged ({detail})",
        f"Restore it from a backup (`openclawd restore FILE`), or set it aside with `mv {path}"
        f" {path}.damaged` (its -wal and -shm files too) to start with empty conversations and no paired"
        " devices",
    )


def foreign(path: Path) -> StoreError:
    """A database in good order, of some other program."""
    return StoreError(
        path,
        "this is the database of another program",
        f"Put it where it belongs; `openclawd restore latest` brings the last backup of ours to {path}",
    )


def newer(path: Path, found: int, known: int) -> StoreError:
    """A later version of openclawd has been here, and has done more than add."""
    return StoreError(
        path,
        f"the state database has schema {found}, this openclawd knows schemas up to {known}",
        "It was written by a newer openclawd: start that version again, or set the file aside to begin anew",
    )


def not_migrated(path: Path, number: int, error: sqlite3.Error) -> StoreError:
    """A step of ours to a newer schema does not fit what is there; all of it was undone."""
    return StoreError(
        path,
        f"the state database cannot be brought to schema {number} ({error}), and is as it was",
        "Start the version before this one again: openclawd update rollback",
    )


def closed(path: Path) -> StoreError:
    """A job came after the database was closed."""
    return StoreError(
        path, "the state database is closed", "The gateway is stopping; send again after its start"
    )


def from_os(path: Path, error: OSError) -> StoreError:
    """The file could not even be opened."""
    if error.errno == errno.ENOSPC:
        return _full(path)
    return StoreError(
        path,
        f"the state database cannot be opened ({error.strerror or error})",
        "Check the directory's owner and permissions; the gateway must be able to write there",
    )


def from_sqlite(path: Path, error: sqlite3.Error) -> Exception:
    """SQLite's own failures in our words; an error of the job itself (a constraint) is returned as it is."""
    # sqlite_errorcode is an extended code (https://www.sqlite.org/rescode.html); the low byte is the
    # primary one.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return damaged(path, str(error))
    if code == sqlite3.SQLITE_FULL:
        return _full(path)
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return StoreError(
            path,
            f"the state database cannot be written ({error})",
            "Check the owner and permissions of the file and its directory",
        )
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreError(
            path,
            "the state database is locked by another program",
            f"Close what has it open (`fuser {path}` names it)",
        )
    if code == sqlite3.SQLITE_IOERR:
        return DiskFailed(
            path,
            f"the disk failed while the state was read or written ({error})",
            "Look at the system log (`dmesg`) for errors of the disk",
        )
    return error


def store_error(path: Path, error: BaseException) -> StoreError:
    """Whatever failed, as a new object: one error is raised in as many tasks as waited for it."""
    if isinstance(error, StoreError):
        return type(error)(path, error.problem, error.cure)
    mapped = from_sqlite(path, error) if isinstance(error, sqlite3.Error) else error
    return mapped if isinstance(mapped, StoreError) else damaged(path, str(error))


def _full(path: Path) -> DiskFull:
    return DiskFull(
        path, "the disk is full", f"Free space on the file system of {path.parent} (`df -h` shows it)"
    )
