"""The log file: JSON lines, rotated by size, readable by its owner only.

`openclawd.log` is the newest, `openclawd.log.1` the one before, and so on. A line is written with one
write(2) in append mode; a reader that follows the file may see the first half of the last one for a moment.
A disk that is full or a directory that is gone costs log lines, never the gateway: it is said once on the
terminal, and each further line tries again.
"""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

LOG_NAME: Final = "openclawd.log"
# Five files of 5 MB: some weeks of a quiet gateway, a bound that no small disk minds.
MAX_FILE_BYTES: Final = 5_000_000
FILE_COUNT: Final = 5


class LogFile(logging.Handler):
    """Writes what `encode` makes of a record (one line, with its newline) to `<folder>/openclawd.log`."""

    def __init__(
        self,
        folder: Path,
        encode: Callable[[logging.LogRecord], bytes],
        *,
        max_bytes: int = MAX_FILE_BYTES,
        files: int = FILE_COUNT,
    ) -> None:
        super().__init__()
        self.path = folder / LOG_NAME
        self._encode = encode
        self._max_bytes = max_bytes
        self._files = files
        self._descriptor: int | None = None
        self._size = 0
        self._told = False

    def emit(self, record: logging.LogRecord) -> None:
        line = self._encode(record)
        try:
            self._write(line)
            self._told = False
        except OSError as error:
            self._release()
            if not self._told:
                self._told = True
                # Which may be kept on the same disk.
                with suppress(OSError):
                    print(f"The log file cannot be written: {error}", file=sys.stderr)

    def close(self) -> None:
        self.acquire()
        try:
            self._release()
        finally:
            self.release()
        super().close()

    def _write(self, line: bytes) -> None:
        descriptor = self._open() if self._descriptor is None else self._descriptor
        if self._size and self._size + len(line) > self._max_bytes:
            descriptor = self._rotate()
        self._size += os.write(descriptor, line)

    def _open(self) -> int:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.parent.chmod(0o700)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        descriptor = self._descriptor = os.open(self.path, flags, 0o600)
        # An older file may have been made under another umask.
        os.fchmod(descriptor, 0o600)
        self._size = os.fstat(descriptor).st_size
        return descriptor

    def _rotate(self) -> int:
        self._release()
        for number in range(self._files - 1, 0, -1):
            older = self.path.with_name(f"{LOG_NAME}.{number}")
            newer = self.path if number == 1 else self.path.with_name(f"{LOG_NAME}.{number - 1}")
            if newer.exists():
                newer.replace(older)
        return self._open()

    def _release(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)
