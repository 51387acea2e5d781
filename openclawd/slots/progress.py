"""How far an update is, for whoever watches: a small file that is replaced, and need not survive anything."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Final

import attrs
import orjson

from openclawd.slots.durable import replace
from openclawd.slots.layout import Installation

# Watchers look at most so often; a download reports a thousand times a second.
_AT_MOST_EVERY_S: Final = 0.25
_TRIES: Final = 5
_PAUSE_S: Final = 0.02
_MAX_BYTES: Final = 64 * 1024


class Phase(StrEnum):
    """What an update goes through, in this order; the words of files, commands and events."""

    CHECKING = "checking"
    DOWNLOADING = "downloading"
    UNPACKING = "unpacking"
    EXAMINING = "examining"
    SWITCHING = "switching"
    RESTARTING = "restarting"
    TRIAL = "trial"
    CONFIRMED = "confirmed"
    ROLLED_BACK = "rolled-back"
    FAILED = "failed"

    @property
    def is_end(self) -> bool:
        """Whether nothing follows."""
        return self in (Phase.CONFIRMED, Phase.ROLLED_BACK, Phase.FAILED)


@attrs.frozen
class Progress:
    """Where an update stands. `to_version` is None until it is known."""

    phase: Phase
    from_version: str | None = None
    to_version: str | None = None
    done_bytes: int | None = None
    total_bytes: int | None = None
    problem: str | None = None
    """In words, of one that failed or was rolled back."""

    pid: int = attrs.field(factory=os.getpid)
    at_ms: int = attrs.field(factory=lambda: int(time.time() * 1000))

    def document(self) -> dict[str, Any]:
        """As `progress.json`, `--json` and events have it; what is not known is left out."""
        told = {
            "pid": self.pid,
            "phase": self.phase.value,
            "from": self.from_version,
            "to": self.to_version,
            "doneBytes": self.done_bytes,
            "totalBytes": self.total_bytes,
            "problem": self.problem,
            "atMs": self.at_ms,
        }
        return {key: value for key, value in told.items() if value is not None}


class ProgressFile:
    """Writes them down, for one updater. A disk that is full stops no update."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._phase: Phase | None = None
        self._written_s = 0.0

    def tell(self, progress: Progress) -> None:
        """Replace what stood there; within a phase, four times a second at most."""
        now_s = time.monotonic()
        if progress.phase is self._phase and now_s - self._written_s < _AT_MOST_EVERY_S:
            return
        self._phase, self._written_s = progress.phase, now_s
        try:
            replace(self._installation.progress, orjson.dumps(progress.document()), durable=False)
        except OSError:
            return


def read_progress(installation: Installation) -> Progress | None:
    """What the last updater wrote, alive or not (`updater_pid` tells); None when there is nothing to read."""
    try:
        with installation.progress.open("rb") as file:
            found = orjson.loads(file.read(_MAX_BYTES))
        return Progress(
            Phase(found["phase"]),
            _text(found.get("from")),
            _text(found.get("to")),
            _count(found.get("doneBytes")),
            _count(found.get("totalBytes")),
            _text(found.get("problem")),
            int(found["pid"]),
            int(found["atMs"]),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


class UpdateUnderWay(Exception):
    """Another process updates this installation; `pid` is what it says it is."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(f"An update is under way (process {pid})." if pid else "An update is under way.")
        self.pid = pid


@contextmanager
def update_lock(installation: Installation) -> Iterator[int]:
    """Be the one who updates; the lock's descriptor. Raises UpdateUnderWay, and OSError.

    Who may only read there can judge a trial, and holds the lock without a name in it.
    """
    may_write = os.access(installation.update if installation.update.exists() else installation.root, os.W_OK)
    if may_write:
        installation.update.mkdir(mode=0o755, exist_ok=True)
    mode = os.O_RDWR | os.O_CREAT if may_write else os.O_RDONLY
    descriptor = os.open(installation.lock, mode | os.O_CLOEXEC, 0o644)
    try:
        _lock(descriptor)
        if may_write:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Whoever only looks (`updater_pid`) has it for microseconds: that is no update."""
    for patience in range(_TRIES, -1, -1):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not patience:
                raise UpdateUnderWay(_holder(descriptor)) from None
            time.sleep(_PAUSE_S)
        else:
            return


def updater_pid(installation: Installation) -> int | None:
    """The process that updates right now; None when none does. 0 where it has not said its id yet."""
    try:
        descriptor = os.open(installation.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(descriptor) or 0
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def _holder(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None
