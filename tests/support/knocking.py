"""Somebody who tries the door all the time, beside everything else: TCP alone, and an HTTP request."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import attrs

# Longer than any restart: who waits that long was forgotten.
PATIENCE_S: Final = 20.0
_PAUSE_S: Final = 0.01
_REQUEST: Final = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@attrs.define
class Knocks:
    """What the door did."""

    connects: int = 0
    refused: int = 0
    """Connects that the kernel turned down."""

    answers: int = 0
    """HTTP requests that were answered with 200."""

    failures: Counter[str] = attrs.Factory(Counter)
    """HTTP requests that were not, by how."""

    longest_s: float = 0.0
    """From a connect to its answer."""


@contextmanager
def knocking(port: int) -> Generator[Knocks, None, None]:
    """Knock on loopback until the block ends."""
    knocks = Knocks()
    over = threading.Event()
    thread = threading.Thread(target=_knock, args=(port, knocks, over), daemon=True)
    thread.start()
    try:
        yield knocks
    finally:
        over.set()
        thread.join(PATIENCE_S + 1)


def _knock(port: int, knocks: Knocks, over: threading.Event) -> None:
    number = 0
    while not over.wait(_PAUSE_S):
        number += 1
        knocks.connects += 1
        began = time.monotonic()
        try:
            with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as stream:
                # Every other one says nothing and goes.
                if number % 2:
                    _ask(stream, knocks)
        except ConnectionRefusedError:
            knocks.refused += 1
        except OSError as error:
            knocks.failures[type(error).__name__] += 1
        knocks.longest_s = max(knocks.longest_s, time.monotonic() - began)


def _ask(stream: socket.socket, knocks: Knocks) -> None:
    stream.settimeout(PATIENCE_S)
    stream.sendall(_REQUEST)
    received = b""
    while data := stream.recv(65536):
        received += data
    if received.startswith(b"HTTP/1.1 200"):
        knocks.answers += 1
    else:
        knocks.failures[received.split(b"\r\n")[0].decode() or "hung up without an answer"] += 1
