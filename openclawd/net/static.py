"""A page's files: found safely under one folder, tagged, and compressed once.

A file is read when it is first asked for and again when it has changed on disk, so a page under development
needs no restart; what was read is kept within a bound.
"""

import gzip
import hashlib
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Final

import attrs
import trio

from openclawd.net.http import Request, Response

# Our page is a tenth of this, a stock one about a half.
MAX_CACHED_BYTES: Final = 8 * 1024 * 1024
# Below this a compressed answer is not smaller on the wire.
MIN_COMPRESSED_BYTES: Final = 512

_CONTENT_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".map": "application/json; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}
_COMPRESSIBLE: Final = {
    ".html",
    ".js",
    ".mjs",
    ".css",
    ".json",
    ".map",
    ".svg",
    ".txt",
    ".webmanifest",
    ".ico",
}
# What a page is made of, beside its data.
PAGE_PARTS: Final = (
    ".js",
    ".mjs",
    ".css",
    ".svg",
    ".png",
    ".jpg",
    ".jpeg",
    ".gif",
    ".webp",
    ".ico",
    ".woff2",
)
# A missing file of these kinds is a 404; any other path is a place inside the page (protocol: SPA fallback).
_FILE_SUFFIXES: Final = frozenset(_CONTENT_TYPES) - {".html"}


@attrs.frozen(eq=False, repr=False)
class _File:
    stamp: tuple[int, int]
    content_type: str
    etag: str
    plain: bytes
    gzipped: bytes | None


class Site:
    """The files under `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._files: dict[Path, _File] = {}
        self._cached_bytes = 0

    async def respond(self, request: Request, path: str) -> Response | None:
        """The file at `path` (relative, percent-decoded), the page itself for a place in it, or None: no such
        file.
        """
        file = await self._find(path)
        if file is None and PurePosixPath(path).suffix.lower() not in _FILE_SUFFIXES:
            page = await self._find("index.html")
            file = _lifted(page, path.count("/")) if page is not None else None
            if file is None:
                return Response(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    (("Content-Type", "text/plain; charset=utf-8"),),
                    f"The Control UI's files are missing: no index.html in {self._root.name}\n".encode(),
                )
        if file is None:
            return None
        headers: list[tuple[str, str]] = [("ETag", file.etag), ("Vary", "Accept-Encoding")]
        if file.etag in _etags(request.header("if-none-match")):
            return Response(HTTPStatus.NOT_MODIFIED, tuple(headers))
        headers.append(("Content-Type", file.content_type))
        if file.gzipped is not None and _accepts_gzip(request.header("accept-encoding")):
            headers.append(("Content-Encoding", "gzip"))
            return Response(HTTPStatus.OK, tuple(headers), file.gzipped)
        return Response(HTTPStatus.OK, tuple(headers), file.plain)

    async def _find(self, path: str) -> _File | None:
        location = self._locate(path)
        if location is None:
            return None
        try:
            status = location.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            known = self._files.get(location)
            if known is not None and known.stamp == stamp:
                return known
            file = await trio.to_thread.run_sync(_load, location, stamp)
        except OSError:
            return None
        self._remember(location, file)
        return file

    def _locate(self, path: str) -> Path | None:
        """The file for `path`; None when it is outside the root (by `..`, by a link) or not a plain file."""
        parts = [part for part in path.split("/") if part]
        if any(part in {".", ".."} or "\0" in part or "\\" in part for part in parts):
            return None
        # A stock page asks for its assets relative to wherever it stands (protocol 1.2).
        if "assets" in parts[:-1]:
            parts = parts[parts.index("assets") :]
        try:
            location = self._root.joinpath(*parts).resolve()
            inside = location.is_relative_to(self._root) and location.is_file()
        except OSError:
            return None
        return location if inside else None

    def _remember(self, location: Path, file: _File) -> None:
        size = len(file.plain) + len(file.gzipped or b"")
        if self._cached_bytes + size > MAX_CACHED_BYTES:
            self._files.clear()
            self._cached_bytes = 0
        if size <= MAX_CACHED_BYTES:
            self._files[location] = file
            self._cached_bytes += size


def _load(location: Path, stamp: tuple[int, int]) -> _File:
    plain = location.read_bytes()
    suffix = location.suffix.lower()
    gzipped: bytes | None = None
    if suffix in _COMPRESSIBLE and len(plain) >= MIN_COMPRESSED_BYTES:
        gzipped = gzip.compress(plain, compresslevel=9, mtime=0)
        if len(gzipped) >= len(plain):
            gzipped = None
    return _File(
        stamp=stamp,
        content_type=_CONTENT_TYPES.get(suffix, "application/octet-stream"),
        etag=f'"{hashlib.sha256(plain).hexdigest()[:32]}"',
        plain=plain,
        gzipped=gzipped,
    )


def _lifted(page: _File, depth: int) -> _File:
    """The page for a place `depth` folders down, from where its own files (`./`) are that much higher."""
    if depth == 0:
        return page
    plain = page.plain.replace(b'="./', b'="' + b"../" * depth)
    return attrs.evolve(page, etag=f'{page.etag[:-1]}-{depth}"', plain=plain, gzipped=None)


def _etags(header: str | None) -> set[str]:
    """RFC 9110 section 13.1.2, weak comparison."""
    return {tag.strip().removeprefix("W/") for tag in header.split(",")} if header else set()


def _accepts_gzip(header: str | None) -> bool:
    if not header:
        return False
    for item in header.split(","):
        coding, _, parameters = item.partition(";")
        if coding.strip().lower() in {"gzip", "*"}:
            return parameters.replace(" ", "").lower() not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
