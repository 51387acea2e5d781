"""Whether there is room for another version, before anything is begun."""

import os
from pathlib import Path
from typing import Final

from openclawd.update.staged import CannotUpdate

# What a gateway that runs beside it may write meanwhile, and its own database.
_SPARED_BYTES: Final = 64 * 1024 * 1024


def require_space(folder: Path, archive_bytes: int, unpacked_bytes: int) -> None:
    """Raises CannotUpdate where the archive and what comes out of it do not fit beside each other."""
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    needed = archive_bytes + unpacked_bytes + _SPARED_BYTES
    if free < needed:
        raise CannotUpdate(
            f"it needs {megabytes(needed)} in {folder}, and {megabytes(free)} are free",
            f"Make room there, and look again: df -h {folder}",
        )


def megabytes(count: int) -> str:
    """For people: 28 MB."""
    return f"{count / 1e6:.0f} MB"
