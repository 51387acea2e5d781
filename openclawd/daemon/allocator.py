"""The C library's allocator, set for crowds.

Each of a thousand clients that come at once needs large buffers for a moment. glibc would give these back to
the kernel as soon as they are free, and take them again for the next client, zeroed page by page: a tenth of
what a crowd's arrival costs.
"""

import ctypes
from contextlib import suppress
from typing import Final

_KEPT_BYTES: Final = 8 << 20
# What is larger, such as a message with an attachment, is given back at once.
_LARGE_BYTES: Final = 1 << 20
_GROWTH_BYTES: Final = 1 << 20
# mallopt(3): M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, as in malloc.h.
_SETTINGS: Final = ((-1, _KEPT_BYTES), (-2, _GROWTH_BYTES), (-3, _LARGE_BYTES))


def keep_freed_memory() -> None:
    """Of the memory that was freed, up to 8 MiB at the heap's end stay. Without glibc, nothing changes."""
    with suppress(AttributeError):  # the symbol
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in _SETTINGS:
            mallopt(parameter, value)
