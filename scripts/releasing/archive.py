"""From a folder that packaging/build has made to the archive that is signed, the same bytes each time."""

import gzip
import os
import re
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from openclawd.slots.layout import is_version
from openclawd.update.releases import is_newer
from openclawd.update.unpack import BLOCK_BYTES, PROGRAM
from scripts.releasing.fault import Fault

# elf(5): e_machine at 18. mach-o/loader.h: cputype at 4.
_ELF: Final = b"\x7fELF"
_ELF_MACHINES: Final = {62: "x86_64", 183: "aarch64"}
_MACH_O: Final = b"\xcf\xfa\xed\xfe"
_MACH_MACHINES: Final = {0x01000007: "x86_64", 0x0100000C: "arm64"}
_NEEDED_GLIBC: Final = re.compile(rb"\0GLIBC_(\d+\.\d+(?:\.\d+)?)(?=\0)")


@attrs.frozen
class Built:
    """A build, and what it needs of a machine."""

    folder: Path
    version: str
    system: str
    machine: str
    glibc: str | None
    unpacked_bytes: int

    @property
    def name(self) -> str:
        return f"openclawd-{self.version}-{self.system}-{self.machine}.tar.gz"

    def custom(self, *, notes: str | None, minimum: str | None) -> dict[str, object]:
        """What is signed beside the archive's hash."""
        told: dict[str, object] = {
            "version": self.version,
            "system": self.system,
            "machine": self.machine,
            "glibc": self.glibc,
            "unpackedBytes": self.unpacked_bytes,
        }
        if notes:
            told["notes"] = notes
        if minimum:
            told["minimum"] = minimum
        return told


def built(folder: Path, version: str) -> Built:
    """What the program in a folder is made for. Raises Fault where there is none."""
    program = folder / PROGRAM
    if not is_version(version):
        raise Fault(f"{version!r} is no version")
    if not program.is_file() or not os.access(program, os.X_OK):
        raise Fault(f"{folder} holds no program {PROGRAM}; make one: packaging/build")
    system, machine = _made_for(program)
    entries = [folder, *_entries(folder)]
    room = sum(_blocks(path) for path in entries) * BLOCK_BYTES
    return Built(folder, version, system, machine, _glibc(folder) if system == "linux" else None, room)


def pack(build: Built, into: Path, *, made_s: int) -> None:
    """Write the archive; everything in it is from the second `made_s`, and nobody's."""
    top = f"openclawd-{build.version}"
    with (
        into.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as plain,
        tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in (build.folder, *_entries(build.folder)):
            entry = archive.gettarinfo(path, str(Path(top) / path.relative_to(build.folder)))
            if not (entry.isreg() or entry.isdir() or entry.issym()):
                # gettarinfo() calls the second name of a file a link to the first.
                entry.type, entry.linkname, entry.size = tarfile.REGTYPE, "", path.stat().st_size
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = made_s
            to_run = entry.isdir() or bool(entry.mode & stat.S_IXUSR)
            entry.mode = 0o755 if to_run else 0o644
            if entry.isreg():
                with path.open("rb") as content:
                    archive.addfile(entry, content)
            else:
                archive.addfile(entry)


def _entries(folder: Path) -> Iterator[Path]:
    """All below it, a folder before what is in it, in an order of their names alone."""
    for path in sorted(folder.iterdir(), key=lambda each: each.name):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _entries(path)


def _blocks(path: Path) -> int:
    if path.is_symlink() or path.is_dir():
        return 1
    return -(-path.stat().st_size // BLOCK_BYTES) + 1


def _made_for(program: Path) -> tuple[str, str]:
    with program.open("rb") as file:
        head = file.read(20)
    if head.startswith(_ELF):
        machine = _ELF_MACHINES.get(int.from_bytes(head[18:20], "little"))
        if machine is not None:
            return "linux", machine
    if head.startswith(_MACH_O):
        machine = _MACH_MACHINES.get(int.from_bytes(head[4:8], "little"))
        if machine is not None:
            return "darwin", machine
    raise Fault(f"{program} is made for no machine that releases are for (Linux or macOS, x86_64 or arm64)")


def _glibc(folder: Path) -> str | None:
    """The newest symbols that anything in it asks the C library for."""
    newest: str | None = None
    for path in _entries(folder):
        if path.is_symlink() or not path.is_file():
            continue
        data = path.read_bytes()
        if not data.startswith(_ELF):
            continue
        for found in _NEEDED_GLIBC.findall(data):
            version = found.decode()
            newest = version if newest is None or is_newer(version, newest) else newest
    return newest
