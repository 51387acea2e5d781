"""Take out of compiled files where the machine that built them has its libraries: search_path.py FOLDER

A Python that was compiled from source carries the folder that it was installed to (DT_RUNPATH). On another
machine whoever can make a folder of that name would have his own libraries loaded by the program. Paths that
begin with $ORIGIN, where the file itself lies, stay. 64-bit ELF of little-endian machines (elf(5)); other
files are left alone.
"""

import argparse
import struct
from collections.abc import Iterator
from pathlib import Path

MAGIC = b"\x7fELF\x02\x01"
PT_LOAD, PT_DYNAMIC = 1, 2
DT_NULL, DT_STRTAB, DT_RPATH, DT_RUNPATH = 0, 5, 15, 29
ENTRY = struct.Struct("<qQ")


def without_foreign_paths(elf: bytes) -> bytes:
    """The file without its search paths that do not begin with $ORIGIN; the same when it has none."""
    segments = list(_segments(elf))
    for kind, offset, _, size in segments:
        if kind == PT_DYNAMIC:
            entries = list(ENTRY.iter_unpack(elf[offset : offset + size // ENTRY.size * ENTRY.size]))
            kept = [entry for entry in entries if not _is_foreign(elf, entry, entries, segments)]
            # What comes behind the last entry is not read.
            kept += [(DT_NULL, 0)] * (len(entries) - len(kept))
            table = b"".join(ENTRY.pack(*entry) for entry in kept)
            return elf[:offset] + table + elf[offset + len(table) :]
    return elf


def _segments(elf: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Type, offset in the file, address and size in the file of each."""
    (start,) = struct.unpack_from("<Q", elf, 0x20)
    size, count = struct.unpack_from("<HH", elf, 0x36)
    for index in range(count):
        kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", elf, start + index * size)
        yield kind, offset, address, length


def _is_foreign(
    elf: bytes,
    entry: tuple[int, int],
    entries: list[tuple[int, int]],
    segments: list[tuple[int, int, int, int]],
) -> bool:
    tag, value = entry
    if tag not in {DT_RPATH, DT_RUNPATH}:
        return False
    strings = next(address for each, address in entries if each == DT_STRTAB)
    offset = next(
        strings - address + offset
        for kind, offset, address, length in segments
        if kind == PT_LOAD and address <= strings < address + length
    )
    path = elf[offset + value : elf.index(b"\0", offset + value)]
    foreign = [part for part in path.split(b":") if not part.startswith(b"$ORIGIN")]
    if foreign and len(foreign) < len(path.split(b":")):
        raise ValueError(f"a search path of which a part is to stay: {path.decode()}")
    return bool(foreign)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="packaging/search_path.py", description="Take out foreign search paths."
    )
    parser.add_argument("folder", type=Path)
    for file in sorted(parser.parse_args().folder.rglob("*")):
        if file.is_file() and not file.is_symlink():
            content = file.read_bytes()
            if content.startswith(MAGIC) and (cleaned := without_foreign_paths(content)) != content:
                file.write_bytes(cleaned)


if __name__ == "__main__":
    main()
