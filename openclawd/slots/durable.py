"""Small files of an installation, replaced as a whole and durably; unlike those of the state, all may read
them: the service runs as another user than the one who updates it.
"""

import os
from pathlib import Path
from typing import Final

from openclawd.config.atomic import sync_folder

MODE: Final = 0o644


def for_all() -> None:
    """Let what this process makes be read by everybody, as far as it does not say otherwise: root's own
    umask(2), or a unit's, would close an installation to the service that runs it.
    """
    os.umask(0o022)


def write_durably(path: Path, data: bytes) -> None:
    """Put `data` in the place of `path`; on the disk when this returns. Raises OSError."""
    replace(path, data, durable=True)
    sync_folder(path.parent)


def replace(path: Path, data: bytes, *, durable: bool) -> None:
    """The same in one step for whoever reads; without `durable`, a power cut may take it back."""
    path.parent.mkdir(mode=0o755, exist_ok=True)
    # One name a file, so that what a crash leaves is overwritten by the next write: writers hold the lock.
    beside = path.with_name(f".{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(beside, flags, MODE), "wb") as file:
        os.fchmod(file.fileno(), MODE)
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    beside.replace(path)


def sync_tree(folder: Path) -> None:
    """All of it on the disk: a name that is there after a power cut must not lead to empty files."""
    for path, _, files in os.walk(folder):
        for name in files:
            file = Path(path, name)
            if not file.is_symlink():
                descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        sync_folder(Path(path))


def remove_durably(path: Path) -> None:
    """It is gone when this returns, also after a power cut; none there is fine. Raises OSError."""
    path.unlink(missing_ok=True)
    if path.parent.exists():
        sync_folder(path.parent)
