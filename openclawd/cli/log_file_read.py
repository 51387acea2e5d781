"""Reading the log's files: their end, and what is added to them, over rotations."""

import itertools
import os
from pathlib import Path
from typing import BinaryIO, Final

_BLOCK_BYTES: Final = 64 * 1024


def last_lines(file: Path, wanted: int) -> list[bytes]:
    """The last lines of the log, rotated files included, oldest first. Raises OSError."""
    with file.open("rb") as opened:
        lines, _ = _tail(opened, wanted)
    return _older_lines(file, wanted - len(lines)) + lines


class FollowedFile:
    """A log that may come, grow, be rotated or be cut while it is read."""

    def __init__(self, file: Path, wanted: int) -> None:
        """The first `poll` that finds it begins with its last `wanted` lines."""
        self._file = file
        self._wanted = wanted
        self._opened: BinaryIO | None = None
        self._rest = b""

    def poll(self) -> list[bytes]:
        """The lines that are new. Raises OSError, but for a file that is not there (yet, or for a moment)."""
        if self._opened is None:
            return self._open()
        # Looked at before reading, so that what was written until the rotation is still read.
        rotated = self._was_rotated(self._opened)
        found: list[bytes] = []
        while block := self._opened.read(_BLOCK_BYTES):
            *lines, self._rest = (self._rest + block).split(b"\n")
            found += lines
        if rotated:
            self.close()
            # All of the next one is new.
            self._wanted = 0
            found += self._open()
        return found

    def close(self) -> None:
        """Let go of the file."""
        if self._opened is not None:
            self._opened.close()
            self._opened, self._rest = None, b""

    def _open(self) -> list[bytes]:
        try:
            opened = self._file.open("rb")
        except FileNotFoundError:
            # When it comes, all of it is new.
            self._wanted = 0
            return []
        self._opened = opened
        if not self._wanted:
            return self.poll()
        lines, end = _tail(opened, self._wanted)
        opened.seek(end)
        return _older_lines(self._file, self._wanted - len(lines)) + lines

    def _was_rotated(self, opened: BinaryIO) -> bool:
        """Whether the path has come to mean another file, or the file was cut."""
        try:
            now = self._file.stat()
        except FileNotFoundError:
            # Renamed, and the next one not made yet.
            return False
        then = os.fstat(opened.fileno())
        return (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino) or now.st_size < opened.tell()


def _tail(opened: BinaryIO, wanted: int) -> tuple[list[bytes], int]:
    """The last complete lines of a file, and the offset behind them; reads no more than it needs."""
    start = opened.seek(0, os.SEEK_END)
    text = b""
    # One newline more than lines: the one that ends the line before them.
    while start > 0 and text.count(b"\n") <= wanted:
        size = min(_BLOCK_BYTES, start)
        start = opened.seek(start - size)
        text = opened.read(size) + text
    complete = text[: text.rfind(b"\n") + 1]
    lines = complete.splitlines()
    return lines[len(lines) - min(wanted, len(lines)) :], start + len(complete)


def _older_lines(file: Path, wanted: int) -> list[bytes]:
    """The last lines of the rotated files."""
    found: list[bytes] = []
    for number in itertools.count(1):
        part = file.with_name(f"{file.name}.{number}")
        if len(found) >= wanted or not part.exists():
            break
        with part.open("rb") as opened:
            found = _tail(opened, wanted - len(found))[0] + found
    return found
