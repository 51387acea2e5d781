"""`openclawd` with a wall clock that a test moves while it runs; monotonic time goes on as it does.

    python -m tests.support.moved_clock gateway --port N

The file named by OPENCLAWD_TEST_CLOCK holds by how many seconds (a double, native byte order) the wall clock
is ahead.
"""

import mmap
import os
import struct
import sys
import time
from pathlib import Path
from typing import Final, NoReturn

CLOCK: Final = "OPENCLAWD_TEST_CLOCK"
_AHEAD: Final = struct.Struct("d")


class Clock:
    """The test's end of it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.move(0.0)

    def move(self, ahead_s: float) -> None:
        """From now on the process is so far ahead of everybody else, or behind."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(_AHEAD.pack(ahead_s))


def main() -> NoReturn:
    with Path(os.environ[CLOCK]).open("rb") as file:
        shared = mmap.mmap(file.fileno(), _AHEAD.size, access=mmap.ACCESS_READ)
    real, real_ns = time.time, time.time_ns

    def moved() -> float:
        return real() + float(_AHEAD.unpack_from(shared)[0])

    def moved_ns() -> int:
        return real_ns() + int(_AHEAD.unpack_from(shared)[0] * 1e9)

    time.time, time.time_ns = moved, moved_ns
    from openclawd.cli.main import main as openclawd

    sys.exit(openclawd())


if __name__ == "__main__":
    main()
