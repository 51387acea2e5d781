"""A client that costs next to nothing: a socket, frames by hand, one loop for all of them.

Masks are all zeros (RFC 6455 section 5.3 asks for unpredictable ones; a gateway unmasks these at the same
price), so that a payload stands in its frame as it is.
"""

import resource
import selectors
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Final

import attrs
import orjson

from tests.support.device import Device

PATIENCE_S: Final = 30.0
RECEIVE_BYTES: Final = 256 * 1024
SCOPES: Final = tuple(f"operator.{scope}" for scope in ("admin", "read", "write", "approvals", "pairing"))
# A program on this machine: stays an operator without a device, and is listed in the presence.
BACKEND: Final = {"id": "gateway-client", "version": "1.0.0", "platform": "linux", "mode": "backend"}
# An app, which is nothing without its device.
APP: Final = {"id": "openclaw-macos", "version": "1.0.0", "platform": "macos", "mode": "ui"}
_DESCRIPTORS_BESIDE: Final = 64
_TEXT: Final = 0x81
_GOODBYE: Final = 0x88
_CLOSE: Final = b"\x88\x82\x00\x00\x00\x00\x03\xe8"
_KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="


class ClientFailed(Exception):
    """The gateway refused, or broke off."""


@attrs.frozen(eq=False)
class Identity:
    """What a client presents: the shared token, or its device's own."""

    client: Mapping[str, str]
    token: str | None = None
    device: Device | None = None
    device_token: str | None = None

    def connect(self, nonce: str) -> dict[str, Any]:
        """The params of `connect`, signed over `nonce` where there is a device."""
        auth = {"deviceToken": self.device_token} if self.device_token else {"token": self.token}
        params: dict[str, Any] = {
            "minProtocol": 4,
            "maxProtocol": 4,
            "client": self.client,
            "role": "operator",
            "scopes": SCOPES,
            "caps": [],
            "auth": auth,
        }
        if self.device is not None:
            params["device"] = self.device.sign(
                nonce=nonce,
                client=self.client,
                role="operator",
                scopes=SCOPES,
                token=self.device_token or self.token or "",
                signed_at_ms=time.time_ns() // 1_000_000,
            )
        return params


class Client:
    """One WebSocket. Raises ConnectionRefusedError when nobody listens."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._upgraded = False
        self.goodbye: bytes | None = None
        """What the gateway's close frame says, once it is here."""

        self._socket.sendall(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {_KEY}\r\n\r\n".encode()
        )

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, frames: bytes) -> None:
        """Finished frames (see `frame`)."""
        self._socket.sendall(frames)

    def receive(self) -> list[bytes]:
        """Wait for bytes; the payloads of the messages that are whole now. Raises ClientFailed at the end."""
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except OSError as error:
            raise ClientFailed(f"the gateway broke off: {error}") from error
        if not data:
            raise ClientFailed(f"the gateway closed: {self.goodbye or bytes(self._received[-200:])!r}")
        self._received += data
        if not self._upgraded:
            head, separator, rest = self._received.partition(b"\r\n\r\n")
            if not separator:
                return []
            if not head.startswith(b"HTTP/1.1 101"):
                raise ClientFailed(f"no WebSocket: {bytes(head)!r}")
            self._received = rest
            self._upgraded = True
        return self._whole_messages()

    def _whole_messages(self) -> list[bytes]:
        received = self._received
        messages: list[bytes] = []
        start = 0
        while len(received) >= start + 2:
            size, payload = received[start + 1], start + 2
            if size == 126:
                size, payload = int.from_bytes(received[start + 2 : start + 4], "big"), start + 4
            elif size == 127:
                size, payload = int.from_bytes(received[start + 2 : start + 10], "big"), start + 10
            end = payload + size
            if end > len(received):
                break
            if received[start] == _TEXT:
                messages.append(bytes(received[payload:end]))
            elif received[start] == _GOODBYE:
                self.goodbye = bytes(received[payload + 2 : end])
            start = end
        del received[:start]
        return messages

    def answer_goodbye(self) -> None:
        """As RFC 6455 section 5.5.1 asks, once it is here; the gateway ends the connection then."""
        if self.goodbye is not None:
            self._send_close()

    def _send_close(self) -> None:
        with suppress(OSError):
            self._socket.sendall(_CLOSE)

    def has_ended(self) -> bool:
        """Read on behind the goodbye; whether that was the end."""
        try:
            return not self._socket.recv(RECEIVE_BYTES)
        except OSError:
            return True

    def close(self) -> None:
        """As a well-behaved client does: a close frame, then to the end of the stream."""
        self._send_close()
        while not self.has_ended():
            pass
        self.drop()

    def drop(self) -> None:
        """Close the socket."""
        self._socket.close()


def frame(value: object) -> bytes:
    """A request as one WebSocket frame."""
    payload = orjson.dumps(value)
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else bytes((0x80 | 126,)) + size.to_bytes(2, "big")
    return bytes((_TEXT,)) + length + bytes(4) + payload


def request(request_id: str, method: str, params: Mapping[str, object]) -> bytes:
    """A `req` frame."""
    return frame({"type": "req", "id": request_id, "method": method, "params": params})


@attrs.frozen
class Welcome:
    """An admitted client, who it is, and its hello-ok."""

    client: Client
    identity: Identity
    hello: dict[str, Any]


def connections(port: int, count: int) -> Iterator[Client]:
    """`count` of them, each opened when it is asked for."""
    for _ in range(count):
        yield Client(port)


def admit(clients: Iterable[Client], identities: Sequence[Identity], *, at_once: int = 16) -> list[Welcome]:
    """Take each client through its handshake, `at_once` of them at a time. Raises ClientFailed."""
    waiting = zip(clients, identities, strict=False)
    welcomes: list[Welcome] = []
    with selectors.DefaultSelector() as selector:
        for newcomer, identity in islice(waiting, at_once):
            selector.register(newcomer, selectors.EVENT_READ, identity)
        while selector.get_map():
            for key, _ in _ready(selector):
                client = key.fileobj
                assert isinstance(client, Client)
                welcome = advance(client, key.data)
                if welcome is None:
                    continue
                welcomes.append(welcome)
                selector.unregister(client)
                for newcomer, identity in islice(waiting, 1):
                    selector.register(newcomer, selectors.EVENT_READ, identity)
    return welcomes


def advance(client: Client, identity: Identity) -> Welcome | None:
    """Take what is there to be read one step on; the welcome, if that was it. Raises ClientFailed."""
    for message in client.receive():
        value = orjson.loads(message)
        if value.get("event") == "connect.challenge":
            params = identity.connect(value["payload"]["nonce"])
            client.send(request("connect", "connect", params))
        elif value.get("id") == "connect":
            if not value["ok"]:
                raise ClientFailed(f"not admitted: {value['error']}")
            return Welcome(client, identity, value["payload"])
    return None


def _ready(selector: selectors.BaseSelector) -> list[tuple[selectors.SelectorKey, int]]:
    ready = selector.select(PATIENCE_S)
    if not ready:
        raise ClientFailed(f"the gateway said nothing for {PATIENCE_S:.0f} s")
    return ready


def readable(clients: Iterable[Client]) -> selectors.BaseSelector:
    """A selector over all of them; the key's `fileobj` is the client."""
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client, selectors.EVENT_READ)
    return selector


def make_room(clients: int) -> None:
    """For their descriptors. Raises ClientFailed."""
    needed = clients + _DESCRIPTORS_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ClientFailed(f"{clients} clients need {needed} descriptors; `ulimit -Hn` is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
