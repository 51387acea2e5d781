"""Small files, replaced as a whole: a reader (or a power cut) finds the old one or the new one, no part.

Who reads a file, changes it and writes it does so within `alone_with`, and no change of another program of
ours is lost. Other people's editors know nothing of that; what they have written since is not overwritten
either, as far as one can look before one leaps: rename(2) has no condition.
"""

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

# An edit takes milliseconds; who holds the file longer hangs.
_PATIENCE_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.02
# Of network file systems on which a folder cannot be locked.
_NO_LOCKS: Final = frozenset({errno.EBADF, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS})


class ChangedMeanwhile(Exception):
    """Somebody has written the file since it was read; nothing was written."""


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Among the programs that write the file so, be the only one. Blocks; raises OSError when another one
    does not let go of it.
    """
    # The folder: it is there before the file, stays when that is replaced, and belongs to whoever it should.
    folder = Path(os.path.realpath(path)).parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise OSError(errno.EBUSY, "another program has been writing it for seconds") from None
            time.sleep(_LOOK_EVERY_S)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return
        else:
            return


def write_atomic(path: Path, text: str, *, backup: Path, began_with: str | None = None) -> None:
    """Replace the file by `text`: mode 0600, durable when this returns. Raises OSError; ChangedMeanwhile
    unless the file still holds what it `began_with`: the SHA-256 in hex, of nothing where there was none.

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
    if began_with is not None and began_with != hashlib.sha256(previous or b"").hexdigest():
        raise ChangedMeanwhile
    if previous == data:
        return
    if previous is not None:
        backup.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(backup, previous, like=target)
    replace_file(target, data, like=target)
    sync_folder(target.parent)


def replace_file(target: Path, data: bytes, *, like: Path) -> None:
    """Put `data` in the place of `target` in one step: mode 0600, owned as `like` is. Raises OSError."""
    _clear_away(target)
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


def _clear_away(target: Path) -> None:
    """What processes that died in the middle of this left beside `target`: it may hold secrets."""
    prefix = f".{target.name}."
    for left in target.parent.iterdir():
        if left.name.startswith(prefix) and left.suffix == ".tmp":
            writer = left.name.removeprefix(prefix).partition("-")[0]
            if writer.isdecimal() and not _lives(int(writer)):
                with suppress(OSError):
                    left.unlink()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _keep_owner(descriptor: int, like: Path) -> None:
    """Root edits for others: a file that its daemon cannot read any more would be no edit."""
    if os.geteuid() != 0:
        return
    owner = (like if like.exists() else like.parent).stat()
    os.fchown(descriptor, owner.st_uid, owner.st_gid)


def sync_folder(folder: Path) -> None:
    """Without this a rename may be lost in a power cut (rename(2), fsync(2)).

    On macOS all of that only reaches the drive, whose cache is emptied as well (fcntl(2), F_FULLFSYNC).
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
        if (empty := getattr(fcntl, "F_FULLFSYNC", None)) is not None:
            with suppress(OSError):
                fcntl.fcntl(descriptor, empty)
    finally:
        os.close(descriptor)
