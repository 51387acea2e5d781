"""From an accepted socket to a client: lobby, turns, slots, and who has to go."""

import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from openclawd.auth.locality import parse_proxies
from openclawd.net.accepted import Connection
from openclawd.net.listener import Handler, Listeners, close_listeners, serve_listeners
from openclawd.net.reception import BUSY, HUNG_UP_AFTER_S, SILENCE_S, Reception
from openclawd.net.slots import Stage
from openclawd.net.sources import source_of

PATIENCE_S = 60.0


def reception(
    *, lobby: int = 4, places: int = 2, clients_max: int = 4, source: Callable[[str], str | None] = str
) -> Reception:
    return Reception(lobby=lobby, places=places, clients_max=clients_max, source=source)


class Peers:
    """Clients of one listening socket; each comes from an address of its own of 127.0.0.0/8."""

    def __init__(self, port: int, every: ExitStack) -> None:
        self._port = port
        self._every = every
        self._count = 0

    async def come(self, say: bytes = b"", *, source: int = 0) -> trio.SocketStream:
        self._count += 1
        peer = self._every.enter_context(trio.socket.socket())
        await peer.bind((f"127.0.1.{source or self._count}", 0))
        await peer.connect(("127.0.0.1", self._port))
        stream = trio.SocketStream(peer)
        await stream.send_all(say)
        await trio.testing.wait_all_tasks_blocked(0.01)
        return stream


@asynccontextmanager
async def served(handler: Handler, into: Reception) -> AsyncGenerator[Peers, None]:
    with socket.socket() as listening, ExitStack() as every, trio.fail_after(PATIENCE_S):
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listeners: Listeners = [(listening, into)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_listeners, listeners, handler)
            yield Peers(listening.getsockname()[1], every)
            close_listeners(listeners)
            nursery.cancel_scope.cancel()


async def end_of(stream: trio.SocketStream) -> bytes:
    """All that comes until the end."""
    received = b""
    with trio.fail_after(PATIENCE_S):
        try:
            async for data in stream:
                received += data
        except trio.BrokenResourceError:
            pass
    return received


class Handled:
    """What a handler saw; each connection lasts until the test ends it."""

    def __init__(self, *, stage: Stage = Stage.OPEN) -> None:
        self.connections: list[Connection] = []
        self.ended = 0
        self._stage = stage

    async def __call__(self, connection: Connection) -> None:
        self.connections.append(connection)
        connection.reached(self._stage)
        try:
            await connection.stream.receive_some()
            await trio.sleep_forever()
        finally:
            self.ended += 1


async def test_a_silent_socket_is_served_by_nobody_until_its_first_byte() -> None:
    handled = Handled()
    async with served(handled, reception()) as peers:
        peer = await peers.come()
        silent = len(handled.connections)
        await peer.send_all(b"x")
        await trio.testing.wait_all_tasks_blocked(0.01)

        assert (silent, len(handled.connections)) == (0, 1)


async def test_a_silent_socket_makes_room_with_a_503() -> None:
    handled, into = Handled(), reception(lobby=2)
    async with served(handled, into) as peers:
        first, *_ = [await peers.come() for _ in range(3)]

        assert await end_of(first) == BUSY
        assert (into.floods.evicted, into.strangers) == (1, 2)


async def test_a_handshake_makes_room_and_ends_with_its_task() -> None:
    handled = Handled()
    async with served(handled, reception(places=2)) as peers:
        first, *_ = [await peers.come(b"x") for _ in range(3)]

        assert await end_of(first) == BUSY
        assert (len(handled.connections), handled.ended) == (3, 1)


async def test_a_goodbye_is_what_the_connection_says_it_is() -> None:
    handled = Handled()
    async with served(handled, reception(places=2)) as peers:
        first = await peers.come(b"x")
        goodbyes: list[str] = []
        handled.connections[0].goodbye = lambda: goodbyes.append("said")
        for _ in range(2):
            await peers.come(b"x")

        assert await end_of(first) == b""
        assert goodbyes == ["said"]


@pytest.mark.parametrize("stage", [Stage.ANSWERING, Stage.KEPT, Stage.LEAVING])
async def test_nothing_is_said_in_the_middle_of_an_answer_or_after_it(stage: Stage) -> None:
    async with served(Handled(stage=stage), reception(places=2)) as peers:
        first, *_ = [await peers.come(b"x") for _ in range(3)]

        assert await end_of(first) == b""


async def test_a_client_leaves_its_place_and_is_never_sent_away() -> None:
    handled, into = Handled(), reception(places=2)
    async with served(handled, into) as peers:
        await peers.come(b"x")
        handled.connections[0].settled()
        for _ in range(4):
            await peers.come(b"x")

        assert handled.connections[0].scope.cancel_called is False
        assert (into.strangers, into.floods.evicted) == (2, 2)


async def test_one_client_too_many_is_told_so() -> None:
    handled = Handled()
    async with served(handled, reception(clients_max=1)) as peers:
        _, second = [await peers.come(b"x") for _ in range(2)]
        for connection in handled.connections:
            connection.settled()

        assert await end_of(second) == BUSY
        assert [connection.scope.cancel_called for connection in handled.connections] == [False, True]


async def test_while_decisions_fill_the_places_the_next_waits_for_the_first_that_falls() -> None:
    handled, into = Handled(stage=Stage.DECIDING), reception(places=2)
    async with served(handled, into) as peers:
        for _ in range(3):
            await peers.come(b"x")
        begun = len(handled.connections)
        handled.connections[0].settled()
        await trio.testing.wait_all_tasks_blocked(0.01)

        assert (begun, len(handled.connections), into.floods.evicted) == (2, 3, 0)


async def test_who_waits_for_a_place_when_the_process_is_about_to_be_another_goes_along() -> None:
    handled, into = Handled(stage=Stage.DECIDING), reception(places=1)
    async with served(handled, into) as peers:
        for _ in range(2):
            await peers.come(b"x")
        into.leave()
        await into.finish(0)
        await trio.testing.wait_all_tasks_blocked(0.01)

        assert (len(handled.connections), into.served) == (1, 0)
        (waiting,) = into.hand_over()
        assert waiting.recv(9) == b"x"
        waiting.close()


async def test_who_hangs_up_while_he_waits_is_let_go(mock_clock: MockClock) -> None:
    handled, into = Handled(stage=Stage.DECIDING), reception(places=1)
    async with served(handled, into) as peers:
        await peers.come(b"x")
        for _ in range(2):
            await (await peers.come(b"x")).aclose()
        silent = await peers.come()
        await silent.aclose()
        await trio.testing.wait_all_tasks_blocked(0.01)
        mock_clock.jump(2 * HUNG_UP_AFTER_S)
        handled.connections[0].settled()
        await trio.testing.wait_all_tasks_blocked(0.01)

        # The first of them had his turn already and was waiting for his place.
        assert (len(handled.connections), into.strangers) == (2, 1)


async def test_who_says_at_once_that_all_is_said_is_served() -> None:
    handled = Handled()
    async with served(handled, reception()) as peers:
        peer = await peers.come()
        await peer.send_all(b"x")
        await peer.send_eof()
        await trio.testing.wait_all_tasks_blocked(0.01)

    assert len(handled.connections) == 1


async def test_a_silent_socket_is_closed_in_the_end(mock_clock: MockClock) -> None:
    into = reception()
    async with served(Handled(), into) as peers:
        silent = await peers.come()
        mock_clock.jump(SILENCE_S)

        assert await end_of(silent) == b""
        assert into.strangers == 0


async def test_a_turn_for_more_comes_in_the_circle_of_the_sources() -> None:
    order: list[int] = []

    async def handler(connection: Connection) -> None:
        number = len(waiting)
        waiting.append(connection)
        await start.wait()
        await connection.turn()
        order.append(number)

    waiting: list[Connection] = []
    start = trio.Event()
    async with served(handler, reception(places=4, lobby=8)) as peers:
        for source in (1, 1, 1, 2):
            await peers.come(b"x", source=source)
        start.set()
        await trio.testing.wait_all_tasks_blocked(0.01)

    assert sorted(order) == [0, 1, 2, 3]


async def test_a_fault_in_one_connection_is_that_one_s_only(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(connection: Connection) -> None:
        if await connection.stream.receive_some() == b"fail":
            raise ValueError("out of order")
        await connection.stream.send_all(b"fine")

    async with served(handler, reception()) as peers:
        assert await end_of(await peers.come(b"fail")) == b""
        assert await end_of(await peers.come(b"x")) == b"fine"

    assert [record.message for record in caplog.records] == ["connection failed"]


async def test_nobody_is_taken_in_any_more_once_the_listeners_are_closed() -> None:
    handled = Handled()
    with socket.socket() as listening, trio.fail_after(PATIENCE_S):
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        async with trio.open_nursery() as nursery:
            listeners: Listeners = [(listening, reception())]
            nursery.start_soon(serve_listeners, listeners, handled)
            await trio.testing.wait_all_tasks_blocked(0.01)
            close_listeners(listeners)
            with pytest.raises(OSError, match="connect"):
                await trio.open_tcp_stream("127.0.0.1", port)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002::/64"),
        ("10.0.0.9", None),
        ("", None),
    ],
)
def test_a_source_is_an_address_or_a_network_and_a_proxy_is_none(address: str, source: str | None) -> None:
    assert source_of(address, parse_proxies(["10.0.0.0/24"])) == source
