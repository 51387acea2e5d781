"""TLS over an accepted connection: the encrypted stream.

trio.SSLStream would do but for one thing: it cannot write without waiting, and a burst of events to a
thousand clients would then cost a task each (36 µs a client, measured; here 3). So this stream drives
`ssl.SSLObject` itself. It stays simple because of one rule: whatever OpenSSL wants sent is taken from its
outgoing side under one lock, or when nobody holds it, and in order, whoever caused it.
"""

import os
import ssl
from contextlib import suppress
from typing import Final

import trio
from trio.abc import HalfCloseableStream

# OpenSSL's buffers grow with what they are given at once and never shrink again: a large message would cost
# its client as much memory for ever. A record holds at most the first (RFC 8446 section 5.1).
RECEIVE_BYTES: Final = 16 * 1024
ENCRYPT_BYTES: Final = 4 * 1024


def server_context() -> ssl.SSLContext:
    """What any certificate is served with: TLS 1.2 or later, HTTP/1.1, no renegotiation, no compression."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # The second: HTTP and WebSocket say themselves whether something is complete.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_IGNORE_UNEXPECTED_EOF
    # Of no use beyond a restart, where they would save the most.
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    return context


class TlsStream(HalfCloseableStream):
    """The server's side of TLS over `transport`. One task may receive while any number send.

    A write that was cancelled or failed breaks the stream for writing. After our own `send_eof`, what comes
    is not decrypted any more, as it is only read to see the end.
    """

    def __init__(self, transport: trio.SocketStream, context: ssl.SSLContext) -> None:
        self.transport = transport
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._sending = trio.Lock()
        self._unsent = b""
        self._broken = False
        self._peer_ended = False
        self._ended = False

    async def do_handshake(self) -> None:
        """Raises trio.BrokenResourceError, caused by the ssl.SSLError where TLS itself failed."""
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._send_due()
                await self._fetch()
                if self._incoming.eof:
                    raise trio.BrokenResourceError from None
            except ssl.SSLError as error:
                await self._send_due()  # the alert that says why
                self._broken = True
                raise trio.BrokenResourceError from error
        await self._send_due()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What the peer sent; nothing at its end, be it a proper one (close_notify) or not."""
        limit = RECEIVE_BYTES if max_bytes is None else max_bytes
        if self._ended:
            return bytes(await self.transport.receive_some(limit))
        waited = False
        while True:
            data = self._decrypted(limit)
            if self._outgoing.pending:
                # TLS itself answers: a new key, an alert. Waiting bounds what a peer can make us say.
                await self._send_due()
                waited = True
            if data or self._peer_ended:
                break
            await self._fetch()
            waited = True
        if not waited:
            await trio.lowlevel.checkpoint()
        return data

    def write_now(self, data: bytes) -> bool:
        """Write without waiting; what the network does not take is kept and goes out before anything else.

        False when something was kept: `send_all(b"")` sends it. Raises trio.BrokenResourceError.
        """
        self._encrypt(data)
        if self._sending.locked():
            return False
        due = self._due()
        written = 0
        try:
            # The socket does not block: what cannot be taken now is refused.
            written = os.write(self.transport.socket.fileno(), due)
        except BlockingIOError:
            pass
        except OSError as error:
            self._broken = True
            raise trio.BrokenResourceError from error
        self._unsent = due[written:]
        return not self._unsent

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data` behind whatever is still to be sent."""
        self._encrypt(data)
        await self._send_due()

    async def wait_send_all_might_not_block(self) -> None:
        """As the transport's."""
        await self.transport.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Say in TLS and in TCP that nothing more comes."""
        self._say_goodbye()
        await self._send_due()
        self._ended = True
        await self.transport.send_eof()

    def end_now(self) -> bool:
        """Say in TLS that nothing more comes, without waiting; then nothing may be sent any more. False where
        something is still to be sent.
        """
        if self._broken or self._ended or self._unsent or self._sending.locked():
            return False
        self._say_goodbye()
        self._broken = True
        with suppress(OSError):
            os.write(self.transport.socket.fileno(), self._outgoing.read())
        return True

    async def aclose(self) -> None:
        """Close at once; a goodbye goes along where that costs no waiting."""
        self.end_now()
        self._broken = True
        await self.transport.aclose()

    # --- between OpenSSL and the network

    def _decrypted(self, limit: int) -> bytes:
        """What there is, of several records together; nothing when more is needed, or at the end."""
        pieces: list[bytes] = []
        while limit > 0:
            try:
                piece = self._tls.read(limit)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError:
                piece = b""
            if not piece:
                self._peer_ended = True
                break
            pieces.append(piece)
            limit -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _fetch(self) -> None:
        data = await self.transport.receive_some(RECEIVE_BYTES)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _encrypt(self, data: bytes | bytearray | memoryview) -> None:
        if self._broken:
            raise trio.BrokenResourceError
        rest = memoryview(data)
        due = [self._unsent, self._outgoing.read()]
        try:
            while rest:
                rest = rest[self._tls.write(rest[:ENCRYPT_BYTES]) :]
                due.append(self._outgoing.read())
        except ssl.SSLError as error:
            self._broken = True
            raise trio.BrokenResourceError from error
        self._unsent = b"".join(due)

    def _due(self) -> bytes:
        """Take what is to be sent next: who holds the lock, or who sends it without waiting for anything."""
        due, self._unsent = self._unsent + self._outgoing.read(), b""
        return due

    async def _send_due(self) -> None:
        async with self._sending:
            if self._broken:
                raise trio.BrokenResourceError
            try:
                await self.transport.send_all(self._due())
            except BaseException:
                # Nobody knows how much of it is out.
                self._broken = True
                raise

    def _say_goodbye(self) -> None:
        with suppress(ssl.SSLError):
            self._tls.unwrap()  # writes ours, then asks for the peer's, which nobody waits for
