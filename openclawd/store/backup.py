"""Making a backup: the database at one moment, checked, and the small files that belong to it.

It is a `.tar.gz` of the state directory's own layout, so that `tar xzf FILE -C ~/.openclaw` puts it back
without any of this, on any machine. The database is copied by SQLite through a connection of its own, which
sees one moment for as long as that takes; no write waits for it, also not a gateway's in another process.
Then all of the copy is checked: that is the daily check of the database itself, and why a backup that exists
can be relied on. Nothing stands under a backup's name before all of it is on the disk.

Rejected: `VACUUM INTO` (rewrites every row, and would leave a damaged page out without a word); copying on
the owner thread in slices (SQLite begins anew when something was written between two of them).
"""

import errno
import fcntl
import gzip
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

import attrs
import orjson

from openclawd.store.errors import StoreError, damaged, from_os, from_sqlite
from openclawd.store.integrity import check_wholly

# What the archive's own description is called, and the database in it.
MANIFEST: Final = "backup.json"
DATABASE: Final = "openclawd/openclawd.sqlite3"
FORMAT: Final = 1
# Pages a slice: a megabyte, some milliseconds.
_PAGES: Final = 256
_INSTRUCTIONS_A_LOOK: Final = 100_000
# Conversations shrink to a quarter with the least effort; more effort buys little.
_COMPRESSION: Final = 1
_CHUNK_BYTES: Final = 256 * 1024
# So much may wait in memory for the disk: a sync of the gateway's own never waits behind more.
_SYNCED_BYTES: Final = 8 * 1024 * 1024
# A backup must not be what fills the disk.
_SPARED_BYTES: Final = 64 * 1024 * 1024


def _go_on() -> None:
    """Nobody stops it."""


@attrs.frozen(eq=False, repr=False)
class Source:
    """What a backup is made of. `along`: more files by their names in the archive; those that are missing
    are left out.
    """

    database: Path
    along: Mapping[str, Path]
    version: str


def make_backup(
    source: Source, target: Path, *, owner: Path, now_ms: int, proceed: Callable[[], object] = _go_on
) -> None:
    """Make the backup `target` (mode 0600, owned as `owner` is), which must not exist yet.

    `proceed` is called every few milliseconds, and may raise to stop. Raises Damaged when the database is,
    StoreError when it cannot be read or the backup not be written; then nothing is left behind.
    """
    try:
        if not target.parent.exists():
            target.parent.mkdir(mode=0o700, parents=True)
            own_as(owner, target.parent)
        with _work_folder(target) as folder:
            copy, archive = folder / "database", folder / "archive"
            _copy(source.database, copy, proceed)
            _check(source.database, copy, proceed)
            _pack(source, copy, archive, now_ms=now_ms, proceed=proceed)
            own_as(owner, archive)
            _give_name(archive, target)
        sync_folder(target.parent)
    except OSError as error:
        raise _unwritable(target, error) from error


@contextmanager
def _work_folder(target: Path) -> Iterator[Path]:
    """A place beside the target, gone afterwards; what a crash left of others goes, too."""
    descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                target.parent, "another backup is being made there", "Wait for it: openclawd backup list"
            ) from None
        for left in target.parent.glob(".making-*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=target.parent) as folder:
            yield Path(folder)
    finally:
        os.close(descriptor)


def _copy(database: Path, copy: Path, proceed: Callable[[], object]) -> None:
    try:
        with (
            closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, isolation_level=None)) as there,
            closing(sqlite3.connect(copy, isolation_level=None)) as here,
        ):
            # It is read once more and thrown away.
            here.execute("PRAGMA synchronous = OFF")
            here.execute("PRAGMA journal_mode = OFF")
            there.execute("BEGIN")
            (pages,) = there.execute("PRAGMA page_count").fetchone()
            (page_bytes,) = there.execute("PRAGMA page_size").fetchone()
            _refuse_narrow(copy.parent, pages * page_bytes)
            there.backup(here, pages=_PAGES, progress=lambda *_: proceed())
            # As one file, without a log beside it.
            here.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise _in_words(database, error) from error


def _refuse_narrow(folder: Path, size: int) -> None:
    there = os.statvfs(folder)
    room = there.f_bavail * there.f_frsize
    # The copy, and at the worst an archive of the same size.
    needed = 2 * size + _SPARED_BYTES
    if room < needed:
        raise StoreError(
            folder.parent,
            f"there is no room for a backup: it takes {needed >> 20} MB for a moment, {room >> 20} are free",
            f"Free space there (`df -h {folder.parent}`), or lower openclawd.backup.maxBytes",
        )


def _check(database: Path, copy: Path, proceed: Callable[[], object]) -> None:
    stopped: list[BaseException] = []

    def look() -> bool:
        try:
            proceed()
        except BaseException as error:  # noqa: BLE001 - it is raised again below, where SQLite lets it through
            stopped.append(error)
        return bool(stopped)

    try:
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            connection.set_progress_handler(look, _INSTRUCTIONS_A_LOOK)
            check_wholly(connection, database)
    except sqlite3.Error as error:
        if stopped:
            raise stopped[0] from None
        raise _in_words(database, error) from error


def _pack(source: Source, copy: Path, archive: Path, *, now_ms: int, proceed: Callable[[], object]) -> None:
    manifest = {
        "format": FORMAT,
        "madeAtMs": now_ms,
        "version": source.version,
        "databaseBytes": copy.stat().st_size,
    }
    descriptor = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        paced = _Paced(file, proceed)
        with (
            gzip.GzipFile("", "wb", _COMPRESSION, paced, mtime=now_ms // 1000) as packed,
            tarfile.TarFile(fileobj=packed, mode="w", copybufsize=_CHUNK_BYTES) as tar,
        ):
            _add(tar, MANIFEST, BytesIO(orjson.dumps(manifest)), now_ms)
            for name, path in source.along.items():
                if path.is_file():
                    _add(tar, name, BytesIO(path.read_bytes()), now_ms)
            with copy.open("rb") as content:
                _add(tar, DATABASE, content, now_ms)
        file.flush()
        os.fsync(descriptor)


def _add(tar: tarfile.TarFile, name: str, content: BinaryIO, now_ms: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = content.seek(0, os.SEEK_END)
    content.seek(0)
    member.mode = 0o600
    member.mtime = now_ms // 1000
    tar.addfile(member, content)


class _Paced:
    """A file that goes to the disk as it is written, and asks whether to go on."""

    def __init__(self, file: BinaryIO, proceed: Callable[[], object]) -> None:
        self._file = file
        self._proceed = proceed
        self._unsynced = 0

    def write(self, data: bytes) -> int:
        self._proceed()
        self._unsynced += len(data)
        if self._unsynced > _SYNCED_BYTES:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._unsynced = 0
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        """Whoever opened it closes it."""


def _give_name(archive: Path, target: Path) -> None:
    """Without ever replacing what is there, as far as the file system knows links."""
    try:
        os.link(archive, target)
    except FileExistsError:
        raise
    except OSError:
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        archive.rename(target)


def own_as(folder: Path, file: Path) -> None:
    """Root works here for others: a file that the daemon cannot read would be none."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(file, owner.st_uid, owner.st_gid)


def sync_folder(folder: Path) -> None:
    """What was named or renamed there is on the disk then."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _in_words(database: Path, error: sqlite3.Error) -> StoreError:
    mapped = from_sqlite(database, error)
    return mapped if isinstance(mapped, StoreError) else damaged(database, str(error))


def _unwritable(target: Path, error: OSError) -> StoreError:
    if isinstance(error, FileExistsError):
        return StoreError(
            target, "there is a file of that name", "Choose another: openclawd backup --to FILE"
        )
    said = from_os(target, error)
    problem = said.problem.replace("the state database cannot be opened", "the backup cannot be written")
    return StoreError(target, problem, said.cure)
