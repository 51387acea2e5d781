"""Sockets that were opened for us before we ran."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.daemon.activation import announced, given_sockets

US = 4711


def variables(**named: object) -> dict[str, str]:
    return {f"LISTEN_{name.upper()}": str(value) for name, value in named.items()}


def test_they_begin_at_three() -> None:
    assert announced(variables(pid=US, fds=2, fdnames="tcp:other"), US) == range(3, 5)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        variables(pid=US + 1, fds=2),
        variables(pid=US),
        variables(fds=2),
        variables(pid=US, fds=""),
        variables(pid=US, fds=-1),
        variables(pid="", fds=2),
        variables(pid=US, fds="2x"),
    ],
    ids=str,
)
def test_those_of_another_process_and_nonsense_are_none_of_ours(environ: dict[str, str]) -> None:
    assert announced(environ, US) == range(0)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(variables(pid=0, fds=0, fdnames=0), st.text())))
def test_whatever_they_say_the_variables_are_gone_for_those_whom_we_start(environ: dict[str, str]) -> None:
    everything = environ | {"PATH": "/bin"}
    announced(everything, US)
    assert everything == {"PATH": "/bin"}


# As systemd starts a service: what the arguments name is at 3 and up.
PLACE = """
import os, sys
count, *descriptors = map(int, sys.argv[1:])
spare = [os.dup2(each, 100 + index) for index, each in enumerate(descriptors)]
for index, each in enumerate(spare):
    os.dup2(each, 3 + index)
    os.close(each)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": "any"}
"""
TELL = """
from openclawd.daemon.activation import given_sockets
for each in given_sockets(None, os.environ, os.getpid()):
    print(each.fileno(), *each.getsockname()[:2], os.get_inheritable(each.fileno()))
print([name for name in os.environ if name.startswith("LISTEN")])
"""


def told(*descriptors: int, count: int, after: str = "") -> list[str]:
    """What a process that has these, and was told of `count`, says about them."""
    words = [sys.executable, "-c", PLACE + TELL + after, str(count), *map(str, descriptors)]
    ended = subprocess.run(
        words, pass_fds=descriptors, capture_output=True, text=True, check=True, timeout=30
    )
    return ended.stdout.splitlines()


def test_a_process_finds_its_sockets_and_hands_them_to_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        assert told(first.fileno(), second.fileno(), count=2) == [
            f"3 127.0.0.1 {first.getsockname()[1]} False",
            f"4 127.0.0.1 {second.getsockname()[1]} False",
            "[]",
        ]


def test_a_count_beyond_what_is_open_is_no_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as only:
        lines = told(only.fileno(), count=2_000_000_000)
        assert lines[0] == f"3 127.0.0.1 {only.getsockname()[1]} False"


def test_what_is_no_socket_is_closed() -> None:
    after = "try:\n    os.fstat(3)\nexcept OSError:\n    print('closed')"
    with Path(os.devnull).open() as nothing:
        assert told(nothing.fileno(), count=1, after=after) == ["[]", "closed"]


def test_the_generation_before_hands_its_sockets_over() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.set_inheritable(True)
    (found,) = given_sockets([listener.detach()], {}, US)
    with found:
        assert not found.get_inheritable()
        assert found.getsockname()[0] == "127.0.0.1"
