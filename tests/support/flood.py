"""Many connections that want in, each in one write: the upgrade, and the request right behind it."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import trio

from tests.support.raw_websocket import CLOSE, FIN, KEY, client_frame, close_of

PATIENCE_S: Final = 30.0
AT_ONCE: Final = 48
CLIENT: Final = {"id": "gateway-client", "version": "1.0.0", "platform": "linux", "mode": "backend"}
Headers = Sequence[tuple[str, str]]


@attrs.frozen
class Try:
    """One of them: what it presents, what its upgrade request says, and from which address it comes. `text`
    takes the place of the request.
    """

    auth: Mapping[str, str] = attrs.field(factory=dict)
    headers: Headers = ()
    address: str | None = None
    text: bytes | None = None
    change: dict[str, Any] = attrs.field(factory=dict)

    def frame(self) -> bytes:
        if self.text is not None:
            return client_frame(self.text)
        params: dict[str, Any] = {
            "minProtocol": 4,
            "maxProtocol": 4,
            "client": CLIENT,
            "role": "operator",
            "scopes": ["operator.read"],
            "caps": [],
        }
        if self.auth:
            params["auth"] = dict(self.auth)
        request = {"type": "req", "id": "1", "method": "connect", "params": params | self.change}
        return client_frame(json.dumps(request).encode())


async def attempt(port: int, tried: Try) -> str:
    """How it ended: `admitted`, the code of the refusal (`AUTH_TOKEN_MISMATCH`), or the close's reason."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in tried.headers)
    head = (
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{lines}\r\n"
    )
    received = b""
    with trio.fail_after(PATIENCE_S):
        stream = await trio.open_tcp_stream("127.0.0.1", port, local_address=tried.address)
        async with stream:
            await stream.send_all(head.encode() + tried.frame())
            try:
                while data := await stream.receive_some(65536):
                    received += data
                    if b'"hello-ok"' in received:
                        return "admitted"
                    if close_of(received) is not None:
                        break
            except trio.BrokenResourceError:
                pass
    return _outcome(received)


async def flood(port: int, tries: Iterable[Try], *, at_once: int = AT_ONCE) -> Counter[str]:
    """Make them all, `at_once` at a time; how they ended."""
    outcomes: Counter[str] = Counter()
    waiting = iter(tries)
    async with trio.open_nursery() as nursery:
        for _ in range(at_once):
            nursery.start_soon(_work, port, waiting, outcomes)
    return outcomes


async def _work(port: int, waiting: Iterator[Try], outcomes: Counter[str]) -> None:
    for tried in waiting:
        outcomes[await attempt(port, tried)] += 1


def _outcome(received: bytes) -> str:
    start = received.find(b'{"type":"res"')
    if start < 0:
        # The reason of the close frame, behind its code (RFC 6455 section 5.5.1).
        return received.rpartition(bytes((FIN | CLOSE,)))[2][3:].decode("utf-8", "replace")
    response, _ = json.JSONDecoder().raw_decode(received[start:].decode("utf-8", "replace"))
    error = response["error"]
    return str(error.get("details", {}).get("code") or error["message"])


async def bearers(
    port: int, credentials: Iterable[str], *, headers: Headers = (), at_once: int = 8
) -> Counter[int]:
    """Ask for something that is not for everybody, once for each, over `at_once` connections; the statuses of
    the answers.
    """
    statuses: Counter[int] = Counter()
    waiting = iter(credentials)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)

    async def ask() -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            for credential in waiting:
                head = (
                    f"GET /control-ui-config.json HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                    f"Authorization: Bearer {credential}\r\n{lines}\r\n"
                )
                with trio.fail_after(PATIENCE_S):
                    await stream.send_all(head.encode())
                    statuses[await _status(stream)] += 1

    async with trio.open_nursery() as nursery:
        for _ in range(at_once):
            nursery.start_soon(ask)
    return statuses


async def _status(stream: trio.SocketStream) -> int:
    """Read one answer to its end."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += await _some(stream)
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("ascii").lower().split("\r\n")
    (length,) = (int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))
    while len(body) < length:
        body += await _some(stream)
    return int(lines[0].split()[1])


async def _some(stream: trio.SocketStream) -> bytes:
    data = await stream.receive_some(65536)
    if not data:
        raise EOFError("the gateway closed the connection")
    return data
