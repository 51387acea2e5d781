"""Asking a gateway over HTTP how it is, with nothing of ours in between: what a monitor would see."""

import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from openclawd.daemon.local_socket import short_path

TIMEOUT_S: Final = 2.0
# A line with the status; whoever sends more before it ends is no gateway.
_MOST_BYTES: Final = 64 * 1024


def readyz(where: str, connect: Callable[[], socket.socket]) -> str | None:
    """What is wrong, in words; None where it says that it is ready."""
    try:
        status = _status(connect(), "/readyz")
    except (OSError, ValueError) as error:
        return f"{where} does not answer: {error}"
    return None if status == 200 else f"{where} says that it is not ready ({status})"


def page(where: str, connect: Callable[[], socket.socket], path: str) -> str | None:
    """The same of the page that people open at `path`."""
    try:
        status = _status(connect(), path)
    except (OSError, ValueError) as error:
        return f"{where} does not show its page: {error}"
    return None if status == 200 else f"{where} does not show its page ({status})"


def dial(host: str, port: int, *, tls: bool) -> socket.socket:
    """Raises OSError. Whose certificate it is, is asked by the handshake."""
    made = socket.create_connection((host, port), timeout=TIMEOUT_S)
    if not tls:
        return made
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(made)


def local(path: Path) -> socket.socket:
    """A connection to the local socket. Raises OSError."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(TIMEOUT_S)
    try:
        with short_path(path) as name:
            made.connect(name)
    except BaseException:
        made.close()
        raise
    return made


def _status(connection: socket.socket, path: str) -> int:
    """Of the answer, however much follows. Raises OSError and ValueError."""
    until_s = time.monotonic() + TIMEOUT_S
    answer = b""
    with connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        while b"\n" not in answer and len(answer) < _MOST_BYTES:
            if not (data := connection.recv(_MOST_BYTES)):
                break
            answer += data
            if time.monotonic() > until_s:
                raise TimeoutError("timed out")
    words = answer.split(maxsplit=2)
    return int(words[1]) if len(words) > 1 else 0
