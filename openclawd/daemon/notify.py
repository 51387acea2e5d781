"""Telling systemd how we are (sd_notify(3)). Without NOTIFY_SOCKET nobody listens, and nothing is loaded."""

import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from openclawd.daemon.lifecycle import State

# A supervisor that is busy restarting itself must not hold us up.
SEND_TIMEOUT_S: Final = 1.0
# `systemctl status` shows one line.
_STATUS_CHARS: Final = 300


def monotonic_us() -> int:
    """What systemd orders reloads by (sd_notify(3), RELOADING=1)."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


class Notifier:
    """The supervisor's socket, if there is one. A message that cannot be sent is not missed."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._socket: socket.socket | None = None
        self._serving = ""
        if environ.get("NOTIFY_SOCKET"):
            import sdnotify

            self._socket = sdnotify.SystemdNotifier().socket

    @property
    def listened_to(self) -> bool:
        """Whether there is a supervisor."""
        return self._socket is not None

    def starting(self, words: str) -> None:
        """Nobody is served yet."""
        self._send(_status(words))

    def ready(self, words: str) -> None:
        """All sockets listen and whoever connects is served; `words` say where."""
        self._serving = words
        self._send("READY=1", _status(words))

    def serves(self, words: str) -> None:
        """The gateway is ready as before, and `words` say how it is now; said again only when they differ."""
        if words != self._serving:
            self._serving = words
            self._send(_status(words), patience_s=0.0)

    def changed(self, state: State, words: str) -> None:
        """The gateway is in another state; `words` say so to people."""
        match state:
            case State.DRAINING:
                self._send(*_reloading(), _status(words))
            case State.STOPPING:
                self._send("STOPPING=1", _status(words))
            case _:
                # So that `serves` has its own words back.
                self._serving = words
                self._send(_status(words))

    def reloading(self, words: str) -> None:
        """The configuration is read again, while everybody is served on; `reloaded` must follow."""
        self._send(*_reloading(), _status(words))

    def reloaded(self) -> None:
        """It is done, and all is as before."""
        self._send("READY=1", _status(self._serving))

    def alive(self) -> None:
        """The watchdog may wait on."""
        self._send("WATCHDOG=1", patience_s=0.0)

    def extend(self, seconds: float) -> None:
        """Being started, reloaded or stopped takes at least so much longer."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}", patience_s=0.0)

    def store(self, name: str, descriptor: int) -> None:
        """Keep `descriptor` for the next process, under `name`."""
        self._send("FDSTORE=1", f"FDNAME={name}", descriptors=[descriptor])

    def unstore(self, name: str) -> None:
        """Close what is kept under `name`."""
        self._send("FDSTOREREMOVE=1", f"FDNAME={name}")

    def close(self) -> None:
        """Let go of the supervisor's socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(
        self, *assignments: str, descriptors: Sequence[int] = (), patience_s: float = SEND_TIMEOUT_S
    ) -> None:
        """What is said again soon anyway has no patience: it would hold the event loop up."""
        if self._socket is None:
            return
        self._socket.settimeout(patience_s)
        # Gone, or too busy to listen: the next message may arrive, and nothing of ours depends on this one.
        message = "\n".join(assignments).encode()
        with suppress(OSError):
            if descriptors:
                socket.send_fds(self._socket, [message], descriptors)
            else:
                self._socket.sendall(message)


def _reloading() -> tuple[str, str]:
    return "RELOADING=1", f"MONOTONIC_USEC={monotonic_us()}"


def _status(words: str) -> str:
    """An assignment is one line."""
    return f"STATUS={' '.join(words.split())[:_STATUS_CHARS]}"
