"""Telling systemd how we are (sd_notify(3)). Without NOTIFY_SOCKET nobody listens, and nothing is loaded."""

import socket
from collections.abc import Mapping

# A supervisor that is busy restarting itself must not hold us up.
SEND_TIMEOUT_S = 1.0


class Notifier:
    """The supervisor's socket, if there is one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._socket: socket.socket | None = None
        if environ.get("NOTIFY_SOCKET"):
            import sdnotify

            self._socket = sdnotify.SystemdNotifier().socket
            if self._socket is not None:
                self._socket.settimeout(SEND_TIMEOUT_S)

    def ready(self, status: str) -> None:
        """All sockets listen and whoever connects is served."""
        self._send(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1\nSTATUS=saying goodbye to clients")

    def close(self) -> None:
        """Let go of the supervisor's socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, state: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendall(state.encode())
        except OSError:
            self.close()  # the supervisor has gone away; there is nobody left to tell
