"""A WebSocket over memory streams, or over a pair of sockets: the real wire and a real client library."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import cast

import trio
from trio.abc import Stream
from trio.testing import memory_stream_pair
from trio_websocket import WebSocketConnection, wrap_client_stream

from openclawd.net.http import Request, Response, serve_http, text
from openclawd.net.slots import Reached, unwatched
from openclawd.net.stream import UpgradedStream
from openclawd.net.websocket import TrioWebSocketWire, accept_websocket


def socket_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Where what can be written at once matters, which memory streams never do."""
    ours, theirs = trio.socket.socketpair()
    return trio.SocketStream(ours), trio.SocketStream(theirs)


@asynccontextmanager
async def memory_socket(
    serve: Callable[[TrioWebSocketWire], Awaitable[None]],
    reached: Reached = unwatched,
    *,
    streams: Callable[[], tuple[Stream, Stream]] = memory_stream_pair,
) -> AsyncGenerator[WebSocketConnection, None]:
    """`serve` gets the gateway's end; the block gets the client's."""

    async def upgrade(stream: Stream, _request: Request, answer: bytes, trailing: bytes) -> None:
        async with accept_websocket(UpgradedStream(stream, answer, trailing), reached=reached) as wire:
            await serve(wire)

    async def respond(_request: Request) -> Response:
        return text(HTTPStatus.NOT_FOUND, "")

    ours, theirs = streams()
    async with ours, trio.open_nursery() as nursery:
        nursery.start_soon(serve_http, theirs, respond, upgrade)
        # Its annotation names sockets only; any stream will do.
        client = await wrap_client_stream(nursery, cast(trio.SocketStream, ours), "gateway", "/")
        yield client
        nursery.cancel_scope.cancel()
