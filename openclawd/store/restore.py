"""Bringing a backup's database back, in steps that a crash between any two of them cannot spoil.

What comes back is unpacked, checked and synced under the name `<database>.restored` before anything else is
touched. From then on that file says that a restore is under way, and whoever opens the database finishes it:
the one that is there is set aside together with its write-ahead log (which would otherwise be applied to the
other one), and the new one takes its place. Nothing is ever deleted.
"""

import gzip
import logging
import os
import sqlite3
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

from openclawd.store.backup import DATABASE, FORMAT, MANIFEST, own_as, sync_folder
from openclawd.store.backup_files import BackupFile, moment
from openclawd.store.errors import Damaged, StoreError, from_os
from openclawd.store.integrity import check_wholly, log_of, mark_of, refuse_foreign
from openclawd.store.kept import DAMAGED
from openclawd.store.migrations import refuse_newer
from openclawd.store.salvage import Salvaged, salvage

FORMER: Final = "before-restore"
# If it is damaged so often, the disk is: another copy would be damaged, too.
MAX_DAMAGED_A_DAY: Final = 3
_DAY_MS: Final = 24 * 60 * 60 * 1000
_CHUNK_BYTES: Final = 1024 * 1024
_MANIFEST_MAX_BYTES: Final = 64 * 1024

_log = logging.getLogger("openclawd.store")


@attrs.frozen
class Manifest:
    """What a backup says of itself."""

    made_at_ms: int
    version: str
    names: tuple[str, ...]
    """Of the files in it."""


def read_manifest(backup: Path) -> Manifest:
    """Of a backup. Raises StoreError when it is none."""
    with _opened(backup) as tar:
        return _manifest(backup, tar)


def extract(backup: Path, name: str) -> bytes:
    """One of the small files in a backup. Raises StoreError."""
    with _opened(backup) as tar:
        content = tar.extractfile(tar.getmember(name))
        return content.read() if content is not None else b""


@attrs.frozen
class Restored:
    """The backup that took a damaged database's place, and what was brought over from that."""

    manifest: Manifest
    salvaged: Salvaged | None


def prepare(backup: Path, database: Path, complete: Callable[[Path], object] = lambda _: None) -> Manifest:
    """Have the backup's database ready to take the place of `database`. Raises StoreError.

    `complete` may change it before; StoreError also when it is of a newer openclawd. All of it was checked
    when this returns.
    """
    making = database.with_name(f"{database.name}.restoring")
    try:
        with _opened(backup) as tar:
            manifest = _manifest(backup, tar)
            _unpack(tar, making)
        _check(backup, making)
        complete(making)
        own_as(database.parent, making)
        making.replace(_restored(database))
        sync_folder(database.parent)
    except OSError as error:
        raise from_os(backup, error) from error
    finally:
        with suppress(OSError):
            making.unlink(missing_ok=True)
    return manifest


def finish(database: Path, word: str = DAMAGED) -> Path | None:
    """Finish a restore that is under way, while nobody has the database open: where the one before is now,
    None when there was none. `word` names it. Raises OSError.
    """
    restored = _restored(database)
    if not restored.exists():
        return None
    there = database.exists()
    while True:
        made_ms = int(restored.stat().st_mtime * 1000)
        aside = database.with_name(f"{database.name}.{word}-{moment(made_ms)}")
        if not (there and aside.exists()):
            break
        # Of another restore in the same second. The file says so: after a crash the log goes there, too.
        later_s = made_ms / 1000 + 1
        os.utime(restored, (later_s, later_s))
    log = log_of(database)
    if there:
        database.replace(aside)
    if log.exists():
        log.replace(log_of(aside))
    for derived in (database.with_name(f"{database.name}-shm"), mark_of(database)):
        derived.unlink(missing_ok=True)
    # First the log must be gone for certain.
    sync_folder(database.parent)
    restored.replace(database)
    sync_folder(database.parent)
    return aside if there else None


def close_cleanly(database: Path) -> None:
    """Have in the database what is in its log yet, so that it is whole in one file; a damaged one stays as it
    is.
    """
    if log_of(database).exists():
        with suppress(sqlite3.Error), closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def put_back(file: Path, content: bytes, *, owner: Path, now_ms: int) -> Path | None:
    """Replace one of the small files in one step (mode 0600), a link's target if it is one: where the one
    before is now, None when there was none. Raises StoreError.
    """
    file = Path(os.path.realpath(file))
    while (aside := file.with_name(f"{file.name}.{FORMER}-{moment(now_ms)}")).exists():
        now_ms += 1000
    making = file.with_name(f".{file.name}.restoring")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as new:
            new.write(content)
            new.flush()
            os.fsync(descriptor)
        own_as(owner, making)
        there = file.exists()
        if there:
            os.link(file, aside)
        making.replace(file)
        sync_folder(file.parent)
    except OSError as error:
        raise from_os(file, error) from error
    return aside if there else None


def set_aside(database: Path, word: str = DAMAGED) -> list[Path]:
    """The databases that were set aside here, without their logs."""
    prefix = f"{database.name}.{word}-"
    return sorted(path for path in database.parent.glob(f"{prefix}*") if not path.name.endswith("-wal"))


def restore_newest(database: Path, backups: Sequence[BackupFile], error: Damaged, now_ms: int) -> Restored:
    """Bring the newest backup back that is in order, and what can still be read of the database. Raises
    `error` when there is none, or when the database was damaged too often of late.
    """
    today = f"{database.name}.{DAMAGED}-{moment(now_ms - _DAY_MS)}"
    if sum(path.name > today for path in set_aside(database)) >= MAX_DAMAGED_A_DAY:
        raise Damaged(
            database,
            f"{error.problem}, for the {MAX_DAMAGED_A_DAY + 1}th time within a day",
            "The disk, or the memory, is failing: look at the system log (`dmesg`), then `openclawd restore"
            " latest`",
        ) from error
    restored = _prepare_first(database, backups)
    if restored is None:
        raise error
    finish(database)
    return restored


def _prepare_first(database: Path, backups: Iterable[BackupFile]) -> Restored | None:
    for backup in backups:
        try:
            return _prepare_whole(database, backup.path)
        except StoreError as error:
            _log.warning("backup not used", extra={"fields": {"reason": str(error)}})
    return None


def _prepare_whole(database: Path, backup: Path) -> Restored:
    """The backup with what can be read of the database; without, where the two do not go together."""
    salvaged: Salvaged | None = None

    def complete(making: Path) -> None:
        nonlocal salvaged
        salvaged = salvage(database, making)
        _check(backup, making)

    try:
        return Restored(prepare(backup, database, complete), salvaged)
    except StoreError as error:
        if salvaged is None:
            raise
        fields = {"reason": str(error)}
        _log.warning("nothing brought over from the damaged database", extra={"fields": fields})
        return Restored(prepare(backup, database), None)


def _restored(database: Path) -> Path:
    return database.with_name(f"{database.name}.restored")


@contextmanager
def _opened(backup: Path) -> Iterator[tarfile.TarFile]:
    try:
        with gzip.open(backup, "rb") as packed, tarfile.TarFile(fileobj=packed) as tar:
            yield tar
    except FileNotFoundError as error:
        raise StoreError(backup, "there is no such file", "See: openclawd backup list") from error
    except (gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError, KeyError, ValueError) as error:
        raise _unusable(backup, str(error)) from error
    except OSError as error:
        raise StoreError(
            backup,
            f"it cannot be read and unpacked ({error.strerror or error})",
            f"Look at its permissions and at the room there: ls -l {backup}; df -h {backup.parent}",
        ) from error


def _manifest(backup: Path, tar: tarfile.TarFile) -> Manifest:
    content = tar.extractfile(tar.getmember(MANIFEST))
    said: Any = orjson.loads(content.read(_MANIFEST_MAX_BYTES) if content is not None else b"")
    if not isinstance(said, dict) or not isinstance(said.get("madeAtMs"), int):
        raise _unusable(backup, "it does not say when it was made")
    if said.get("format") != FORMAT:
        raise StoreError(
            backup,
            "a newer openclawd has made this backup",
            "Restore it with that version: openclawd --version",
        )
    return Manifest(said["madeAtMs"], str(said.get("version")), tuple(tar.getnames()))


def _unpack(tar: tarfile.TarFile, target: Path) -> None:
    content = tar.extractfile(tar.getmember(DATABASE))
    if content is None:
        raise KeyError(DATABASE)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while chunk := content.read(_CHUNK_BYTES):
            file.write(chunk)
        file.flush()
        os.fsync(descriptor)


def _check(backup: Path, database: Path) -> None:
    try:
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            refuse_newer(connection, backup)
            refuse_foreign(connection, backup)
            check_wholly(connection, backup)
    except sqlite3.Error as error:
        raise _unusable(backup, str(error)) from error


def _unusable(backup: Path, detail: str) -> StoreError:
    return StoreError(
        backup, f"this is no backup that can be used ({detail})", "Take another one: openclawd backup list"
    )
