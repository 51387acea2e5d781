"""A WebSocket under trio that costs next to nothing: fifty of them leave the machine to the gateway."""

from contextlib import suppress
from typing import Final

import trio

from tests.support.raw_websocket import CLOSE, FIN, KEY, TEXT, client_frame

_PING: Final = 0x9
_PONG: Final = 0xA
_RECEIVE_BYTES: Final = 256 * 1024


class SocketClosed(Exception):
    """The connection is over: the code and reason of the gateway's close; 1006 where it broke off."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code
        self.reason = reason


class LoadSocket:
    """One connection after its upgrade request. Not for two readers."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._received = bytearray()
        self._upgraded = False
        self._sending = trio.Lock()

    @classmethod
    async def open(cls, port: int) -> "LoadSocket":
        """Raises ConnectionRefusedError when nobody listens, ConnectionResetError when who listened dies, and
        SocketClosed when somebody hangs up at once.
        """
        socket = trio.socket.socket()
        try:
            await socket.connect(("127.0.0.1", port))
            stream = trio.SocketStream(socket)
        except BaseException:
            socket.close()
            raise
        opened = cls(stream)
        try:
            await opened._send(
                f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n".encode()
            )
        except BaseException:
            opened.abort()
            raise
        return opened

    async def send(self, message: bytes) -> None:
        """One text message. Raises SocketClosed."""
        await self._send(client_frame(message))

    async def receive(self) -> list[bytes]:
        """Wait for bytes; the messages that are whole now. Raises SocketClosed, but for messages before a
        close frame only with the next call.
        """
        messages: list[bytes] = []
        while not messages:
            if self._upgraded and (found := await self._take()):
                return found
            try:
                data = await self._stream.receive_some(_RECEIVE_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise SocketClosed(1006) from None
            if not data:
                raise SocketClosed(1006)
            self._received += data
            if not self._upgraded:
                head, separator, rest = self._received.partition(b"\r\n\r\n")
                if separator and not head.startswith(b"HTTP/1.1 101"):
                    raise SocketClosed(1006, head.split(b"\r\n")[0].decode())
                if separator:
                    self._received, self._upgraded = rest, True
            if self._upgraded:
                messages = await self._take()
        return messages

    async def _take(self) -> list[bytes]:
        """The whole frames that are here, up to a close frame."""
        received, messages, start = self._received, list[bytes](), 0
        while len(received) >= start + 2:
            size, payload = received[start + 1], start + 2
            if size >= 126:
                payload += 2 if size == 126 else 8
                size = int.from_bytes(received[start + 2 : payload], "big")
            if payload + size > len(received):
                break
            kind, body = received[start], bytes(received[payload : payload + size])
            if kind == FIN | CLOSE:
                if not messages:
                    raise SocketClosed(int.from_bytes(body[:2], "big"), body[2:].decode())
                break
            if kind == FIN | TEXT:
                messages.append(body)
            elif kind == FIN | _PING:
                await self._send(client_frame(body, first=FIN | _PONG))
            start = payload + size
        del received[:start]
        return messages

    async def _send(self, data: bytes) -> None:
        try:
            async with self._sending:
                await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise SocketClosed(1006) from None

    def abort(self) -> None:
        """Let go without a word."""
        with suppress(OSError):
            self._stream.socket.close()
