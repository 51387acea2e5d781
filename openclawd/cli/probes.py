"""Asking a gateway over HTTP how it is, with nothing of ours in between: what a monitor would see."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from openclawd.daemon.local_socket import short_path

TIMEOUT_S: Final = 2.0


def readyz(where: str, connect: Callable[[], socket.socket]) -> str | None:
    try:
        status, _ = get(connect(), "/readyz")
    except (OSError, ValueError) as error:
        return f"{where} does not answer: {error}"
    return None if status == 200 else f"{where} says that it is not ready ({status})"


def dial(host: str, port: int, *, tls: bool) -> socket.socket:
    """Raises OSError. Whose certificate it is, is asked by the handshake."""
    made = socket.create_connection((host, port), timeout=TIMEOUT_S)
    if not tls:
        return made
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(made)


def get(connection: socket.socket, path: str) -> tuple[int, bytes]:
    """The status and the body. Raises OSError and ValueError."""
    with connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while data := connection.recv(64 * 1024):
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(maxsplit=2)
    return int(words[1]) if len(words) > 1 else 0, body


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
