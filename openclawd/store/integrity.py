"""Whether the database can be trusted when it is opened, at a price that a start can pay.

SQLite itself refuses a file that is shorter than its header says, or whose first page or schema is no such
thing. It does not read the other pages until somebody asks for them. After a clean end they are what they
were. After any other (the write-ahead log is still there) each page is looked at (`quick_check`), for as long
as `CHECK_AT_START_S` allows; a database that is too large for that is checked with the next backup, which
reads all of it. What a running gateway finds damaged is marked, so that the next start looks at everything.

A write-ahead log that is damaged in its middle is no error to SQLite: the log ends there. What was
acknowledged behind it would be missing without a word. A kill or a power cut leaves at most one transaction
that does not count behind the last one that does, as each is synced before the next one is written; two are
the proof that something was lost. A log that is cut short cannot be told from one that was never longer.
"""

import os
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from openclawd.store.errors import damaged, foreign
from openclawd.store.migrations import is_ours

# Half a gigabyte on a machine of today.
CHECK_AT_START_S: Final = 1.0
# So seldom that asking costs nothing, so often that it is heard within a millisecond.
_INSTRUCTIONS_A_LOOK: Final = 10_000
# https://www.sqlite.org/fileformat2.html, 1.3 and 4.1
_MAGIC: Final = b"SQLite format 3\x00"
_WAL_MAGICS: Final = {0x377F0682: "<", 0x377F0683: ">"}
_WAL_HEADER: Final = struct.Struct(">8I")
_FRAME_HEADER: Final = struct.Struct(">6I")
# SQLite's own size; what we make has it.
_OUR_PAGE_BYTES: Final = 4096


@attrs.frozen(eq=False, repr=False)
class Before:
    """What was found before the database was opened."""

    unclean: bool
    """It was not closed: there is a write-ahead log with something in it."""

    suspect: bool
    """A running gateway found it damaged."""


def log_of(path: Path) -> Path:
    """The write-ahead log of a database."""
    return path.with_name(f"{path.name}-wal")


def mark_of(path: Path) -> Path:
    """The file whose existence says that a running gateway found the database damaged."""
    return path.with_name(f"{path.name}.suspect")


def mark(path: Path) -> None:
    """Have the next start look at everything. Raises OSError."""
    os.close(os.open(mark_of(path), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def look(path: Path, *, had_backups: Callable[[], bool]) -> Before:
    """Look at the files while nobody has them open. Raises Damaged, OSError.

    `had_backups`: whether a gateway has worked here before, so that an empty file is no beginning.
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return Before(unclean=False, suspect=False)
    with path.open("rb") as file:
        first = file.read(len(_MAGIC))
    unclean = _size_of(log_of(path)) > 0
    if size == 0 and (unclean or had_backups()):
        raise damaged(path, "it is empty")
    if size and first != _MAGIC:
        raise damaged(path, "it does not begin as a SQLite database")
    return Before(unclean=unclean, suspect=mark_of(path).exists())


def refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    """Raises StoreError for a database that is in order and was never ours; Damaged for one that was."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    missing = {"sessions", "runs", "messages"} - tables
    if tables and missing:
        # Another version was here, and took away what it had no use for.
        raise damaged(path, f"it lacks {min(missing)}") if is_ours(connection) else foreign(path)


def check_quickly(connection: sqlite3.Connection, path: Path, limit_s: float = CHECK_AT_START_S) -> bool:
    """Look at each page; false if there was no time for all of them. Raises Damaged."""
    deadline = time.monotonic() + limit_s
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _INSTRUCTIONS_A_LOOK)
    try:
        return _check(connection, path, "quick_check")
    finally:
        connection.set_progress_handler(None, 0)


def check_wholly(connection: sqlite3.Connection, path: Path) -> None:
    """Look at each page, each row and each index. Raises Damaged; sqlite3.Error when interrupted."""
    if not _check(connection, path, "integrity_check"):
        raise sqlite3.OperationalError("interrupted")


def _check(connection: sqlite3.Connection, path: Path, pragma: str) -> bool:
    try:
        (found,) = connection.execute(f"PRAGMA {pragma}(1)").fetchone()
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            return False
        raise
    if found != "ok":
        raise damaged(path, " ".join(str(found).split()))
    return True


def lost_transactions(path: Path, counted_frames: int) -> int:
    """How many transactions of the write-ahead log are known to be lost; `counted_frames` are those that
    SQLite goes by (`PRAGMA wal_checkpoint`). Raises OSError.
    """
    log = log_of(path)
    if not log.exists():
        return 0
    with log.open("rb") as file:
        commits = sum(_commits(file, counted_frames))
    return max(0, commits - 1)


def _commits(file: BinaryIO, skipped: int) -> Iterator[bool]:
    """Of each frame behind the first `skipped` that belongs to this log: whether a transaction ends there."""
    head = file.read(_WAL_HEADER.size)
    if len(head) < _WAL_HEADER.size:
        return
    magic, _, page_size, _, *salts, _, _ = _WAL_HEADER.unpack(head)
    intact = magic in _WAL_MAGICS and _sums(head[:24], _WAL_MAGICS[magic]) == _WAL_HEADER.unpack(head)[6:]
    wanted: tuple[int, ...] | None = tuple(salts) if intact else None
    if not intact:
        page_size = _OUR_PAGE_BYTES
    length = _FRAME_HEADER.size + page_size
    file.seek(_WAL_HEADER.size + skipped * length)
    while len(frame := file.read(_FRAME_HEADER.size)) == _FRAME_HEADER.size:
        _, size_after, *frame_salts, _, _ = _FRAME_HEADER.unpack(frame)
        # The first frame was written right behind the header, and agrees with it.
        wanted = wanted or tuple(frame_salts)
        if tuple(frame_salts) == wanted:
            yield size_after > 0
        file.seek(page_size, os.SEEK_CUR)


def _sums(data: bytes, order: str) -> tuple[int, int]:
    """SQLite's checksum (file format, 4.2)."""
    one = two = 0
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
