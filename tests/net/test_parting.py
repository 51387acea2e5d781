"""Those who were told to go, and may still answer."""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from openclawd.net.parting import PATIENCE_S, see_off

Pair = tuple[int, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A descriptor that nobody else closes, after the last words and the end; and the peer's socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname(), timeout=5)
        ours, _ = listener.accept()
    ours.setblocking(False)
    ours.sendall(b"goodbye")
    ours.shutdown(socket.SHUT_WR)
    with peer:
        yield ours.detach(), peer


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


async def test_an_answer_is_taken_and_then_the_connection_closed(
    autojump_clock: MockClock, pair: Pair
) -> None:
    descriptor, peer = pair
    peer.sendall(b"under way" + b"and the answer")
    began = trio.current_time()
    await see_off([descriptor])

    assert trio.current_time() - began == pytest.approx(PATIENCE_S)
    assert not is_open(descriptor)
    assert peer.recv(100) == b"goodbye"
    assert peer.recv(100) == b""
    # With anything unread at the other end, it would have been reset.
    assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


async def test_a_peer_that_talks_on_is_closed_all_the_same(autojump_clock: MockClock, pair: Pair) -> None:
    descriptor, peer = pair
    peer.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            peer.send(bytes(1 << 20))
    await see_off([descriptor])
    assert not is_open(descriptor)


async def test_what_has_gone_meanwhile_is_in_nobodys_way(autojump_clock: MockClock, pair: Pair) -> None:
    descriptor, peer = pair
    peer.close()
    no_socket = os.open(os.devnull, os.O_RDONLY)
    await see_off([descriptor, no_socket])
    assert not is_open(descriptor)
    assert not is_open(no_socket)


async def test_when_the_gateway_ends_they_are_closed_at_once(autojump_clock: MockClock, pair: Pair) -> None:
    descriptor, _ = pair
    async with trio.open_nursery() as nursery:
        nursery.start_soon(see_off, [descriptor])
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert trio.current_time() < PATIENCE_S
    assert not is_open(descriptor)
