"""A TCP forwarder, as `ssh -L` is one: bytes both ways, nothing added, nothing understood."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio

CHUNK_BYTES = 64 * 1024


@asynccontextmanager
async def forwarder(target_port: int) -> AsyncGenerator[int, None]:
    """Forward a port of 127.0.0.1 to `target_port` there; gives that port."""

    async def forward(near: trio.SocketStream) -> None:
        try:
            far = await trio.open_tcp_stream("127.0.0.1", target_port)
        except OSError:
            return  # nobody is there: what was accepted is closed
        async with near, far, trio.open_nursery() as nursery:
            nursery.start_soon(_copy, near, far)
            nursery.start_soon(_copy, far, near)

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port: int = listener.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, forward, [listener])
        yield port
        nursery.cancel_scope.cancel()


async def _copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    try:
        while data := await source.receive_some(CHUNK_BYTES):
            await sink.send_all(data)
        await sink.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        # One end was reset: so is the other, in the way that is left.
        await trio.aclose_forcefully(source)
        await trio.aclose_forcefully(sink)
