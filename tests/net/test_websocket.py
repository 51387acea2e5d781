"""The wire on trio-websocket, and the pitfalls that it fences."""

import socket

import pytest
import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed, WebSocketConnection

from openclawd.gateway.wire import WireClosed, WireOverflow
from openclawd.net.slots import Stage
from openclawd.net.websocket import TrioWebSocketWire
from openclawd.protocol.closes import TOO_BIG, Close
from openclawd.protocol.limits import PRE_ADMISSION_MAX
from openclawd.protocol.websocket_frames import text_frame
from tests.support.memory_socket import memory_socket, socket_pair


async def closed(client: WebSocketConnection) -> tuple[int, str]:
    while True:
        try:
            await client.get_message()
        except ConnectionClosed as ended:
            reason = ended.reason
            return (reason.code, reason.reason or "") if reason else (1006, "")


async def test_frames_that_we_encode_arrive_beside_the_library_s_own(autojump_clock: MockClock) -> None:
    async def serve(wire: TrioWebSocketWire) -> None:
        await wire.send(text_frame(b"one") + text_frame(b"two"))
        await wire.close(Close(1012, "service restart"))

    async with memory_socket(serve) as client:
        assert [await client.get_message(), await client.get_message()] == ["one", "two"]
        assert await closed(client) == (1012, "service restart")


async def test_a_peer_s_close_is_told_with_its_code(autojump_clock: MockClock) -> None:
    heard: list[tuple[int, str]] = []

    async def serve(wire: TrioWebSocketWire) -> None:
        try:
            await wire.receive()
        except WireClosed as gone:
            heard.append((gone.code, gone.reason))

    async with memory_socket(serve) as client:
        await client.aclose(4000, "tick timeout")

    assert heard == [(4000, "tick timeout")]


@pytest.mark.parametrize("pieces", [1, 4])
async def test_a_stranger_who_sends_too_much_gets_1009(autojump_clock: MockClock, pieces: int) -> None:
    async def serve(wire: TrioWebSocketWire) -> None:
        with pytest.raises(WireOverflow):
            await wire.receive()
        await wire.close(TOO_BIG)

    async with memory_socket(serve) as client, trio.open_nursery() as nursery:
        for _ in range(pieces):
            nursery.start_soon(client.send_message, "x" * (2 * PRE_ADMISSION_MAX))
        assert await closed(client) == (1009, "")
        nursery.cancel_scope.cancel()


async def test_the_limit_counts_bytes_and_not_characters(autojump_clock: MockClock) -> None:
    async def serve(wire: TrioWebSocketWire) -> None:
        with pytest.raises(WireOverflow):
            await wire.receive()
        await wire.close(TOO_BIG)

    async with memory_socket(serve) as client:
        await client.send_message("🦞" * (PRE_ADMISSION_MAX // 4 + 1))
        assert await closed(client) == (1009, "")


async def test_a_message_of_exactly_the_limit_passes(autojump_clock: MockClock) -> None:
    sizes: list[int] = []

    async def serve(wire: TrioWebSocketWire) -> None:
        sizes.append(len(await wire.receive()))

    async with memory_socket(serve) as client:
        await client.send_message("x" * PRE_ADMISSION_MAX)
        await closed(client)

    assert sizes == [PRE_ADMISSION_MAX]


async def test_a_client_may_send_more_once_it_is_admitted(autojump_clock: MockClock) -> None:
    sizes: list[int] = []

    async def serve(wire: TrioWebSocketWire) -> None:
        wire.admitted()
        sizes.append(len(await wire.receive()))

    async with memory_socket(serve) as client:
        await client.send_message("x" * (4 * PRE_ADMISSION_MAX))
        await closed(client)

    assert sizes == [4 * PRE_ADMISSION_MAX]


async def test_a_peer_that_never_answers_a_close_is_not_waited_for(autojump_clock: MockClock) -> None:
    ended_at: list[float] = []

    async def serve(wire: TrioWebSocketWire) -> None:
        # Nobody reads at the other end, as its reader is stuck on a full queue of messages.
        await wire.send(text_frame(b"unread") * 100)
        await wire.close(Close(1000))
        ended_at.append(trio.current_time())

    started = trio.current_time()
    async with memory_socket(serve):
        await trio.sleep(60)

    assert ended_at[0] - started <= 2.0


async def test_a_close_that_is_said_at_once_leaves_the_answer_to_who_receives(
    autojump_clock: MockClock,
) -> None:
    heard: list[int] = []

    async def serve(wire: TrioWebSocketWire) -> None:
        assert wire.close_now(Close(1012, "service restart"))
        with pytest.raises(WireClosed):
            wire.send_now(text_frame(b"nothing follows it"))
        try:
            await wire.receive()
        except WireClosed as answered:
            heard.append(answered.code)

    async with memory_socket(serve, streams=socket_pair) as client:
        assert await closed(client) == (1012, "service restart")

    assert heard == [1012]


async def test_whose_close_is_out_can_be_left_to_another_owner(autojump_clock: MockClock) -> None:
    descriptors: list[int | None] = []

    async def serve(wire: TrioWebSocketWire) -> None:
        assert wire.part() is None  # nothing was said yet
        assert wire.close_now(Close(1012, "service restart"))
        descriptors.append(wire.part())
        assert wire.part() is None
        await wire.close(Close(1000))  # has nothing to close any more

    async with memory_socket(serve, streams=socket_pair) as client:
        assert await closed(client) == (1012, "service restart")

    (descriptor,) = descriptors
    assert descriptor is not None
    with socket.socket(fileno=descriptor) as connection:
        connection.setblocking(False)
        # The answer, and then the end of who closed after it.
        assert connection.recv(100)[:1] == b"\x88"
        assert connection.recv(100) == b""


async def test_whose_close_is_still_kept_stays_with_us(autojump_clock: MockClock) -> None:
    async def serve(wire: TrioWebSocketWire) -> None:
        assert not wire.close_now(Close(1012, "service restart"))
        assert wire.part() is None
        await wire.close(Close(1012, "service restart"))

    async with memory_socket(serve) as client:
        assert await closed(client) == (1012, "service restart")


async def test_a_close_that_the_network_did_not_take_at_once_is_said_all_the_same(
    autojump_clock: MockClock,
) -> None:
    async def serve(wire: TrioWebSocketWire) -> None:
        # A memory stream takes nothing at once.
        assert not wire.close_now(Close(1012, "service restart"))
        await wire.close(Close(1012, "service restart"))

    async with memory_socket(serve) as client:
        assert await closed(client) == (1012, "service restart")


async def test_a_cancelled_write_breaks_the_wire_instead_of_garbling_it(autojump_clock: MockClock) -> None:
    async def serve(wire: TrioWebSocketWire) -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await wire.send(text_frame(b"half"))
        with pytest.raises(WireClosed):
            await wire.send(text_frame(b"more"))

    async with memory_socket(serve) as client:
        assert (await closed(client))[0] == 1006


async def test_how_far_it_has_come_is_told_at_the_first_message_and_at_the_close(
    autojump_clock: MockClock,
) -> None:
    async def serve(wire: TrioWebSocketWire) -> None:
        for _ in range(2):
            await wire.receive()
            wire.admitted()
        await wire.close(Close(1000))

    stages: list[Stage] = []
    async with memory_socket(serve, stages.append) as client:
        await client.send_message("connect")
        await client.send_message("health")
        await closed(client)

    assert stages == [Stage.DECIDING, Stage.LEAVING]
