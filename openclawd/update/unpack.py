"""From an archive to a slot: `versions/<version>` is there as a whole, on the disk, or not at all.

The archive was verified, and is read as if it had not been: whoever signs can be deceived, and a mistake in
a build must not reach beyond the slot. It holds one folder with plain files, folders and links within it. A
link climbs first (`../`) and descends then; since no link is ever walked through to write something, and each
descends into this folder, none leads out of it.
"""

import gzip
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Final, TypeVar

from openclawd.config.atomic import sync_folder
from openclawd.slots.durable import sync_tree
from openclawd.slots.layout import Installation
from openclawd.update.staged import CannotUpdate

PROGRAM: Final = "openclawd"
BLOCK_BYTES: Final = 4096
"""A file takes whole blocks of a disk: `unpackedBytes` counts them, and one for each folder and link."""

# In `versions`, a name that is nobody else's.
_BEGUN: Final = ".unpacking-"
_CHUNK_BYTES: Final = 256 * 1024
_MAX_ENTRIES: Final = 20_000
_PLAIN: Final = (tarfile.REGTYPE, tarfile.AREGTYPE)
_TO_RUN: Final = 0o755
_TO_READ: Final = 0o644

Told = Callable[[int], None]

_Made = TypeVar("_Made")


class _Unfit(Exception):
    """What is wrong with the archive, in words."""


def unpack(
    archive: Path, installation: Installation, version: str, unpacked_bytes: int, told: Told = lambda _: None
) -> Path:
    """Make the slot of `version`; its folder. `unpacked_bytes` is how large it may be; `told`
    is called with the bytes written so far. The lock of the installation is held meanwhile. Raises
    CannotUpdate for an archive that is no good; OSError.
    """
    installation.versions.mkdir(mode=0o755, exist_ok=True)
    installation.clear_away()
    begun = installation.versions / f"{_BEGUN}{version}-{os.urandom(4).hex()}"
    begun.mkdir(mode=_TO_RUN)
    begun.chmod(_TO_RUN)
    try:
        with gzip.open(archive) as plain:
            _Slot(begun, unpacked_bytes, told).fill(_Bounded(plain, 2 * unpacked_bytes + _CHUNK_BYTES))
        _require_program(begun)
        sync_tree(begun)
        slot = installation.slot(version)
        if slot.exists():
            # One that cannot run (or it would not be fetched), so nobody runs it.
            slot.rename(installation.versions / f"{_BEGUN}{version}-{os.urandom(4).hex()}")
        begun.rename(slot)
        sync_folder(installation.versions)
    except (_Unfit, tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        shutil.rmtree(begun, ignore_errors=True)
        raise CannotUpdate(
            f"the archive of {version} is no good: {error}", "openclawd update check"
        ) from error
    except BaseException:
        shutil.rmtree(begun, ignore_errors=True)
        raise
    return slot


class _Bounded:
    """A stream that says no when more comes than can be meant, however it is compressed or described."""

    def __init__(self, stream: gzip.GzipFile, most: int) -> None:
        self._stream = stream
        self._left = most

    def read(self, size: int) -> bytes:
        data = self._stream.read(min(size, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise _Unfit("more comes out of it than was signed")
        return data


class _Slot:
    """A folder that is filled with what an archive holds."""

    def __init__(self, folder: Path, most_bytes: int, told: Told) -> None:
        self._folder = folder
        self._left = most_bytes
        self._told = told
        self._written = 0
        self._entries = 0
        self._top: str | None = None
        self._folders: set[PurePosixPath] = {PurePosixPath()}
        self._links: list[Path] = []

    def fill(self, stream: _Bounded) -> None:
        # As a stream: an entry is read once, in its order, and none refers to another one's place.
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
            for entry in archive:
                self._entries += 1
                if self._entries > _MAX_ENTRIES:
                    raise _Unfit(f"it holds more than {_MAX_ENTRIES} files")
                self._add(archive, entry)
        for link in self._links:
            if not link.exists():
                raise _Unfit(f"{link.relative_to(self._folder)} leads nowhere")

    def _add(self, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        name = self._name(entry.name)
        self._take(entry.size if entry.type in _PLAIN else 0)
        if entry.isdir():
            self._make_folder(name)
            return
        if name == PurePosixPath():
            raise _Unfit(f"{entry.name!r} is no folder, and nothing else may be at the top")
        self._make_folder(name.parent)
        path = self._folder / name
        if entry.issym():
            self._link(path, name, entry.linkname)
        elif entry.type in _PLAIN and not entry.issparse():
            content = archive.extractfile(entry)
            if content is None:
                raise _Unfit(f"{entry.name!r} has no content")
            self._write(path, content, entry)
        else:
            raise _Unfit(f"{entry.name!r} is neither a file nor a folder nor a link within")

    def _name(self, text: str) -> PurePosixPath:
        """The path within the slot: what is said without the folder that everything is in."""
        parts = text.rstrip("/").split("/")
        if any(part in ("", ".", "..") or not part.isprintable() for part in parts):
            raise _Unfit(f"{text!r} is no path that stays inside")
        if self._top is None:
            self._top = parts[0]
        if parts[0] != self._top:
            raise _Unfit(f"{text!r} is not in {self._top!r}, as the rest is")
        return PurePosixPath(*parts[1:])

    def _make_folder(self, name: PurePosixPath) -> None:
        if name in self._folders:
            return
        self._make_folder(name.parent)
        try:
            (self._folder / name).mkdir(mode=_TO_RUN)
        except FileExistsError:
            # A file, or a link that would be written through.
            raise _Unfit(f"{str(name)!r} is there twice, and is no folder") from None
        (self._folder / name).chmod(_TO_RUN)
        self._folders.add(name)
        self._take(BLOCK_BYTES)

    def _link(self, path: Path, name: PurePosixPath, target: str) -> None:
        parts = target.split("/")
        climbs = 0
        while climbs < len(parts) and parts[climbs] == "..":
            climbs += 1
        descends = parts[climbs:]
        if climbs > len(name.parts) - 1 or any(part in ("", ".", "..") for part in descends) or not descends:
            raise _Unfit(f"{str(name)!r} leads out of its folder, to {target!r}")
        self._once(name, lambda: path.symlink_to(target))
        self._links.append(path)

    def _write(self, path: Path, content: IO[bytes], entry: tarfile.TarInfo) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = self._once(path, lambda: os.open(path, flags, 0o600))
        with os.fdopen(descriptor, "wb") as file:
            while chunk := content.read(_CHUNK_BYTES):
                file.write(chunk)
                self._written += len(chunk)
                self._told(self._written)
            os.fchmod(file.fileno(), _TO_RUN if entry.mode & stat.S_IXUSR else _TO_READ)

    @staticmethod
    def _once(name: object, make: Callable[[], _Made]) -> _Made:
        try:
            return make()
        except FileExistsError:
            raise _Unfit(f"{str(name)!r} is there twice") from None

    def _take(self, count: int) -> None:
        """Of the room that was signed, before it is used."""
        self._left -= count
        if self._left < 0:
            raise _Unfit("it holds more than was signed")


def _require_program(slot: Path) -> None:
    program = slot / PROGRAM
    if program.is_symlink() or not program.is_file() or not os.access(program, os.X_OK):
        raise _Unfit(f"there is no program {PROGRAM} in it")
