"""An admitted client: one reader, one writer, a task for each request that waits.

What there is to say is written in the loop's next turn, everything that waits in one go, so that a burst of
events costs a few system calls. Only when the network does not take it at once, a writer becomes a task, for
as long as there is something to write: it is the only one who may find the peer stuck, and the reader never
waits for it.
"""

import logging
import math
from collections.abc import Callable, Coroutine
from typing import Any, Final

import attrs
import trio

from openclawd.events.outbox import Outbox
from openclawd.gateway.flusher import Flusher
from openclawd.gateway.router import Router, Unauthorised
from openclawd.gateway.wire import CLOSE_PATIENCE_S, Wire, WireClosed, WireOverflow
from openclawd.protocol.closes import NORMAL, REPEATED_UNAUTHORIZED, SLOW_CONSUMER, TOO_BIG, Close
from openclawd.protocol.codec import NotJson
from openclawd.protocol.errors import RequestError, invalid_request, unavailable
from openclawd.protocol.frames import (
    MalformedFrame,
    Request,
    parse_request,
    response_error,
)
from openclawd.protocol.limits import MAX_BUFFERED, MAX_PAYLOAD
from openclawd.protocol.websocket_frames import text_frame

# A peer that takes nothing for this long while there is something to say is gone.
STALL_TIMEOUT_S: Final = 60.0
# A client whose outbox is full may finish taking the frames under way, so that it can be told why it has to
# go.
OVERFLOW_GRACE_S: Final = 5.0
# Who has to go may be behind by a lot; a credential that is void must not serve any longer than this.
GOODBYE_GRACE_S: Final = 5.0
# One write: large enough to coalesce a burst, small enough for the stall timeout to be fair to a slow link.
WRITE_BYTES: Final = 256 * 1024
# Requests of one client that may be under way at once.
MAX_REQUESTS: Final = 256
# What these may hold of memory together: an attachment or two, or any number of small ones.
MAX_REQUEST_BYTES: Final = 2 * MAX_PAYLOAD
BUSY_RETRY_MS: Final = 250
# Stock sends a client away at the eleventh call in a row of the other role's methods.
MAX_UNAUTHORISED: Final = 10

_log = logging.getLogger("openclawd.client")


@attrs.define(eq=False, repr=False)
class Client:
    """What the rest of the house knows of an admitted connection; a hub Member and a method Caller."""

    connection_id: str
    wire_generation: int
    role: str
    scopes: frozenset[str]
    credential: str
    """What let it in (Admitted.credential)."""

    caps: frozenset[str]
    device_id: str | None
    _wire: Wire
    _router: Router
    _flusher: Flusher
    _outbox: Outbox = attrs.Factory(lambda: Outbox(MAX_BUFFERED))
    _nursery: trio.Nursery | None = None
    _writing: bool = False
    _requests: int = 0
    _request_bytes: int = 0
    _unauthorised: int = 0
    _ending: Close | None = None
    _end_by: float = math.inf
    _close_patience_s: float = CLOSE_PATIENCE_S
    _sending: trio.CancelScope | None = None
    _parted: Callable[[int], None] | None = None

    @property
    def dropped_events(self) -> int:
        """Events that were skipped because the client did not read."""
        return self._outbox.dropped

    @property
    def buffered_bytes(self) -> int:
        """What waits for the client, or is on its way to the network."""
        return self._outbox.buffered_bytes

    @property
    def is_idle(self) -> bool:
        """Whether none of its requests is under way."""
        return not self._requests

    def greet(self, hello: bytes) -> None:
        """Put the answer to `connect` into the outbox, before anything else can be."""
        self._answer(hello)

    async def run(self) -> Close:
        """Serve until the peer leaves or has to go; returns how it ended."""
        async with trio.open_nursery(strict_exception_groups=True) as client_nursery:
            self._nursery = client_nursery
            self._wake_writer()
            try:
                await self._read()
            finally:
                # Who offers from here on must not find a nursery that takes nobody in any more.
                self._nursery = None
            client_nursery.cancel_scope.cancel()
        return self._ending or NORMAL

    def offer(self, frame: bytes, *, drop_if_slow: bool) -> None:
        """Take an event's frame (see events.hub.Member); who has to go hears nothing new."""
        if self._ending is None:
            self._queue(frame, drop_if_slow=drop_if_slow)

    def end(
        self,
        close: Close,
        patience_s: float = CLOSE_PATIENCE_S,
        parted: Callable[[int], None] | None = None,
    ) -> None:
        """Send what waits, for as long as `GOODBYE_GRACE_S`, then close, and wait `patience_s` for an answer.
        Where nothing has to be waited for, `parted` gets the connection's descriptor instead, and `run` waits
        until it is cancelled. Returns at once.
        """
        if self._ending is None:
            self._ending = close
            self._close_patience_s = patience_s
            self._parted = parted
            self._end_by = trio.current_time() + GOODBYE_GRACE_S
            if self._sending is not None:
                self._sending.deadline = min(self._sending.deadline, self._end_by)
            self._wake_writer()

    def cut(self, close: Close) -> None:
        """End it now, whatever waits; it does not read, so that no word would reach it either."""
        self._ending = self._ending or close
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    def _answer(self, payload: bytes) -> None:
        self._queue(text_frame(payload), drop_if_slow=False)

    def _queue(self, frame: bytes, *, drop_if_slow: bool) -> None:
        self._outbox.put(frame, drop_if_slow=drop_if_slow)
        if self._outbox.overflowed and self._sending is not None:
            self._sending.deadline = min(self._sending.deadline, trio.current_time() + OVERFLOW_GRACE_S)
        self._wake_writer()

    def _wake_writer(self) -> None:
        if not self._writing and self._nursery is not None:
            self._writing = True
            self._flusher.soon(self._write_now)

    def _write_now(self) -> None:
        """Write what waits, and the goodbye; what the network does not take now needs a task."""
        self._writing = False
        if self._nursery is None:
            return  # the client has left
        try:
            while not self._outbox.overflowed and (data := self._outbox.take(WRITE_BYTES)):
                if not self._wire.send_now(data):
                    self._writing = True
                    break
                self._outbox.sent()
        except WireClosed:
            return  # the reader learns it, too
        if self._ending is not None and not self._outbox.buffered_bytes:
            self._writing = True  # nothing may follow a close frame
            if self._wire.close_now(self._ending):
                if self._parted is not None and (descriptor := self._wire.part()) is not None:
                    self._parted(descriptor)
                    return
                # The reader hears the answer, if there is one.
                self._nursery.cancel_scope.deadline = trio.current_time() + self._close_patience_s
                return
        if self._writing or self._outbox.overflowed or self._ending is not None:
            self._writing = True
            self._nursery.start_soon(self._write)

    async def _write(self) -> None:
        """Send everything that waits; then, if the client has to go, close."""
        data = b""  # the wire kept what could not be written at once
        try:
            while self._outbox.buffered_bytes and not self._outbox.overflowed:
                deadline = min(trio.current_time() + STALL_TIMEOUT_S, self._end_by)
                with trio.CancelScope(deadline=deadline) as self._sending:
                    await self._wire.send(data)
                if self._sending.cancelled_caught:
                    self._ending = self._ending or SLOW_CONSUMER
                    break
                self._outbox.sent()
                data = self._outbox.take(WRITE_BYTES)
                if not data:
                    break
        except WireClosed:
            return  # the reader learns it, too
        finally:
            self._writing = False
            self._sending = None
        if self._outbox.overflowed:
            self._ending = SLOW_CONSUMER
        if self._ending is not None:
            self._writing = True  # nothing may follow a close frame
            await self._wire.close(self._ending, self._close_patience_s)
            if self._nursery is not None:
                self._nursery.cancel_scope.cancel()

    async def _read(self) -> None:
        while True:
            try:
                message = await self._wire.receive()
            except WireClosed as closed:
                self._ending = self._ending or Close(closed.code, closed.reason)
                return
            except WireOverflow:
                self._ending = TOO_BIG
                await self._wire.close(TOO_BIG)
                return
            if self._ending is None:
                self._handle(message)

    def _handle(self, message: str | bytes) -> None:
        try:
            request = parse_request(message)
        except NotJson:
            _log.debug("not JSON, ignored", extra={"fields": {"conn": self.connection_id}})
            return
        except MalformedFrame as malformed:
            shape = invalid_request(f"invalid request frame: {malformed.problem}").shape
            self._answer(response_error(malformed.id, shape))
            return
        try:
            method = self._router.find(self, request.method)
        except RequestError as refused:
            self._refuse(request, refused)
            return
        self._unauthorised = 0
        if self._nursery is None:
            return  # the client has left
        size = len(message)
        if self._requests >= MAX_REQUESTS or self._request_bytes + size > MAX_REQUEST_BYTES:
            self._answer(response_error(request.id, self._busy().shape))
            return
        answer = self._router.start(self, request, method, self._answer)
        if isinstance(answer, bytes):
            self._answer(answer)
        else:
            self._requests += 1
            self._request_bytes += size
            self._nursery.start_soon(self._wait_for, answer, size)

    async def _wait_for(self, answer: Coroutine[Any, Any, bytes], size: int) -> None:
        try:
            self._answer(await answer)
        finally:
            self._requests -= 1
            self._request_bytes -= size

    def _busy(self) -> RequestError:
        return unavailable(
            f"{self._requests} requests of this connection are under way; retry when some have ended",
            retryable=True,
            retry_after_ms=BUSY_RETRY_MS,
        )

    def _refuse(self, request: Request, refused: RequestError) -> None:
        self._unauthorised = self._unauthorised + 1 if isinstance(refused, Unauthorised) else 0
        self._answer(response_error(request.id, refused.shape))
        if self._unauthorised > MAX_UNAUTHORISED:
            self.end(REPEATED_UNAUTHORIZED)
