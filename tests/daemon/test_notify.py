"""What systemd is told."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from openclawd.daemon.notify import Notifier


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


@pytest.fixture
def notifier(supervisor: socket.socket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notifier]:
    # The library reads the process's own environment.
    monkeypatch.setenv("NOTIFY_SOCKET", str(supervisor.getsockname()))
    with closing(Notifier(os.environ)) as ours:
        yield ours


def test_readiness_is_told_with_a_status(supervisor: socket.socket, notifier: Notifier) -> None:
    notifier.ready("port 18789")

    assert supervisor.recv(1000) == b"READY=1\nSTATUS=port 18789"


def test_the_end_is_told_before_it_happens(supervisor: socket.socket, notifier: Notifier) -> None:
    notifier.stopping()

    assert supervisor.recv(1000).startswith(b"STOPPING=1\n")


def test_a_supervisor_that_has_gone_away_disturbs_nothing(
    supervisor: socket.socket, notifier: Notifier
) -> None:
    supervisor.close()
    notifier.ready("port 18789")
    notifier.stopping()


def test_without_a_supervisor_nothing_is_told() -> None:
    Notifier({}).ready("port 18789")
