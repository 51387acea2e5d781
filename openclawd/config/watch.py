"""When a file that is watched has come to rest, and is worth reading. Pure.

Most editors and scripts write a file in more than one step: they empty it first, or take it away and put
another in its place. What is read in between is a broken configuration. So a file is read when it has not
changed for a while; what then counts is its content, not its times.
"""

import os

import attrs


@attrs.frozen
class Signature:
    """What stat(2) tells of a file; whoever changes the file changes one of these."""

    inode: int
    size: int
    modified_ns: int
    changed_ns: int


def signature_of(status: os.stat_result) -> Signature:
    """The signature of a file."""
    return Signature(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class Watch:
    """The state of one watched file; None stands for a file that is not there. It is due for a first reading,
    whatever it is then.
    """

    def __init__(self) -> None:
        self._read: tuple[Signature | None] | None = None
        self._seen: Signature | None = None
        self._since_s: float | None = None

    def look(self, now: Signature | None, at_s: float, *, rest_s: float) -> float | None:
        """How many seconds to wait before looking again, 0 when it is to be read now, None when there is
        nothing to do. `rest_s`: how long it must have been left alone.
        """
        if self._read == (now,):
            self._since_s = None
            return None
        if self._since_s is None or now != self._seen:
            self._seen, self._since_s = now, at_s
        waiting_s = self._since_s + rest_s - at_s
        if waiting_s > 0:
            return waiting_s
        self._read, self._since_s = (now,), None
        return 0.0
