"""A repository in one file, for hosts that reach no other: a plain .tar with metadata/ and targets/.

It is read where it lies; nothing of it is unpacked before it was verified as anything from the web is. Its
signatures expire as any do, so a bundle has a day by which it wants to be used.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import IO, BinaryIO, Final

from tuf.api.exceptions import DownloadError, DownloadHTTPError, DownloadLengthMismatchError
from tuf.ngclient import FetcherInterface

from openclawd.update.places import Told
from openclawd.update.staged import CannotUpdate

_SCHEME: Final = "bundle:"
_CHUNK_BYTES: Final = 256 * 1024
_MAX_FILES: Final = 10_000
_NOT_FOUND: Final = 404
# What tarfile makes of a damaged head: a size below nothing, or above all that there is.
_BROKEN: Final = (tarfile.TarError, EOFError, ValueError, OverflowError, MemoryError)


class Bundle:
    """One that is open until it is closed."""

    def __init__(self, file: Path) -> None:
        """Raises CannotUpdate for what is no bundle."""
        self.name = str(file)
        self.metadata_url = f"{_SCHEME}metadata/"
        self._members: dict[str, tarfile.TarInfo] = {}
        try:
            self._archive = tarfile.open(file, mode="r:")  # noqa: SIM115  closed by `close`
        except (*_BROKEN, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no .tar"
            raise CannotUpdate(f"{file} cannot be read: {why}", f"ls -l {quote(str(file))}") from error
        try:
            self._read_names(file.stat().st_size)
        except BaseException:
            self.close()
            raise
        self.fetcher: FetcherInterface = _Fetcher(self)

    def close(self) -> None:
        self._archive.close()

    def has(self, path: str) -> bool:
        return f"targets/{path}" in self._members

    def copy(self, path: str, into: BinaryIO, length: int, told: Told) -> None:
        done = 0
        for chunk in self.chunks(f"targets/{path}"):
            done += len(chunk)
            if done > length:
                raise DownloadLengthMismatchError(f"holds more than {length} bytes of {path}")
            into.write(chunk)
            told(done)

    def chunks(self, name: str) -> Iterator[bytes]:
        """A file's bytes. Raises tuf's DownloadError."""
        member = self._members.get(name)
        opened: IO[bytes] | None = None if member is None else self._archive.extractfile(member)
        if opened is None:
            raise DownloadHTTPError(f"holds no {name}", _NOT_FOUND)
        try:
            while chunk := opened.read(_CHUNK_BYTES):
                yield chunk
        except (tarfile.TarError, OSError) as error:
            raise DownloadError(f"breaks off in {name}") from error

    def _read_names(self, length: int) -> None:
        try:
            for member in self._archive:
                if not member.offset <= member.offset_data <= member.offset_data + member.size <= length:
                    raise self._no_bundle(f"cannot be read to its end: {member.name!r} lies about its size")
                if member.isreg() and not member.issparse():
                    self._members[member.name.removeprefix("./")] = member
                if len(self._members) > _MAX_FILES:
                    raise self._no_bundle(f"is no bundle: it holds more than {_MAX_FILES} files")
        except (*_BROKEN, OSError) as error:
            raise self._no_bundle(f"cannot be read to its end: {error}") from error
        if "metadata/timestamp.json" not in self._members:
            raise self._no_bundle("is no bundle: it holds no signatures")

    def _no_bundle(self, why: str) -> CannotUpdate:
        return CannotUpdate(f"{self.name} {why}", f"tar -tf {quote(self.name)}")


class _Fetcher(FetcherInterface):
    """What TUF asks for metadata."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def _fetch(self, url: str) -> Iterator[bytes]:
        return self._bundle.chunks(url.removeprefix(_SCHEME))
