"""A newcomer on a port that speaks TLS: the handshake, and a word for who speaks plain HTTP there."""

import re
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Final

import trio

from openclawd.net.tls import TlsStream

# From the connection to the end of the handshake: a phone on a bad link needs three round trips.
HANDSHAKE_TIMEOUT_S: Final = 10.0
# For a peer to take its last words; closing with unread bytes would take them along.
LAST_WORDS_TIMEOUT_S: Final = 1.0
# RFC 8446 section 5.1: the type of the record that a ClientHello comes in.
_HANDSHAKE: Final = 0x16
# The head of a browser fits, and the Host comes early.
_HEAD_BYTES: Final = 4096
_HTTP: Final = re.compile(rb"[A-Z]{3,10} \S+ HTTP/")
_HOST: Final = re.compile(rb"\r\nhost:[ \t]*([a-z0-9_.:\[\]-]{1,255})[ \t]*\r\n", re.IGNORECASE)

# Alerts by which a client says that it does not know our certificate (RFC 8446 section 6.2).
_DISTRUST: Final = ("UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN")

# Takes the fields of a refusal for the log.
Refused = Callable[[Mapping[str, object]], None]


async def accept_tls(
    transport: trio.SocketStream, context: ssl.SSLContext, refused: Refused, *, page_path: str = "/"
) -> TlsStream | None:
    """The encrypted stream of a newcomer; None when there is none, and the connection may be closed.

    Who speaks plain HTTP is told the https URL, with `page_path`. `refused` takes the fields for the log of
    what an operator may have to mend; garbage and whoever just leaves are nothing of that. Raises
    trio.BrokenResourceError and trio.ClosedResourceError when the peer goes.
    """
    stream = TlsStream(transport, context)
    with trio.move_on_after(HANDSHAKE_TIMEOUT_S):
        head = await _peek(transport, 1)
        if not head:
            return None
        if head[0] != _HANDSHAKE:
            await _answer_plain(transport, page_path, refused)
            return None
        try:
            await stream.do_handshake()
        except trio.BrokenResourceError as error:
            if not isinstance(error.__cause__, ssl.SSLError):
                raise
            refused({**_address(transport), **_fields(error.__cause__)})
            return None
        return stream
    return None


async def _peek(transport: trio.SocketStream, size: int) -> bytes:
    """The first bytes; they stay where they are."""
    try:
        return await transport.socket.recv(size, socket.MSG_PEEK)
    except OSError as error:
        raise trio.BrokenResourceError from error


async def _answer_plain(transport: trio.SocketStream, page_path: str, refused: Refused) -> None:
    head = await _peek(transport, _HEAD_BYTES)
    if _HTTP.match(head) is None:
        return
    asked = _HOST.search(head)
    authority = asked[1].decode() if asked is not None else _own_authority(transport)
    url = f"https://{authority}{page_path}"
    refused({"reason": "plain-http-on-tls", **_address(transport), "next": url})
    text = f"This port speaks TLS only. Use {url} (wss:// for WebSocket clients).\n"
    answer = (
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
        f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}"
    )
    with trio.move_on_after(LAST_WORDS_TIMEOUT_S):
        await transport.send_all(answer.encode())
        await transport.send_eof()
        while await transport.receive_some(_HEAD_BYTES):
            pass


def _own_authority(transport: trio.SocketStream) -> str:
    host, port, *_ = transport.socket.getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _address(transport: trio.SocketStream) -> dict[str, object]:
    try:
        return {"address": transport.socket.getpeername()[0]}
    except OSError:
        return {}  # gone meanwhile


def _fields(error: ssl.SSLError) -> dict[str, object]:
    said = error.reason or "not TLS"
    if any(word in said for word in _DISTRUST):
        hint = "give the client the fingerprint that is told by: openclawd gateway status"
        return {"reason": "tls-certificate-unknown", "said": said, "next": hint}
    return {"reason": "tls-handshake", "said": said}
