"""The listening sockets that systemd keeps for us."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from openclawd.daemon.fd_store import FdStore, store_name
from openclawd.daemon.notify import Notifier


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(listening.getsockname()))
        yield listening


@pytest.fixture
def store(supervisor: socket.socket) -> Iterator[FdStore]:
    with closing(Notifier(os.environ)) as notifier:
        yield FdStore(notifier)


def said(supervisor: socket.socket) -> list[tuple[str, str]]:
    """What it was told since: kind and name."""
    found: list[tuple[str, str]] = []
    while True:
        try:
            message, descriptors, *_ = socket.recv_fds(supervisor, 1000, 4)
        except BlockingIOError:
            return found
        for each in descriptors:
            os.close(each)
        kind, name = (line.split("=", 1) for line in message.decode().split("\n"))
        found.append((kind[0], name[1]))


def test_every_address_has_a_name_that_systemd_takes() -> None:
    """FDNAME= has no colon and is ASCII (sd_notify(3))."""
    with socket.create_server(("127.0.0.1", 0)) as four:
        assert store_name(four) == f"tcp-{four.getsockname()[1]}-127.0.0.1"
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as six:
        assert store_name(six) == f"tcp-{six.getsockname()[1]}-__1"


def test_every_listener_is_kept_under_its_name(store: FdStore, supervisor: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        store.keep([one, other])
        assert said(supervisor) == [("FDSTORE", store_name(one)), ("FDSTORE", store_name(other))]


def test_what_the_settings_do_not_name_is_closed_by_its_address(
    store: FdStore, supervisor: socket.socket
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stray:
        store.let_go([stray])
        assert said(supervisor) == [("FDSTOREREMOVE", store_name(stray))]
