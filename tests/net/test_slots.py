"""Places for connections during a flood."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import trio

from openclawd.net.listener import Slots


@contextmanager
def newcomers(count: int) -> Iterator[list[trio.SocketStream]]:
    """Connections that were just accepted."""
    with ExitStack() as every:
        streams = []
        for _ in range(count):
            ours, theirs = trio.socket.socketpair()
            every.callback(theirs.close)
            every.callback(ours.close)
            streams.append(trio.SocketStream(ours))
        yield streams


async def test_the_oldest_stranger_makes_room_for_a_newcomer_at_once() -> None:
    slots = Slots(2)
    with newcomers(3) as streams:
        first, second, third = [slots.take(stream) for stream in streams]

        assert first is not None
        assert second is not None
        assert third is not None
        assert (first.scope.cancel_called, second.scope.cancel_called, len(slots)) == (True, False, 2)
        assert [stream.socket.fileno() < 0 for stream in streams] == [True, False, False]


async def test_a_client_never_makes_room() -> None:
    slots = Slots(2)
    with newcomers(3) as streams:
        client, stranger = slots.take(streams[0]), slots.take(streams[1])
        assert client is not None
        assert stranger is not None
        slots.settle(client)
        slots.take(streams[2])

        assert (client.scope.cancel_called, stranger.scope.cancel_called) == (False, True)


async def test_when_every_place_is_a_client_s_a_newcomer_gets_none_until_one_leaves() -> None:
    slots = Slots(1)
    with newcomers(3) as streams:
        client = slots.take(streams[0])
        assert client is not None
        slots.settle(client)
        refused = slots.take(streams[1])
        slots.give_back(client)

        assert refused is None
        assert slots.take(streams[2]) is not None


async def test_a_place_that_was_taken_away_is_not_settled_any_more() -> None:
    slots = Slots(1)
    with newcomers(2) as streams:
        evicted = slots.take(streams[0])
        slots.take(streams[1])
        assert evicted is not None
        slots.settle(evicted)

        assert len(slots) == 1
