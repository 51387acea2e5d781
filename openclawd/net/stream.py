"""The byte stream under an upgraded WebSocket.

h11 has already read the request head, and what it read too much is given first. The answer to the request
waits for what is sent first, so that both leave in one packet, but no longer than until somebody wants to
hear the peer. The stream owns the one lock for writing, so that frames we encoded ourselves can go out beside
the library's pongs and closes. A write that was cancelled may have left half a frame on the wire: from then
on the stream is broken and says so, instead of sending nonsense.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio
from trio.abc import HalfCloseableStream, Stream

from openclawd.net.tls import TlsStream
from openclawd.protocol.closes import TOO_BIG
from openclawd.protocol.websocket_frames import close_frame

# Twice what 25 MiB over the smallest packets are, or 4 MiB in fragments of 64 bytes. The library counts the
# bytes of the fragments that it keeps, and not the fragments, which may be empty.
MAX_PIECES: Final = 131_072
# For a peer that broke the protocol to take the close frame that says so.
LAST_WORDS_TIMEOUT_S: Final = 1.0
# RFC 6455 section 5.2: FIN and opcode 8; a close frame's payload begins with the code.
_CLOSE_OPCODE: Final = 0x88
_TOO_BIG_CODE: Final = TOO_BIG.code.to_bytes(2, "big")


async def close_at_once(stream: Stream) -> None:
    """As trio.aclose_forcefully, without a turn of the event loop where only a socket has to be closed."""
    if isinstance(stream, trio.SocketStream):
        stream.socket.close()
    else:
        await trio.aclose_forcefully(stream)


class UpgradedStream(Stream):
    """`transport` after an upgrade request that is owed `answer`, and was followed by `trailing`."""

    def __init__(self, transport: Stream, answer: bytes, trailing: bytes) -> None:
        self._transport = transport
        self._unanswered = True
        self._trailing = trailing
        self._write_lock = trio.Lock()
        self._unwritten = answer
        self._broken = False
        self.is_closed = False
        self.close_sent = False
        self._parted = False
        self._budget: int | None = None
        self._on_overflow: Callable[[], None] | None = None
        self._on_close: Callable[[], None] | None = None
        self._last_words: Callable[[], bytes | None] | None = None
        self._pieces: Callable[[], int] = int

    def accepted(
        self,
        *,
        budget_bytes: int,
        pieces: Callable[[], int],
        on_overflow: Callable[[], None],
        on_close: Callable[[], None],
        last_words: Callable[[], bytes | None],
    ) -> None:
        """From now on `budget_bytes` may be read at most.

        Past the budget `on_overflow` is called and nothing more is delivered; the stream breaks when the
        unfinished message is in more than MAX_PIECES `pieces`. `last_words` gives the frame that the peer is
        owed when the library closes without having sent one. `on_close` is called when a close frame is out.
        """
        self._budget = budget_bytes
        self._pieces = pieces
        self._on_overflow = on_overflow
        self._on_close = on_close
        self._last_words = last_words

    def lift_budget(self) -> None:
        """From now on the WebSocket's own message limit is the only one."""
        self._budget = None

    async def answer(self) -> None:
        """Write the answer to the upgrade, if nobody has yet. Raises as `send_all` does."""
        if self._unanswered:
            await self.send_all(b"")

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Bytes for the WebSocket parser; see the module for the order in which they come."""
        if self._unanswered:
            await self.answer()
        if self._pieces() > MAX_PIECES:
            if self._on_overflow is not None:
                self._on_overflow()
            raise trio.BrokenResourceError
        if self._trailing:
            data, self._trailing = self._trailing, b""
        else:
            try:
                data = bytes(await self._transport.receive_some(max_bytes))
            except trio.ClosedResourceError:
                if not self._parted:
                    raise
                await trio.sleep_forever()
        if self._budget is not None:
            self._budget -= len(data)
            if self._budget < 0:
                if self._on_overflow is not None:
                    self._on_overflow()
                await trio.sleep_forever()
        return data

    def write_now(self, data: bytes) -> bool:
        """Write without waiting; what does not fit is kept and goes out before whatever is sent next.

        False when something was kept: `send_all(b"")` sends it. Raises trio.BrokenResourceError.
        """
        written = 0
        if not self._write_lock.locked():
            if self._broken:
                raise trio.BrokenResourceError
            if self._unanswered:
                self._unanswered = False
                data, self._unwritten = self._unwritten + data, b""
            if not self._unwritten and isinstance(self._transport, TlsStream):
                # What does not fit it keeps itself.
                return self._transport.write_now(data)
            if not self._unwritten and isinstance(self._transport, trio.SocketStream):
                try:
                    # The socket does not block: what cannot be taken now is refused.
                    written = os.write(self._transport.socket.fileno(), data)
                except BlockingIOError:
                    pass
                except OSError as error:
                    self._broken = True
                    raise trio.BrokenResourceError from error
        self._unwritten += data[written:]
        return not self._unwritten

    def write_close(self, frame: bytes) -> bool:
        """Write a close frame as `write_now` does; see `finish_close`."""
        self.close_sent = True
        return self.write_now(frame)

    async def finish_close(self) -> None:
        """Send what was kept of a close frame, if there is one. Raises as `send_all` does."""
        if self.close_sent:
            await self.send_all(b"")  # TLS keeps its own

    def part(self) -> int | None:
        """Once a close frame is out: the connection's descriptor, whose owner closes it when the peer has had
        the time to answer. Here it is closed then, and who receives hears nothing any more, until he is
        cancelled. None where something is still to be sent.
        """
        transport = self._transport
        if not self.close_sent or self._broken or self._unwritten or self._write_lock.locked():
            return None
        if isinstance(transport, TlsStream):
            if not transport.end_now():
                return None
            transport = transport.transport
        if not isinstance(transport, trio.SocketStream):
            return None
        self._broken = self.is_closed = self._parted = True
        with suppress(OSError):
            transport.socket.shutdown(trio.socket.SHUT_WR)
        return transport.socket.detach()

    def write_last(self, frame: bytes) -> None:
        """Write a last frame as `write_now` does, but not in the middle of another; then nothing more."""
        if not self._write_lock.locked() and not self._unwritten:
            with suppress(trio.BrokenResourceError):
                self.write_now(frame)
        self._broken = True

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write in one piece among the other writers. Raises trio.BrokenResourceError once broken."""
        async with self._write_lock:
            if self._broken:
                raise trio.BrokenResourceError
            self._broken = True
            closes = data[:1] == bytes((_CLOSE_OPCODE,))
            if closes:
                self.close_sent = True
                if data[2:4] == _TOO_BIG_CODE:
                    # The library would explain itself in the reason; stock leaves it empty.
                    data = close_frame(TOO_BIG)
            if self._unwritten:
                data, self._unwritten = self._unwritten + bytes(data), b""
            await self._transport.send_all(data)
            self._broken = self._unanswered = False
            if closes and self._on_close is not None:
                self._on_close()

    async def wait_send_all_might_not_block(self) -> None:
        """As the transport's."""
        await self._transport.wait_send_all_might_not_block()

    async def discard_until_eof(self) -> None:
        """End our direction and read on without looking, until the peer ends its own.

        Closing a socket with unread bytes resets the connection, which would take our last frame with it.
        """
        if isinstance(self._transport, HalfCloseableStream):
            await self._transport.send_eof()
        while await self._transport.receive_some(65536):
            pass

    async def aclose(self) -> None:
        """Close the transport, after the frame that the peer is still owed."""
        if self.is_closed:
            return  # each who may have to close it does
        words = self._last_words() if self._last_words is not None else None
        try:
            if words is not None and not self._broken:
                with trio.move_on_after(LAST_WORDS_TIMEOUT_S, shield=True):
                    await self.send_all(words)
                    await self.discard_until_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
            pass
        finally:
            self._broken = self.is_closed = True
            await close_at_once(self._transport)
