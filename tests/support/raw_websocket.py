"""WebSocket bytes by hand (RFC 6455 section 5.2), for what no library would send."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import trio

# RFC 6455 section 1.3: the key of the examples, and the answer to it.
KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT: Final = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
UPGRADE: Final = (
    "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
).encode()
TEXT: Final = 0x1
CLOSE: Final = 0x8
FIN: Final = 0x80
PATIENCE_S: Final = 15.0


def client_frame(payload: bytes, *, first: int = FIN | TEXT, masked: bool = True) -> bytes:
    """One frame; the mask is all zeros, so that the payload stands in it as it is."""
    size = len(payload)
    mask_bit = 0x80 if masked else 0
    if size < 126:
        head = bytes([first, mask_bit | size])
    elif size < 2**16:
        head = bytes([first, mask_bit | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, mask_bit | 127]) + size.to_bytes(8, "big")
    return head + (bytes(4) if masked else b"") + payload


def close_of(received: bytes) -> int | None:
    """The code of the close frame that `received` ends in; None when there is none."""
    for start in range(len(received) - 4, -1, -1):
        if received[start] == FIN | CLOSE and received[start + 1] == len(received) - start - 2:
            return int.from_bytes(received[start + 2 : start + 4], "big")
    return None


class RawWebSocket:
    """A connection after its upgrade request."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.received = b""

    async def send(self, data: bytes) -> None:
        """Bytes as they are."""
        with trio.fail_after(PATIENCE_S):
            await self._stream.send_all(data)

    async def until(self, wanted: bytes) -> None:
        """Read until `wanted` has come, or the end."""
        with trio.fail_after(PATIENCE_S):
            while wanted not in self.received and (data := await self._stream.receive_some(65536)):
                self.received += data

    async def until_the_end(self) -> None:
        """Read until the gateway ends the connection."""
        with trio.fail_after(PATIENCE_S):
            while data := await self._stream.receive_some(65536):
                self.received += data


@asynccontextmanager
async def raw_websocket(port: int, behind: bytes = b"") -> AsyncGenerator[RawWebSocket, None]:
    """Open one, `behind` in the same packet as the request; the 101 is the first thing that comes."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        socket = RawWebSocket(stream)
        await socket.send(UPGRADE + behind)
        yield socket
