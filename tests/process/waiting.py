"""What takes its time, watched from the start of the battery by one thread, so that no test waits alone.

Deadlines of the gateway are 10 to 30 seconds; a test that wants to see one asks `waits` for what happened.
"""

import threading
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import attrs
import trio

from tests.process.clients import READ_ONLY, origin
from tests.support.device import Device
from tests.support.forwarder import forwarder
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.raw_websocket import UPGRADE, client_frame
from tests.support.wire_client import wire_client

# Longer than the longest of them, the 30 s of a tick, on a busy machine.
PATIENCE_S = 60.0


@attrs.frozen
class Silence:
    """How a WebSocket that never sent `connect` ended."""

    close: tuple[int, str]
    frames: list[dict[str, Any]]


@attrs.frozen
class Waits:
    """What happened; `result` of each waits for it."""

    gateway: GatewayProcess
    silent_websocket: "Future[Silence]" = attrs.Factory(Future)
    slow_frame: "Future[bytes]" = attrs.Factory(Future)
    slow_head: "Future[bytes]" = attrs.Factory(Future)
    silent_socket: "Future[bytes]" = attrs.Factory(Future)
    idle_keep_alive: "Future[bytes]" = attrs.Factory(Future)
    ticks: "Future[list[dict[str, Any]]]" = attrs.Factory(Future)

    async def watch(self) -> None:
        """Start everything at once; ends with the last."""
        with trio.move_on_after(PATIENCE_S):
            async with forwarder(self.gateway.port) as port, trio.open_nursery() as nursery:
                nursery.start_soon(_fulfil, self.silent_websocket, _silent_websocket, port)
                slow = UPGRADE + client_frame(b"x" * 1000)[:8]
                nursery.start_soon(_fulfil, self.slow_frame, _until_closed, self.gateway.port, slow, 60)
                nursery.start_soon(_fulfil, self.slow_head, _until_closed, self.gateway.port, b"GET / HT", 8)
                nursery.start_soon(_fulfil, self.silent_socket, _until_closed, self.gateway.port, b"", 0)
                request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
                nursery.start_soon(
                    _fulfil, self.idle_keep_alive, _until_closed, self.gateway.port, request, 0
                )
                nursery.start_soon(_fulfil, self.ticks, _ticks, self.gateway.port)


async def _fulfil(future: "Future[Any]", job: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
    try:
        future.set_result(await job(*arguments))
    except BaseException as error:
        if not future.done():
            future.set_exception(AssertionError(f"it did not come to an end: {error!r}"))
        if not isinstance(error, Exception):
            raise


async def _silent_websocket(port: int) -> Silence:
    """A page of the forwarder's origin that never says a word."""
    headers = origin(f"http://localhost:{port}")
    async with wire_client(port, host="localhost", headers=headers) as client:
        close = await client.closed(patience_s=PATIENCE_S)
        return Silence(close, list(client.seen))


async def _until_closed(port: int, first: bytes, more: int) -> bytes:
    """Send `first`, then `more` single bytes a second apart; all that came until the other end closed."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    received = bytearray()

    async def dribble() -> None:
        await stream.send_all(first or b"")
        for _ in range(more):
            await trio.sleep(1)
            await stream.send_all(b"T")

    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(dribble)
        try:
            while data := await stream.receive_some(65536):
                received += data
        except trio.BrokenResourceError:
            pass
        nursery.cancel_scope.cancel()
    return bytes(received)


async def _ticks(port: int) -> list[dict[str, Any]]:
    """The first tick of a client of each kind: an admin, a reader, one without any scope."""
    found: list[dict[str, Any]] = []

    async def listen(scopes: tuple[str, ...]) -> None:
        async with wire_client(port) as client:
            await client.connect(token=TOKEN, device=Device(), scopes=scopes)
            found.append(await client.event("tick", patience_s=PATIENCE_S))

    async with trio.open_nursery() as nursery:
        for scopes in (("operator.admin",), READ_ONLY, ()):
            nursery.start_soon(listen, scopes)
    return found


@contextmanager
def waiting() -> Generator[Waits, None, None]:
    """Watch a gateway of its own, reachable from the LAN and through a forwarder, until the block ends."""
    with gateway_process({"gateway": {"bind": "lan"}}) as gateway:
        waits = Waits(gateway)
        thread = threading.Thread(target=trio.run, args=(waits.watch,), daemon=True)
        thread.start()
        yield waits
