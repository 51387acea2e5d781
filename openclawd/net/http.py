"""HTTP/1.1 on h11: heads, keep-alive, time-outs, and the door to the WebSocket.

One loop a connection. Whatever is not a well-formed request is answered once and the connection closed; who
is slow to say what he wants is cut off; the bodies of requests that we do not read are never waited for.
"""

import base64
import hashlib
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, unquote

import attrs
import h11
import orjson
import trio
from trio.abc import HalfCloseableStream, Stream

from openclawd.auth.hosts import DEFAULT_PORTS, split_host
from openclawd.net.slots import Reached, Stage, unwatched
from openclawd.net.stream import close_at_once

# From the first byte of a head to its end.
HEAD_TIMEOUT_S: Final = 10.0
# Between two requests on one connection.
KEEP_ALIVE_S: Final = 15.0
# For a peer to take our answer; a page's largest file at a few KiB a second.
SEND_TIMEOUT_S: Final = 60.0
# Closing a socket with unread bytes resets it, which can take our answer along; so the peer may close first.
LINGER_S: Final = 1.0
# Browsers send two or three KiB; more than this is garbage.
MAX_HEAD_BYTES: Final = 32 * 1024
RECEIVE_BYTES: Final = 16 * 1024
# With every answer, whatever it is. The first two are stock's; with the others, no page but ours may show it,
# or load it as a picture or a script.
ALWAYS: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
# RFC 6455 section 1.3.
_ACCEPT_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SWITCHING: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
)

_log = logging.getLogger("openclawd.http")


@attrs.frozen(eq=False, repr=False)
class Request:
    """A parsed head. `path` is percent-decoded; `headers` have lower-case names, repeated ones apart."""

    method: str
    target: str
    path: str
    query: dict[str, list[str]]
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str | None:
        """The first header called `name` (lower case)."""
        return next((value for key, value in self.headers if key == name), None)

    def header_list(self, name: str) -> tuple[str, ...]:
        """Every header called `name`, in order."""
        return tuple(value for key, value in self.headers if key == name)


@attrs.frozen(eq=False, repr=False)
class Response:
    """An answer. HEAD gets the same headers without `body`."""

    status: HTTPStatus
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


Turn = Callable[[], Awaitable[None]]
Respond = Callable[[Request], Awaitable[Response]]
# Takes the answer that the peer is owed, and what came behind its request; closes the stream itself.
Upgrade = Callable[[Stream, Request, bytes, bytes], Awaitable[None]]


def text(status: HTTPStatus, body: str, *headers: tuple[str, str]) -> Response:
    """A plain-text answer."""
    return Response(status, (("Content-Type", "text/plain; charset=utf-8"), *headers), body.encode())


def json(status: HTTPStatus, body: Mapping[str, object], *headers: tuple[str, str]) -> Response:
    """A JSON answer."""
    return Response(
        status, (("Content-Type", "application/json; charset=utf-8"), *headers), orjson.dumps(body)
    )


async def _at_once() -> None:
    """A turn that nobody else wants."""


async def serve_http(
    stream: Stream,
    respond: Respond,
    upgrade: Upgrade,
    *,
    reached: Reached = unwatched,
    turn: Turn = _at_once,
) -> None:
    """Answer requests on `stream` until either side has had enough, then close it.

    `reached` is told how far the connection has come; it begins in Stage.OPEN. Every request but the first
    waits for its `turn`. Raises nothing for what a peer
    may do; `respond` must not raise.
    """
    try:
        upgraded = await _serve_requests(stream, respond, reached, turn)
        if upgraded is not None:
            reached(Stage.UPGRADED)
            serving = upgrade(stream, *upgraded)
            # A client stays for days, and nobody needs his request head again.
            del upgraded
            await serving
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        await close_at_once(stream)


async def _serve_requests(
    stream: Stream, respond: Respond, reached: Reached, turn: Turn
) -> tuple[Request, bytes, bytes] | None:
    """Answer until the connection is used up; or what `upgrade` needs, when the peer wants a WebSocket."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    method = b""
    # The connection itself had to wait for its turn.
    next_turn: Turn = _at_once
    try:
        while True:
            head = await _next_head(stream, connection, reached, next_turn)
            next_turn = turn
            if head is None:
                return None
            method = head.method
            request = _parsed(head)
            if _wants_websocket(request):
                refusal = _bad_upgrade(request, head.http_version)
                if refusal is None:
                    return request, _switching(request), connection.trailing_data[0]
                reached(Stage.LEAVING)
                await _send(stream, connection, request.method, refusal)
                return None
            reached(Stage.ANSWERING)
            await _send(stream, connection, request.method, await respond(request))
            if not _reusable(connection):
                reached(Stage.LEAVING)
                await _linger(stream)
                return None
            reached(Stage.KEPT)
            connection.start_next_cycle()
            method = b""
    except h11.RemoteProtocolError as error:
        reached(Stage.LEAVING)
        await _refuse_garbage(stream, connection, method, error)
        return None


async def _next_head(
    stream: Stream, connection: h11.Connection, reached: Reached, turn: Turn
) -> h11.Request | None:
    """The next request, or None when the peer left or was too slow."""
    if not connection.trailing_data[0]:
        data = _at_hand(stream)
        if not data:
            with trio.move_on_after(KEEP_ALIVE_S):
                data = bytes(await stream.receive_some(RECEIVE_BYTES))
        if not data:
            return None
        connection.receive_data(data)
    reached(Stage.OPEN)
    await turn()
    event = connection.next_event()
    if event is h11.NEED_DATA:
        with trio.move_on_after(HEAD_TIMEOUT_S):
            while event is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some(RECEIVE_BYTES)))
                event = connection.next_event()
    if not isinstance(event, h11.Request):
        return None
    # Reads the end of a request without a body, so that a WebSocket's first bytes come out behind it.
    if not _has_body(event):
        connection.next_event()
    return event


def _at_hand(stream: Stream) -> bytes:
    """What a socket has here already; nothing where one has to wait, or to learn that it is broken."""
    if not isinstance(stream, trio.SocketStream):
        return b""
    try:
        # The socket does not block.
        return os.read(stream.socket.fileno(), RECEIVE_BYTES)
    except OSError:
        return b""


def _has_body(head: h11.Request) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in head.headers
    )


def _reusable(connection: h11.Connection) -> bool:
    return connection.our_state is h11.DONE and connection.their_state is h11.DONE


async def _send(stream: Stream, connection: h11.Connection, method: str, response: Response) -> None:
    headers = [("Date", formatdate(usegmt=True)), *ALWAYS, *response.headers]
    if response.status is not HTTPStatus.NOT_MODIFIED:
        headers.append(("Content-Length", str(len(response.body))))
    if connection.their_state is not h11.DONE:
        headers.append(("Connection", "close"))
    head = h11.Response(status_code=response.status, headers=headers, reason=response.status.phrase.encode())
    data = connection.send(head) or b""
    if method != "HEAD" and response.body:
        data += connection.send(h11.Data(data=response.body)) or b""
    data += connection.send(h11.EndOfMessage()) or b""
    with trio.move_on_after(SEND_TIMEOUT_S) as patience:
        await stream.send_all(data)
    if patience.cancelled_caught:
        raise trio.BrokenResourceError


async def _linger(stream: Stream) -> None:
    with trio.move_on_after(LINGER_S):
        if isinstance(stream, HalfCloseableStream):
            await stream.send_eof()
        while await stream.receive_some(RECEIVE_BYTES):
            pass


async def _refuse_garbage(
    stream: Stream, connection: h11.Connection, method: bytes, error: h11.RemoteProtocolError
) -> None:
    if connection.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
        return
    status = HTTPStatus(error.error_status_hint)
    _log.debug("not HTTP", extra={"fields": {"status": int(status), "reason": str(error)}})
    body = f"{status.phrase}\n".encode()
    head = h11.Response(
        status_code=status,
        headers=[
            ("Date", formatdate(usegmt=True)),
            *ALWAYS,
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ],
        reason=status.phrase.encode(),
    )
    data = connection.send(head) or b""
    if method != b"HEAD":
        data += connection.send(h11.Data(data=body)) or b""
    try:
        with trio.move_on_after(LINGER_S):
            await stream.send_all(data)
            await _linger(stream)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


def _parsed(head: h11.Request) -> Request:
    target = head.target.decode("latin-1")
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers)
    location = target
    if not target.startswith("/"):
        # As proxies are asked (RFC 9112 section 3.2.2): what it names counts, and no Host beside it.
        scheme, separator, rest = target.partition("://")
        authority, slash, below = rest.partition("/")
        if not separator or scheme.lower() not in DEFAULT_PORTS or split_host(authority) is None:
            raise h11.RemoteProtocolError("bad target")
        location = slash + below
        headers = (("host", authority), *(header for header in headers if header[0] != "host"))
    path, _, query = location.partition("?")
    return Request(
        method=head.method.decode("ascii"),
        target=target,
        path=unquote(path) or "/",
        query=parse_qs(query, keep_blank_values=True),
        headers=headers,
    )


def _wants_websocket(request: Request) -> bool:
    upgrade = request.header("upgrade")
    return upgrade is not None and "websocket" in {part.strip().lower() for part in upgrade.split(",")}


def _bad_upgrade(request: Request, http_version: bytes) -> Response | None:
    """RFC 6455 section 4.2.1, checked here because the library sees only what `_handshake` makes of it."""
    connection_tokens = {
        token.strip().lower() for value in request.header_list("connection") for token in value.split(",")
    }
    # Only of exactly 1.1 does h11 ask for a Host by itself.
    well_formed = http_version >= b"1.1" and request.header("host") is not None
    if not well_formed or request.method != "GET" or "upgrade" not in connection_tokens:
        return text(HTTPStatus.BAD_REQUEST, "Not a WebSocket handshake\n")
    if request.header_list("sec-websocket-version") != ("13",):
        return text(
            HTTPStatus.UPGRADE_REQUIRED, "WebSocket version 13 is required\n", ("Sec-WebSocket-Version", "13")
        )
    keys = request.header_list("sec-websocket-key")
    if len(keys) != 1 or len(keys[0]) != 24:
        return text(HTTPStatus.BAD_REQUEST, "Sec-WebSocket-Key is missing or wrong\n")
    return None


def _switching(request: Request) -> bytes:
    """The answer to a head that `_bad_upgrade` has let through (RFC 6455 section 4.2.2); no extensions."""
    key = request.header("sec-websocket-key") or ""
    accept = hashlib.sha1(f"{key}{_ACCEPT_GUID}".encode("latin-1"), usedforsecurity=False).digest()
    return b"%b%b\r\n\r\n" % (_SWITCHING, base64.b64encode(accept))
