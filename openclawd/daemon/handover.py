"""What one generation of the process leaves to the next: its sockets, its lock, and what it remembered.

A document in memory (memfd_create(2); where there is none, a file without a name), whose descriptor is
inherited and named in the environment, beside the descriptors that it names itself. Nothing of it ever has
a name on the disk. The next generation may be another version, older or newer, so fields are only ever
added, and each has a meaning when it is missing.
"""

import logging
import os
import socket
import stat
import tempfile
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Final

import attrs
import orjson

VARIABLE: Final = "OPENCLAWD_HANDOVER"
# What a document may hold: the journal is bounded by its owner, and everything else is small.
_MAX_BYTES: Final = 64 * 1024 * 1024

_log = logging.getLogger("openclawd.gateway")


@attrs.frozen(eq=False, repr=False)
class Handover:
    """`generation` is the one that receives it; numbers are descriptors."""

    generation: int
    reason: str
    left_at_ms: int
    """When clients were told to go (wall clock)."""

    lock: int | None = None
    tcp: tuple[int, ...] = ()
    unix: int | None = None
    waiting: tuple[int, ...] = ()
    """Connections from the network that nobody has read from."""

    waiting_local: tuple[int, ...] = ()
    parting: tuple[int, ...] = ()
    """Connections of those who were told to go, and may not have answered yet."""

    secrets: Mapping[str, str] = attrs.field(factory=dict)
    """By the flag that gave them."""

    journal: MutableMapping[str, Any] | None = None
    config: str | None = None
    """The text of the configuration that it went by."""

    on_terminal: bool | None = None
    """Whether it was started from one, which may have gone meanwhile."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All of them, but for the document's own."""
        singles = tuple(each for each in (self.lock, self.unix) if each is not None)
        return (*singles, *self.tcp, *self.waiting, *self.waiting_local, *self.parting)


def leave(handover: Handover) -> int:
    """The descriptor of the document, for the environment of the next generation. Raises OSError."""
    document = {
        "version": 1,
        "pid": os.getpid(),
        **attrs.asdict(handover, recurse=False),
    }
    data = orjson.dumps(document)
    descriptor = _nameless_file()
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def receive(environ: MutableMapping[str, str]) -> Handover | None:
    """What the generation before left to this process; None without one. The variable is taken away.

    Nothing that it may hold raises: a document that cannot be understood is as none, and the log says so.
    """
    named = environ.pop(VARIABLE, None)
    if named is None:
        return None
    try:
        return _read(int(named))
    except (OSError, ValueError, OverflowError, TypeError, KeyError, AttributeError) as error:
        _log.warning("handover not understood", extra={"fields": {"reason": str(error)}})
        return None


def _read(number: int) -> Handover:
    if number <= 2 or not stat.S_ISREG(os.fstat(number).st_mode):
        raise ValueError("the descriptor is no document")
    with os.fdopen(number, "rb") as file:
        document = orjson.loads(file.read(_MAX_BYTES))
    if document["pid"] != os.getpid():
        raise ValueError("the document is for another process")
    known = {field.name for field in attrs.fields(Handover)}
    fields = {name: value for name, value in document.items() if name in known}
    for name in ("tcp", "waiting", "waiting_local", "parting"):
        fields[name] = tuple(fields.get(name, ()))
    handover = Handover(**fields)
    for descriptor in handover.descriptors:
        os.set_inheritable(descriptor, False)
    return handover


def sockets_of(descriptors: Iterable[int]) -> list[socket.socket]:
    """The sockets among `descriptors`; what is none is left alone."""
    found: list[socket.socket] = []
    for descriptor in descriptors:
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                found.append(socket.socket(fileno=descriptor))
        except OSError as error:
            _log.warning("handed over in vain", extra={"fields": {"reason": str(error)}})
    return found


def _nameless_file() -> int:
    if hasattr(os, "memfd_create"):
        # A sandbox may forbid what the kernel has (seccomp(2)).
        with suppress(OSError):
            return os.memfd_create("openclawd-handover", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
