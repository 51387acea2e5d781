"""Archives, good ones and others, entry by entry."""

import gzip
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

Entry = tuple[tarfile.TarInfo, bytes]


def file(name: str, content: bytes = b"content", mode: int = 0o644) -> Entry:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    return entry, content


def special(name: str, kind: bytes, linkname: str = "") -> Entry:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, linkname
    return entry, b""


def folder(name: str) -> Entry:
    return special(name, tarfile.DIRTYPE)


def link(name: str, target: str) -> Entry:
    return special(name, tarfile.SYMTYPE, target)


def program(top: str = "top") -> list[Entry]:
    """What every good one has."""
    return [folder(top), file(f"{top}/openclawd", b"#!/bin/sh\n", 0o755)]


def write_archive(into: Path, entries: Iterable[Entry], *, form: int = tarfile.PAX_FORMAT) -> Path:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=form) as archive:
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content))
    into.write_bytes(gzip.compress(plain.getvalue(), mtime=0))
    return into
