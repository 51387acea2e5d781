"""Small files, replaced as a whole: a reader (or a power cut) finds the old one or the new one, no part."""

import os
from pathlib import Path


def write_atomic(path: Path, text: str, *, backup: Path) -> None:
    """Replace the file by `text`: mode 0600, durable when this returns. Raises OSError.

    The old one is kept as `backup`. A symbolic link stays and its target is replaced; a file that root
    edits keeps its owner.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    data = text.encode()
    try:
        previous = target.read_bytes()
    except FileNotFoundError:
        previous = None
    if previous == data:
        return
    if previous is not None:
        backup.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(backup, previous, like=target)
    replace_file(target, data, like=target)
    sync_folder(target.parent)


def replace_file(target: Path, data: bytes, *, like: Path) -> None:
    """Put `data` in the place of `target` in one step: mode 0600, owned as `like` is. Raises OSError."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _keep_owner(descriptor, like)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _keep_owner(descriptor: int, like: Path) -> None:
    """Root edits for others: a file that its daemon cannot read any more would be no edit."""
    if os.geteuid() != 0:
        return
    owner = (like if like.exists() else like.parent).stat()
    os.fchown(descriptor, owner.st_uid, owner.st_gid)


def sync_folder(folder: Path) -> None:
    """Without this a rename may be lost in a power cut (rename(2), fsync(2))."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
