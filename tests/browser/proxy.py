"""A reverse proxy that serves a gateway under a prefix of its own, as a web server in front of it does."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import trio

_MAX_HEAD_BYTES = 64 * 1024
_REQUEST_LINE = re.compile(rb"(\S+) (\S+) HTTP/1\.1\r\n")
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def proxy(
    target_port: int, prefix: str, *, strip: bool, sockets: bool = True
) -> AsyncGenerator[int, None]:
    """Serve 127.0.0.1:`target_port` at `prefix`, without a slash at its end; `strip` takes it off the path.

    Gives the proxy's port. What is not below the prefix is a 404, and so are WebSockets without `sockets`.
    """
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port: int = listener.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        handler = _Proxy(target_port, prefix.encode(), strip, sockets)
        nursery.start_soon(trio.serve_listeners, handler.serve, [listener])
        yield port
        nursery.cancel_scope.cancel()


@attrs.frozen
class _Proxy:
    target_port: int
    prefix: bytes
    strip: bool
    sockets: bool

    async def serve(self, client: trio.SocketStream) -> None:
        async with client:
            try:
                head = await self._head(client)
                if head is None:
                    await client.send_all(_NOT_FOUND)
                    return
                async with await trio.open_tcp_stream("127.0.0.1", self.target_port) as target:
                    await target.send_all(head)
                    await _both_ways(client, target)
            except (OSError, trio.BrokenResourceError):
                pass  # the gateway is away, or somebody left

    async def _head(self, client: trio.SocketStream) -> bytes | None:
        """The request's head as the gateway gets it."""
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _MAX_HEAD_BYTES:
            head += await client.receive_some() or b"\r\n\r\n"
        line = _REQUEST_LINE.match(head)
        if line is None or not line[2].startswith(self.prefix + b"/"):
            return None
        path = line[2].removeprefix(self.prefix) if self.strip else line[2]
        fields = head[line.end() :]
        is_upgrade = b"upgrade: websocket" in fields.lower()
        if is_upgrade and not self.sockets:
            return None
        # One request a connection, so that no second head goes by unread; an upgraded one has no other.
        if not is_upgrade:
            fields = b"Connection: close\r\n" + re.sub(rb"(?i)connection: [^\r]*\r\n", b"", fields)
        return line[1] + b" " + path + b" HTTP/1.1\r\n" + fields


async def _both_ways(client: trio.SocketStream, target: trio.SocketStream) -> None:
    """Until either end is done."""
    async with trio.open_nursery() as nursery:

        async def copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
            try:
                async for piece in source:
                    await sink.send_all(piece)
            except trio.BrokenResourceError:
                pass  # somebody left
            nursery.cancel_scope.cancel()

        nursery.start_soon(copy, client, target)
        await copy(target, client)
