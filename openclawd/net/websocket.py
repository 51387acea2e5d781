"""A Wire (gateway/wire.py) on trio-websocket.

The library's measured pitfalls are fenced here: it never closes the stream by itself after a reset or a
protocol error, waits for ever on a mute peer, and counts characters where limits are in bytes.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final, cast

import trio
from trio_websocket import CloseReason, ConnectionClosed, WebSocketConnection
from wsproto import WSConnection
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection
from wsproto.utilities import LocalProtocolError

from openclawd.gateway.wire import CLOSE_PATIENCE_S, WireClosed, WireOverflow
from openclawd.net.slots import Reached, Stage, unwatched
from openclawd.net.stream import UpgradedStream
from openclawd.protocol.closes import TOO_BIG, Close
from openclawd.protocol.limits import MAX_PAYLOAD, PRE_ADMISSION_MAX
from openclawd.protocol.websocket_frames import close_frame

# Large messages arrive in pieces of this size; small reads make a 25 MiB message five times slower.
RECEIVE_BUFFER: Final = 64 * 1024
# Messages that may wait for the reader, so that pings are answered while a message is being handed over.
MESSAGE_QUEUE: Final = 16
# RFC 6455 section 7.4.1: protocol error, unacceptable data, inconsistent data.
_BREACHES: Final = frozenset((1002, 1003, 1007))
# Before admission: one message of PRE_ADMISSION_MAX with its framing, and some control frames.
PRE_ADMISSION_BUDGET: Final = PRE_ADMISSION_MAX + 1024


class TrioWebSocketWire:
    """One accepted WebSocket."""

    def __init__(
        self,
        connection: WebSocketConnection,
        machine: WSConnection,
        stream: UpgradedStream,
        reached: Reached,
    ) -> None:
        self._connection = connection
        self._machine = machine
        self._stream = stream
        self._reached = reached
        self._admitted = False
        self._limit = PRE_ADMISSION_MAX
        self._overflowed = False
        self._receiving: trio.CancelScope | None = None
        self._closing = False
        self._broke_protocol = False
        self._kept: str | bytes | None = None
        stream.accepted(
            budget_bytes=PRE_ADMISSION_BUDGET,
            pieces=self._pieces,
            on_overflow=self._overflow,
            on_close=lambda: reached(Stage.LEAVING),
            last_words=self._owed_frame,
        )

    async def receive(self) -> str | bytes:
        """The next whole message. Raises WireClosed or WireOverflow."""
        if self._overflowed:
            raise WireOverflow
        if self._kept is not None:
            kept, self._kept = self._kept, None
            return kept
        message: str | bytes = b""
        try:
            if self._admitted:
                message = await self._connection.get_message()
            else:
                # Only the budget of a stranger can run out in the middle of a message.
                with trio.CancelScope() as self._receiving:
                    message = await self._connection.get_message()
                self._receiving = None
                self._reached(Stage.DECIDING)
        except ConnectionClosed as closed:
            if self._overflowed:
                raise WireOverflow from None
            raise self._ended(closed.reason) from None
        size = len(message)
        # A character takes four bytes at most: only a message near the limit needs the exact count.
        if isinstance(message, str) and size * 4 > self._limit:
            size = len(message.encode("utf-8", "surrogatepass"))
        if self._overflowed or size > self._limit:
            self._overflowed = True
            raise WireOverflow
        return message

    async def watch(self) -> None:
        """Never returns; raises as `receive` does. One message that comes meanwhile is kept for it."""
        if self._kept is None:
            self._kept = await self.receive()
        await trio.sleep_forever()

    def _ended(self, reason: CloseReason | None) -> WireClosed:
        code, words = (reason.code, reason.reason or "") if reason is not None else (1006, "")
        # A peer that breaks the protocol did not close; a close frame of its own was answered with one.
        if code in _BREACHES and not self._stream.close_sent:
            self._broke_protocol = True
        return WireClosed(code, words, by_us=self._broke_protocol)

    def _pieces(self) -> int:
        return len(self._connection._message_parts)  # noqa: SLF001  nowhere else is it said

    def _owed_frame(self) -> bytes | None:
        """What a peer that broke RFC 6455 or sent too much is owed, where the library says nothing."""
        closed = self._connection.closed
        if self._overflowed and not self._stream.close_sent:
            return close_frame(TOO_BIG)
        if closed is None or closed.code not in _BREACHES or self._stream.close_sent:
            return None
        self._broke_protocol = True
        return close_frame(Close(closed.code, closed.reason or ""))

    def _overflow(self) -> None:
        self._overflowed = True
        if self._receiving is not None:
            self._receiving.cancel()

    def send_now(self, frames: bytes) -> bool:
        """Write finished frames as far as that can be done at once. Raises WireClosed."""
        if self._is_closing:
            raise WireClosed(1006, "already closed")
        try:
            return self._stream.write_now(frames)
        except trio.BrokenResourceError:
            raise WireClosed(1006, "connection lost") from None

    async def send(self, frames: bytes) -> None:
        """Write finished frames. Raises WireClosed."""
        if self._is_closing:
            raise WireClosed(1006, "already closed")
        try:
            await self._stream.send_all(frames)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise WireClosed(1006, "connection lost") from None

    @property
    def _is_closing(self) -> bool:
        return self._closing or self._stream.close_sent or self._connection.closed is not None

    def admitted(self) -> None:
        """Lift the receive limit to a client's."""
        self._admitted = True
        self._limit = MAX_PAYLOAD
        self._stream.lift_budget()

    def dismiss(self, close: Close) -> None:
        """Say why the transport is about to be closed, if that can be done at once."""
        if not self._stream.close_sent:
            self._stream.write_last(close_frame(close))

    def close_now(self, close: Close) -> bool:
        """Say why, as far as that can be done at once, and leave the answer to who receives."""
        if self._overflowed or self._is_closing:
            return False
        frame = self._machine.send(CloseConnection(code=close.code, reason=close.reason or None))
        try:
            return self._stream.write_close(frame)
        except trio.BrokenResourceError:
            return False

    def part(self) -> int | None:
        """Leave the answer to who gets the connection's descriptor."""
        descriptor = self._stream.part()
        self._closing = self._closing or descriptor is not None
        return descriptor

    async def close(self, close: Close, patience_s: float = CLOSE_PATIENCE_S) -> None:
        """Say why, wait a little for the answer, then close the transport for certain."""
        if self._closing:
            return
        self._closing = True
        try:
            with trio.move_on_after(patience_s, shield=True):
                too_big = self._connection.closed is not None and self._connection.closed.code == 1009
                await self._stream.finish_close()
                if too_big or not self._overflowed:
                    await self._connection.aclose(close.code, close.reason or None)
                elif not self._stream.close_sent:
                    # The reader has stopped on purpose, so the library's closing handshake cannot end.
                    await self._stream.send_all(close_frame(close))
                if self._overflowed or too_big:
                    await self._stream.discard_until_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
            pass
        finally:
            await trio.aclose_forcefully(self._stream)


@asynccontextmanager
async def accept_websocket(
    stream: UpgradedStream, *, reached: Reached = unwatched
) -> AsyncGenerator[TrioWebSocketWire, None]:
    """Answer 101, with whatever is sent first, and give the Wire; at the end the transport is closed,
    whatever happened.

    `reached` is told when the first message is here, and when a close frame is out.
    """
    # As much of the library's protocol machine as comes behind its opening handshake, which is done already.
    opened = cast("WSConnection", Connection(ConnectionType.SERVER))
    connection = WebSocketConnection(
        stream,
        opened,
        message_queue_size=MESSAGE_QUEUE,
        max_message_size=MAX_PAYLOAD,
        receive_buffer_size=RECEIVE_BUFFER,
    )
    try:
        async with trio.open_nursery(strict_exception_groups=True) as reader_nursery:
            reader_nursery.start_soon(connection._reader_task)  # noqa: SLF001  what `wrap_server_stream` does
            yield TrioWebSocketWire(connection, opened, stream, reached)
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await stream.answer()
            reader_nursery.cancel_scope.cancel()
    except* LocalProtocolError:
        # The library's reader answers a ping that crosses our close, which it must not, and fails on it. The
        # close frame is out; only the peer's answer to it is not waited for any more.
        if not stream.close_sent:
            raise
    finally:
        if not stream.is_closed:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)
