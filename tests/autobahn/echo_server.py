"""The gateway's HTTP and WebSocket code with an echo behind it, as the fuzzing client wants one.

Run as `python -m tests.autobahn.echo_server`; prints its port. Ends when its stdin does.
"""

import sys
from contextlib import suppress
from http import HTTPStatus
from typing import Final

import trio
from trio.abc import Stream

from openclawd.gateway.wire import WireClosed, WireOverflow
from openclawd.net.http import Request, Response, serve_http, text
from openclawd.net.stream import UpgradedStream
from openclawd.net.websocket import TrioWebSocketWire, accept_websocket
from openclawd.protocol.closes import TOO_BIG
from openclawd.protocol.websocket_frames import text_frame

# RFC 6455 section 5.2: a binary frame where ours are text.
_BINARY: Final = 0x82


async def echo(wire: TrioWebSocketWire) -> None:
    """Send back whatever comes, as an admitted client's."""
    wire.admitted()
    try:
        while True:
            message = await wire.receive()
            if isinstance(message, str):
                frame = text_frame(message.encode())
            else:
                frame = bytes((_BINARY,)) + text_frame(message)[1:]
            with suppress(WireClosed):  # the peer's close is being answered, which `receive` will tell
                await wire.send(frame)
    except WireOverflow:
        await wire.close(TOO_BIG)
    except WireClosed:
        pass


async def serve(stream: Stream) -> None:
    """One connection."""

    async def respond(_: Request) -> Response:
        return text(HTTPStatus.NOT_FOUND, "This is an echo.\n")

    async def upgrade(transport: Stream, _: Request, answer: bytes, trailing: bytes) -> None:
        with suppress(trio.BrokenResourceError):
            async with accept_websocket(UpgradedStream(transport, answer, trailing)) as wire:
                await echo(wire)

    await serve_http(stream, respond, upgrade)


async def main() -> None:
    """Serve until stdin ends."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        print(listeners[0].socket.getsockname()[1], flush=True)
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        await trio.to_thread.run_sync(sys.stdin.read)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
