"""One gateway a state directory, by flock(2): the kernel lets go of it when the holder dies, however it dies.

The file says who holds it, for the one who comes second. It is never removed, as a lock on a removed file is
no lock.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson

from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.refusal import StartRefused


@contextmanager
def state_lock(lock_file: Path, *, now_ms: int, inherited: int | None = None) -> Iterator[int]:
    """Hold the lock; its descriptor, for the next generation. Raises StartRefused (exit 75) naming the holder
    when it is taken.

    `inherited` is the descriptor of the generation before, whose lock is ours then: flock(2) binds it to the
    open file, which execve(2) leaves open.
    """
    descriptor = _adopted(lock_file, inherited)
    if descriptor is None:
        descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartRefused(ExitCode.BUSY, _held_text(lock_file)) from None
        who = orjson.dumps({"pid": os.getpid(), "startedAtMs": now_ms})
        # On a full disk it is a lock all the same; the room that is there is kept until it is written.
        with suppress(OSError):
            os.ftruncate(descriptor, os.pwrite(descriptor, who, 0))
        yield descriptor
    finally:
        os.close(descriptor)


def _adopted(lock_file: Path, inherited: int | None) -> int | None:
    """`inherited`, if it is open on the lock file; otherwise it is closed."""
    if inherited is None:
        return None
    with suppress(OSError):
        if os.path.samestat(os.fstat(inherited), lock_file.stat()):
            return inherited
    with suppress(OSError):
        os.close(inherited)
    return None


def holder_pid(lock_file: Path) -> int | None:
    """The pid in the lock file; None when there is none. It may be of a process that has ended."""
    try:
        content = orjson.loads(lock_file.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    pid = content.get("pid") if isinstance(content, dict) else None
    return pid if isinstance(pid, int) else None


def running_pid(lock_file: Path) -> int | None:
    """The pid of the gateway that holds the lock; None when nobody does, or when that cannot be told."""
    try:
        descriptor = os.open(lock_file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return holder_pid(lock_file)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def _held_text(lock_file: Path) -> str:
    pid = holder_pid(lock_file)
    who = f"pid {pid}" if pid is not None else "another process"
    return (
        f"A gateway is already running for {lock_file.parent.parent} ({who}).\n"
        "See it with: openclawd gateway status"
    )
