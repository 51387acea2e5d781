"""What systemd is told."""

import array
import os
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from openclawd.daemon.lifecycle import State
from openclawd.daemon.notify import Notifier, monotonic_us


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


def heard(supervisor: socket.socket) -> dict[str, str]:
    """The next message, by assignment."""
    return dict(line.split("=", 1) for line in supervisor.recv(1000).decode().split("\n"))


def test_readiness_is_told_with_a_status(supervisor: socket.socket, notifier: Notifier) -> None:
    notifier.ready("port 18789")

    assert supervisor.recv(1000) == b"READY=1\nSTATUS=port 18789"


def test_the_end_is_told_before_it_happens(supervisor: socket.socket, notifier: Notifier) -> None:
    notifier.changed(State.STOPPING, "stopping: SIGTERM")

    assert heard(supervisor) == {"STOPPING": "1", "STATUS": "stopping: SIGTERM"}


def test_a_restart_in_place_is_a_reload_and_no_end(supervisor: socket.socket, notifier: Notifier) -> None:
    """STOPPING=1 would have systemd wait for the process's end."""
    before = monotonic_us()
    notifier.changed(State.DRAINING, "draining, to restart: SIGUSR1")
    notifier.changed(State.HANDING_OVER, "handing over to generation 2")

    draining = heard(supervisor)
    assert draining["RELOADING"] == "1"
    assert before <= int(draining["MONOTONIC_USEC"]) <= monotonic_us()
    assert heard(supervisor) == {"STATUS": "handing over to generation 2"}


def test_after_a_reload_it_is_ready_with_the_status_of_before(
    supervisor: socket.socket, notifier: Notifier
) -> None:
    notifier.ready("port 18789")
    notifier.reloading("reading")
    notifier.reloaded()

    heard(supervisor)
    assert heard(supervisor).keys() == {"RELOADING", "MONOTONIC_USEC", "STATUS"}
    assert heard(supervisor) == {"READY": "1", "STATUS": "port 18789"}


def test_a_status_of_many_lines_is_one_assignment(supervisor: socket.socket, notifier: Notifier) -> None:
    """A second line would be an assignment of its own, of whoever wrote the text."""
    notifier.changed(State.READY, "ready; restart cancelled: config\nMAINPID=1\n" + "x" * 1000)

    said = heard(supervisor)
    assert said.keys() == {"STATUS"}
    assert said["STATUS"].startswith("ready; restart cancelled: config MAINPID=1 x")
    assert len(said["STATUS"]) <= 300


def test_more_time_is_asked_for_in_microseconds(supervisor: socket.socket, notifier: Notifier) -> None:
    notifier.extend(20.0)

    assert heard(supervisor) == {"EXTEND_TIMEOUT_USEC": "20000000"}


def test_a_socket_to_keep_goes_along_with_its_name(supervisor: socket.socket, notifier: Notifier) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        notifier.store("tcp-1", listener.fileno())

        message, descriptors, *_ = socket.recv_fds(supervisor, 1000, 4)
        assert message == b"FDSTORE=1\nFDNAME=tcp-1"
        (received,) = descriptors
        with socket.socket(fileno=received) as kept:
            assert kept.getsockname() == listener.getsockname()


def test_what_is_no_longer_to_be_kept_is_named(supervisor: socket.socket, notifier: Notifier) -> None:
    notifier.unstore("tcp-1")

    message, ancillary, *_ = supervisor.recvmsg(1000, socket.CMSG_SPACE(array.array("i", [0]).itemsize))
    assert message == b"FDSTOREREMOVE=1\nFDNAME=tcp-1"
    assert ancillary == []


def test_a_supervisor_that_has_gone_away_disturbs_nothing(
    supervisor: socket.socket, notifier: Notifier
) -> None:
    supervisor.close()
    notifier.ready("port 18789")
    notifier.changed(State.STOPPING, "stopping")


def test_a_message_that_was_lost_keeps_no_other_one_back(
    supervisor: socket.socket, notifier: Notifier
) -> None:
    """A supervisor that is busy for a moment must hear of us again."""
    # Many times what the kernel keeps for one who does not read.
    for _ in range(1000):
        notifier.alive()
    supervisor.setblocking(False)
    received = 0
    with suppress(BlockingIOError):
        while supervisor.recv(1000):
            received += 1
    assert 0 < received < 1000
    notifier.ready("again")
    assert heard(supervisor) == {"READY": "1", "STATUS": "again"}


def test_without_a_supervisor_nothing_is_told() -> None:
    silent = Notifier({})
    silent.ready("port 18789")
    assert not silent.listened_to


def test_what_was_said_between_is_followed_by_how_the_gateway_serves(
    supervisor: socket.socket, notifier: Notifier
) -> None:
    notifier.ready("port 18789")
    notifier.changed(State.READY, "ready; restart cancelled: the port is taken")
    notifier.serves("port 18789")

    said = [heard(supervisor)["STATUS"] for _ in range(3)]
    assert said[-1] == "port 18789"
