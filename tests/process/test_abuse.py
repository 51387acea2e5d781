"""Crowds at the door: whoever has the credential gets in within seconds, and memory stays bounded.

The crowds are processes of their own, on loopback, which come again as soon as they lose a connection.
"""

import socket
import ssl
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import trio
from trio_websocket import ConnectionClosed

from openclawd.net.capacity import HANDSHAKES_MAX, LOBBY_MAX
from openclawd.protocol.closes import BUSY
from tests.process.chats import until
from tests.support.attacker import Attack, attacker
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.raw_websocket import UPGRADE, RawWebSocket, client_frame, close_of, raw_websocket
from tests.support.wire_client import wire_client

pytestmark = pytest.mark.process

# "Within a second or so", times three.
SOON_S: Final = 3.0
# After as long who was told that the gateway is busy comes again, and for so long at most.
COME_AGAIN_S: Final = 1.0
PATIENCE_S: Final = 20.0
OWNERS: Final = 3
# What a socket in the lobby and a handshake may cost, with everything that is only a little of it.
LOBBY_KIB: Final = 4
HANDSHAKE_KIB: Final = 80
STRANGERS_KIB: Final = LOBBY_MAX * LOBBY_KIB + HANDSHAKES_MAX * HANDSHAKE_KIB
# Room for 128 connections: a lobby of 21 and 16 handshakes.
FEW_DESCRIPTORS: Final = "ulimit -n 256"
FEW_HANDSHAKES: Final = 16
FEW_IN_LOBBY: Final = 21
TLS: Final = {"gateway": {"tls": {"enabled": True}}}

GET: Final = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
SLOW_HEAD: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
# A frame that announces 64 KiB.
SLOW_FRAME: Final = UPGRADE + client_frame(b"x" * 65_535)[:8]

CROWDS: Final = {
    "10 000 idle sockets of one source": Attack(hold=10_000),
    "10 000 idle sockets of as many sources": Attack(hold=10_000, sources=10_000),
    "half-open upgrades of one source": Attack(hold=2_000, say=UPGRADE, renew_s=1),
    "half-open upgrades of many sources": Attack(hold=1_000, sources=1_000, say=UPGRADE, renew_s=1),
    "connects of many sources": Attack(hold=1_000, sources=5_000, renew_s=0.05),
    "heads of a byte a second": Attack(hold=1_200, sources=1_200, say=SLOW_HEAD, drip=b"x" * 60),
    "frames of a byte a second": Attack(hold=1_100, sources=500, say=SLOW_FRAME, drip=b"x" * 60),
    "requests whose answers nobody reads": Attack(
        hold=1_200, sources=1_200, say=GET * 8, receive_buffer=2_048
    ),
}


def resident_kib(gateway: GatewayProcess) -> int:
    assert gateway.process is not None
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def descriptors(gateway: GatewayProcess) -> int:
    assert gateway.process is not None
    return len(list(Path(f"/proc/{gateway.process.pid}/fd").iterdir()))


async def owner_comes(gateway: GatewayProcess) -> float:
    """Connect and work; how long that took (s). Who is told to come again does, as every client would."""
    began = time.monotonic()
    while True:
        try:
            async with wire_client(gateway.port) as owner:
                await owner.connect(token=TOKEN)
                assert await owner.call("health")
                return time.monotonic() - began
        except* ConnectionClosed as closed:
            if closed.split(was_busy)[1] is not None or time.monotonic() - began > PATIENCE_S:
                raise
        await trio.sleep(COME_AGAIN_S)


def was_busy(error: BaseException) -> bool:
    return isinstance(error, ConnectionClosed) and error.reason is not None and error.reason.code == BUSY.code


@pytest.mark.parametrize("crowd", CROWDS.values(), ids=CROWDS.keys())
async def test_the_owner_gets_in_soon_and_the_memory_stays_bounded(crowd: Attack) -> None:
    with gateway_process() as gateway:
        await owner_comes(gateway)
        before = resident_kib(gateway)
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            with attacker(gateway.port, crowd):
                took = [await owner_comes(gateway) for _ in range(OWNERS)]
                assert await client.call("health")
                grown = resident_kib(gateway) - before
        errors = [line for line in gateway.log_lines if line["level"] == "error"]
        told = gateway.decisions("more strangers than places; who is missed least has to go")

    assert sorted(took)[OWNERS // 2] < SOON_S
    assert grown < STRANGERS_KIB
    assert not errors
    assert len(told) <= 3


async def test_another_source_hardly_notices_a_flood_of_one() -> None:
    with gateway_process() as gateway, attacker(gateway.port, CROWDS["half-open upgrades of one source"]):
        took = [await owner_comes(gateway) for _ in range(OWNERS)]

    assert max(took) < SOON_S


# --- a gateway with little room


@pytest.fixture(scope="module")
def narrow() -> Generator[GatewayProcess, None, None]:
    with gateway_process(shell=FEW_DESCRIPTORS) as running:
        yield running


@asynccontextmanager
async def upgraded(gateway: GatewayProcess, count: int) -> AsyncGenerator[list[RawWebSocket], None]:
    """That many WebSockets which were told the challenge and say nothing."""
    async with AsyncExitStack() as every:
        sockets: list[RawWebSocket] = []
        for _ in range(count):
            raw = await every.enter_async_context(raw_websocket(gateway.port))
            await raw.until(b"connect.challenge")
            sockets.append(raw)
        yield sockets


async def test_the_oldest_handshake_makes_room_and_is_told_when_to_come_again(narrow: GatewayProcess) -> None:
    async with upgraded(narrow, FEW_HANDSHAKES) as waiting:
        await owner_comes(narrow)
        await waiting[0].until_the_end()
        await waiting[1].send(client_frame(b"not a request"))
        await waiting[1].until_the_end()

    assert close_of(waiting[0].received) == 1013
    assert waiting[0].received.endswith(b"gateway busy; retryAfterMs=1000")
    assert close_of(waiting[1].received) == 1008


async def test_a_socket_that_says_nothing_makes_room_with_a_503(narrow: GatewayProcess) -> None:
    with ExitStack() as every:
        silent = [
            every.enter_context(socket.create_connection(("127.0.0.1", narrow.port), timeout=10))
            for _ in range(FEW_IN_LOBBY + 1)
        ]
        told = silent[0].recv(4096)
        rest = silent[0].recv(4096)

    assert told.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 1\r\n" in told
    assert rest == b""


async def test_an_idle_keep_alive_goes_before_a_handshake(narrow: GatewayProcess) -> None:
    with socket.create_connection(("127.0.0.1", narrow.port), timeout=10) as browser:
        browser.sendall(GET)
        assert browser.recv(4096).startswith(b"HTTP/1.1 200 ")
        async with upgraded(narrow, FEW_HANDSHAKES) as waiting:
            assert await trio.to_thread.run_sync(browser.recv, 4096) == b""
            await waiting[0].send(client_frame(b"not a request"))
            await waiting[0].until_the_end()

    assert close_of(waiting[0].received) == 1008


def test_under_tls_they_are_told_so_too() -> None:
    with gateway_process(TLS, shell=FEW_DESCRIPTORS) as gateway, ExitStack() as every:
        trust = ssl.create_default_context(cafile=gateway.certificate)
        waiting: list[ssl.SSLSocket] = []
        for _ in range(FEW_HANDSHAKES + 1):
            plain = every.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=10))
            waiting.append(every.enter_context(trust.wrap_socket(plain, server_hostname="127.0.0.1")))
            waiting[-1].sendall(UPGRADE)
            assert waiting[-1].recv(65_536).startswith(b"HTTP/1.1 101 ")
        received = b""
        while data := waiting[0].recv(65_536):
            received += data

    assert close_of(received) == 1013


async def test_a_flood_is_one_line_in_the_log_and_says_whose_it_is() -> None:
    with gateway_process(shell=FEW_DESCRIPTORS) as gateway:
        async with upgraded(gateway, 3 * FEW_HANDSHAKES):
            await until(
                lambda: bool(gateway.decisions("more strangers than places; who is missed least has to go"))
            )
        (line,) = gateway.decisions("more strangers than places; who is missed least has to go")

    assert line["level"] == "warn"
    assert (line["evicted"], line["refused"]) == (2 * FEW_HANDSHAKES, 0)
    assert (line["mostFrom"], line["holds"]) == ("127.0.0.1", FEW_HANDSHAKES)
    assert line["places"] == FEW_IN_LOBBY + FEW_HANDSHAKES


async def test_the_local_socket_has_room_whatever_comes_from_the_network(narrow: GatewayProcess) -> None:
    with ExitStack() as every:
        async with upgraded(narrow, FEW_HANDSHAKES):
            for _ in range(FEW_IN_LOBBY):
                every.enter_context(socket.create_connection(("127.0.0.1", narrow.port)))
            told = await trio.to_thread.run_sync(narrow.command, "health")

    assert told.returncode == 0, told.stderr


# --- peers that are only half there


async def test_a_peer_that_never_reads_its_refusal_is_gone_in_seconds() -> None:
    with gateway_process() as gateway:
        before = descriptors(gateway)
        with ExitStack() as every:
            for _ in range(20):
                peer = every.enter_context(socket.create_connection(("127.0.0.1", gateway.port)))
                peer.sendall(UPGRADE + client_frame(b"not a request"))
            await until(lambda: len(gateway.decisions("refused")) == 20)
            await until(lambda: descriptors(gateway) <= before)


def established() -> list[str]:
    """The TCP connections of this machine (proc(5))."""
    return Path("/proc/net/tcp").read_text().splitlines()[1:]


async def test_the_kernel_asks_after_peers_that_are_silent(gateway: GatewayProcess) -> None:
    """A laptop that was closed sends no FIN: only the keep-alive timer tells."""
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        with trio.fail_after(15):
            # What was said last may not be acknowledged yet; until then that is what is timed.
            while (timers := timers_of(gateway)) == {"01"}:  # noqa: ASYNC110  the kernel tells nobody
                await trio.sleep(0.01)
        assert timers == {"02"}


def timers_of(gateway: GatewayProcess) -> set[str]:
    """Which timer runs on each of its connections (proc_net_tcp(5): 01 retransmission, 02 keep-alive)."""
    ours = f":{gateway.port:04X}"
    connections = [line.split() for line in established()]
    timers = [fields[5] for fields in connections if fields[1].endswith(ours) and fields[3] == "01"]
    return {timer.partition(":")[0] for timer in timers}


async def test_pings_before_admission_are_bounded_too(gateway: GatewayProcess) -> None:
    async with raw_websocket(gateway.port) as raw:
        await raw.until(b"connect.challenge")
        await raw.send(client_frame(b"x" * 125, first=0x89) * 600)
        await raw.until_the_end()

    assert close_of(raw.received) == 1009
