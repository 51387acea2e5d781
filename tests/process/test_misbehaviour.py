"""Admitted clients that misbehave: each ends, or is put off, as the wire says, at nobody else's cost.

Every test has a bystander, who is served before, in the middle and afterwards.
"""

import json
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from tests.process.chats import until
from tests.process.clients import BACKEND, NODE
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.raw_websocket import (
    CLOSE,
    FIN,
    TEXT,
    RawWebSocket,
    client_frame,
    close_of,
    raw_websocket,
)
from tests.support.wire_client import Refused, WireClient, wire_client

pytestmark = pytest.mark.process

PATIENCE_S: Final = 30.0
PING: Final = 0x9
PONG: Final = 0xA
CONTINUATION: Final = 0x0
MIB: Final = 2**20
# What one client may make the gateway hold: its outbox, its requests, one message and what it is read into.
MEMORY_OF_ONE_KIB: Final = 250 * 1024


@pytest.fixture(scope="module")
def gateway() -> Generator[GatewayProcess, None, None]:
    """One for this module, so that what is measured of it is the doing of these clients."""
    with gateway_process() as running:
        yield running


@asynccontextmanager
async def bystander(gateway: GatewayProcess) -> AsyncGenerator[WireClient, None]:
    """Somebody who wants to work; is served at the end as at the beginning."""
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, protocol=(4, 4))
        assert await client.call("health")
        yield client
        assert await client.call("health")


@asynccontextmanager
async def admitted(gateway: GatewayProcess) -> AsyncGenerator[RawWebSocket, None]:
    """A client whose bytes a test makes itself."""
    async with raw_websocket(gateway.port) as raw:
        await raw.until(b"connect.challenge")
        params = {"minProtocol": 3, "maxProtocol": 3, "client": BACKEND, "auth": {"token": TOKEN}}
        await raw.send(request_frame("connect", params | {"scopes": ["operator.admin"]}))
        await raw.until(b'"hello-ok"')
        raw.received = b""
        yield raw


def request_frame(method: str, params: object = None, request_id: str = "1") -> bytes:
    frame = {"type": "req", "id": request_id, "method": method, "params": params or {}}
    return client_frame(json.dumps(frame).encode())


def resident_kib(gateway: GatewayProcess) -> int:
    assert gateway.process is not None
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


async def in_the_middle_of(
    doing: Callable[[], Awaitable[None]], client: WireClient, gateway: GatewayProcess
) -> int:
    """Do it while `client` keeps calling; the memory that it took at most, in KiB."""
    before, most, done = resident_kib(gateway), 0, trio.Event()

    async def do() -> None:
        await doing()
        done.set()

    with trio.fail_after(2 * PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(do)
            while not done.is_set():
                await client.call("health")
                most = max(most, resident_kib(gateway))
                with trio.move_on_after(0.05):
                    await done.wait()
    return most - before


# --- fragments


async def test_a_request_may_come_in_as_many_fragments_as_it_has_bytes(gateway: GatewayProcess) -> None:
    text = json.dumps({"type": "req", "id": "1", "method": "health"}).encode()
    async with admitted(gateway) as raw:
        first, *rest = (text[at : at + 1] for at in range(len(text)))
        frames = client_frame(first, first=TEXT) + b"".join(client_frame(b, first=CONTINUATION) for b in rest)
        await raw.send(frames + client_frame(b"", first=FIN | CONTINUATION))
        await raw.until(b'"id":"1","ok":true')
    assert b'"ok":true' in raw.received


async def test_a_message_that_never_ends_is_ended_whatever_its_fragments_weigh(
    gateway: GatewayProcess,
) -> None:
    async def flood() -> None:
        async with admitted(gateway) as raw:
            await raw.send(client_frame(b"{", first=TEXT))
            empty = client_frame(b"", first=CONTINUATION) * 10_000
            with suppress(trio.BrokenResourceError):
                for _ in range(1_000):
                    await raw.send(empty)

    async with bystander(gateway) as client:
        assert await in_the_middle_of(flood, client, gateway) < MEMORY_OF_ONE_KIB
    assert gateway.decisions("left", closeCode=1009)


async def test_a_message_of_too_many_fragments_is_closed_with_1009(gateway: GatewayProcess) -> None:
    async with admitted(gateway) as raw:
        await raw.send(client_frame(b"{", first=TEXT) + client_frame(b"", first=CONTINUATION) * 150_000)
        await raw.until_the_end()
    assert close_of(raw.received) == 1009


# --- size


async def test_a_message_above_25_mib_is_closed_with_1009_and_an_empty_reason(
    gateway: GatewayProcess,
) -> None:
    async def send_too_much() -> None:
        async with admitted(gateway) as raw:
            with trio.move_on_after(PATIENCE_S):
                await raw.send(client_frame(b"x" * 26_214_401))
            await raw.until_the_end()
        assert raw.received.endswith(bytes([FIN | CLOSE, 2]) + (1009).to_bytes(2, "big"))

    async with bystander(gateway) as client:
        assert await in_the_middle_of(send_too_much, client, gateway) < MEMORY_OF_ONE_KIB


async def test_a_request_of_millions_of_values_is_refused_and_not_unfolded(gateway: GatewayProcess) -> None:
    lists = b",".join([b"[]"] * 8_000_000)

    async def send_many() -> None:
        async with admitted(gateway) as raw:
            await raw.send(
                client_frame(b'{"type":"req","id":"7","method":"health","params":[' + lists + b"]}")
            )
            await raw.until(b"invalid request frame: more than")
            await raw.send(request_frame("health", request_id="8"))
            await raw.until(b'"id":"8","ok":true')

    async with bystander(gateway) as client:
        assert await in_the_middle_of(send_many, client, gateway) < MEMORY_OF_ONE_KIB


# --- pings


async def test_every_ping_has_its_pong_also_between_the_fragments_of_a_request(
    gateway: GatewayProcess,
) -> None:
    text = json.dumps({"type": "req", "id": "1", "method": "health"}).encode()
    async with admitted(gateway) as raw:
        await raw.send(
            client_frame(text[:9], first=TEXT)
            + client_frame(b"still here?", first=FIN | PING)
            + client_frame(text[9:], first=FIN | CONTINUATION)
        )
        await raw.until(bytes([FIN | PONG, 11]) + b"still here?")
        await raw.until(b'"id":"1","ok":true')
    assert b'"ok":true' in raw.received


async def test_a_flood_of_pings_that_nobody_reads_the_pongs_of_holds_no_memory(
    gateway: GatewayProcess,
) -> None:
    async def flood() -> None:
        async with admitted(gateway) as raw:
            pings = client_frame(b"x" * 125, first=FIN | PING) * 1_000
            with trio.move_on_after(3):
                for _ in range(1_000):
                    await raw.send(pings)

    async with bystander(gateway) as client:
        assert await in_the_middle_of(flood, client, gateway) < MEMORY_OF_ONE_KIB


# --- readers


async def test_who_asks_and_never_reads_is_let_go_as_a_slow_consumer(gateway: GatewayProcess) -> None:
    async def ask_and_never_read() -> None:
        async with admitted(gateway) as raw:
            # The answer to an unknown method says its name.
            frame = request_frame("x" * MIB)
            with suppress(trio.BrokenResourceError):
                for _ in range(80):
                    await raw.send(frame)
            await until(lambda: bool(gateway.decisions("left", closeReason="slow consumer")))

    async with bystander(gateway) as client:
        assert await in_the_middle_of(ask_and_never_read, client, gateway) < MEMORY_OF_ONE_KIB
    assert gateway.decisions("left", closeReason="slow consumer", closeCode=1008)


async def test_a_client_that_is_reset_in_the_middle_of_its_answers_is_nobody_s_error(
    gateway: GatewayProcess,
) -> None:
    async with bystander(gateway):
        for _ in range(10):
            async with await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream:
                raw = RawWebSocket(stream)
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                await raw.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n")
                await raw.send(b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n")
                await raw.send(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
                await raw.until(b"connect.challenge")
                params = {"minProtocol": 4, "maxProtocol": 4, "client": BACKEND, "auth": {"token": TOKEN}}
                await raw.send(request_frame("connect", params | {"scopes": ["operator.admin"]}))
                await raw.until(b'"hello-ok"')
                await raw.send(request_frame("sessions.list") * 50)
    assert not [line for line in gateway.log_lines if line["level"] == "error"]


# --- requests


async def test_too_many_requests_at_once_are_put_off_and_each_is_answered_once(
    gateway: GatewayProcess,
) -> None:
    async with bystander(gateway) as client, wire_client(gateway.port) as flooder:
        await flooder.connect(token=TOKEN)
        ids = [
            await flooder.request("agent.wait", {"runId": "nobody knows it", "timeoutMs": 3_000})
            for _ in range(300)
        ]
        put_off: list[dict[str, Any]] = []
        for request_id in ids[256:]:
            with pytest.raises(Refused) as refused:
                await flooder.response(request_id)
            put_off.append(refused.value.error)
        assert await client.call("health")
        for request_id in ids[:256]:
            assert (await flooder.response(request_id))["status"] == "timeout"
        assert (await flooder.call("agent.wait", {"runId": "x", "timeoutMs": 0}))["status"] == "timeout"
    assert {error["code"] for error in put_off} == {"UNAVAILABLE"}
    assert {(error["retryable"], error["retryAfterMs"]) for error in put_off} == {(True, 250)}


async def test_a_flood_of_nonsense_leaves_the_connection_where_it_was(gateway: GatewayProcess) -> None:
    async with bystander(gateway), admitted(gateway) as raw:
        await raw.send(client_frame(b"not JSON") * 10_000)
        await raw.send(client_frame(b'{"type":"res"}') + request_frame("health", request_id="9"))
        await raw.until(b'"id":"9","ok":true')
    assert raw.received.count(b'"type":"res"') == 2


async def test_the_eleventh_unauthorised_call_in_a_row_is_the_last(gateway: GatewayProcess) -> None:
    async with bystander(gateway), wire_client(gateway.port) as node:
        await node.connect(token=TOKEN, device=Device(), client=NODE, role="node", scopes=())
        ids = [await node.request("chat.history", {"sessionKey": "main"}) for _ in range(11)]
        assert await node.closed() == (1008, "repeated unauthorized calls")
        refused = [frame for frame in node.seen if frame.get("id") in ids]
    assert [frame["error"]["message"] for frame in refused] == ["unauthorized role: node"] * 11


# --- peers that are only half there


async def test_peers_that_stop_in_the_middle_hold_up_neither_others_nor_the_end() -> None:
    with gateway_process() as gateway:
        async with trio.open_nursery() as nursery, wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            for _ in range(5):
                nursery.start_soon(_half_a_frame, gateway)
                nursery.start_soon(_half_a_handshake, gateway)
                nursery.start_soon(_never_reads, gateway)
            await until(lambda: len(gateway.decisions("admitted")) == 11)
            assert await client.call("health")
            assert await trio.to_thread.run_sync(gateway.stop) == 0
            assert await client.closed() == (1012, "service restart")
            nursery.cancel_scope.cancel()


async def _half_a_frame(gateway: GatewayProcess) -> None:
    async with admitted(gateway) as raw:
        await raw.send(client_frame(b"x" * 1000)[:500])
        await trio.sleep_forever()


async def _half_a_handshake(gateway: GatewayProcess) -> None:
    async with raw_websocket(gateway.port) as raw:
        await raw.send(client_frame(b"x" * 1000)[:500])
        await trio.sleep_forever()


async def _never_reads(gateway: GatewayProcess) -> None:
    async with admitted(gateway) as raw:
        await raw.send(request_frame("x" * MIB) * 10)
        await trio.sleep_forever()
