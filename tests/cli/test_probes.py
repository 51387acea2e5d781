"""Asking a gateway over HTTP how it is, whatever it answers."""

import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain, repeat

import pytest

from openclawd.cli.probes import readyz

MUCH = b"x" * 65536


def answering(parts: Iterable[bytes]) -> socket.socket:
    """A connection to somebody who is asked and sends `parts`, until nobody listens any more."""
    ours, theirs = socket.socketpair()
    ours.settimeout(5)

    def answer() -> None:
        with theirs, suppress(OSError):
            theirs.recv(4096)
            for part in parts:
                theirs.sendall(part)

    threading.Thread(target=answer, daemon=True).start()
    return ours


def said(parts: Iterable[bytes]) -> str | None:
    return readyz("the socket", lambda: answering(parts))


def test_a_gateway_that_is_ready_has_nothing_wrong() -> None:
    assert said([b"HTTP/1.1 200 ", b"OK\r\ncontent-length: 2\r\n\r\n", b"ok"]) is None


def test_one_that_is_not_says_so() -> None:
    assert said([b"HTTP/1.1 503 Not Ready\r\n\r\n"]) == "the socket says that it is not ready (503)"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1", b"\r\n"])
def test_an_answer_without_a_status_is_none(answer: bytes) -> None:
    assert said([answer]) == "the socket says that it is not ready (0)"


def test_words_in_the_place_of_a_status_are_no_answer() -> None:
    assert str(said([b"HTTP/1.1 fine\r\n"])).startswith("the socket does not answer: ")


def test_an_answer_that_never_ends_is_read_no_further_than_its_status() -> None:
    assert said(chain([b"HTTP/1.1 200 OK\r\n"], repeat(MUCH))) is None


def test_a_first_line_that_never_ends_is_no_answer() -> None:
    assert said(repeat(MUCH)) == "the socket says that it is not ready (0)"


def test_who_drips_has_no_longer_than_who_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openclawd.cli.probes.TIMEOUT_S", 0.0)
    assert said(repeat(b"1")) == "the socket does not answer: timed out"
