"""A plain client of the wire: what a script would do with a WebSocket library, and nothing more."""

import json
import math
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import attrs
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from tests.support.contract import Contract
from tests.support.device import Device

ALL_SCOPES = ("operator.admin", "operator.read", "operator.write", "operator.approvals", "operator.pairing")
PATIENCE_S = 15.0
# Largest message a client of ours takes: above the gateway's own limit.
MAX_MESSAGE_BYTES = 2**26
# Like a browser, a client of ours takes what comes, whether or not anybody looks at it yet.
QUEUED_MESSAGES = 100_000
# For the answer to our close frame.
CLOSE_PATIENCE_S = 2.0

Params = dict[str, Any]


@attrs.frozen
class Refusal:
    """A handshake that ended in a no: the `error` of the `res`, and the close behind it."""

    error: dict[str, Any]
    close: tuple[int, str]


class Refused(Exception):
    """The gateway said no: the error of the `res`."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error.get('code')}: {error.get('message')}")
        self.error = error


class WireClient:
    """One WebSocket to a gateway, admitted or not. Everything it receives is held against the contract."""

    contract: ClassVar[Contract | None] = None
    """The published one, where it could be fetched."""

    heard: ClassVar[list[str | bytes] | None] = None
    """Every message that clients receive is put here too, where there is a list."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self._socket = socket
        self._ids = 0
        self._asked: dict[str, str] = {}
        self.seen: deque[dict[str, Any]] = deque()
        self.hello: dict[str, Any] = {}
        self.protocol: int | None = None
        self.position: dict[str, Any] = {}
        """The `resume` of the next connection, for a client that asked for it (`resume={}`)."""

        self._epoch: str | None = None

    async def send(self, frame: object) -> None:
        """Send `frame` as JSON; a string or bytes go out as they are."""
        data = frame if isinstance(frame, str | bytes) else json.dumps(frame)
        with trio.fail_after(PATIENCE_S):
            await self._socket.send_message(data)

    async def next_frame(self, *, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """The next frame off the wire. Raises ConnectionClosed."""
        with trio.fail_after(patience_s):
            return self._checked(await self._socket.get_message())

    async def closed(self, *, patience_s: float = PATIENCE_S) -> tuple[int, str]:
        """Read to the end: the code and the reason of the close; what comes until then is kept in `seen`."""
        with trio.fail_after(patience_s):
            while True:
                try:
                    self.seen.append(self._checked(await self._socket.get_message()))
                except ConnectionClosed as closed:
                    reason = closed.reason
                    return (reason.code, reason.reason or "") if reason else (1006, "")

    async def event(self, name: str, *, patience_s: float = PATIENCE_S, **payload: object) -> dict[str, Any]:
        """The next event called `name` whose payload has these members; what else comes is kept in `seen`."""
        return await self.event_of((name,), patience_s=patience_s, **payload)

    async def event_of(
        self, names: Collection[str], *, patience_s: float = PATIENCE_S, **payload: object
    ) -> dict[str, Any]:
        """The same for an event with one of several names."""

        def matches(frame: Mapping[str, Any]) -> bool:
            return frame.get("event") in names and all(
                frame.get("payload", {}).get(key) == value for key, value in payload.items()
            )

        for frame in tuple(self.seen):
            if matches(frame):
                self.seen.remove(frame)
                return frame
        with trio.fail_after(patience_s):
            while not matches(frame := await self.next_frame(patience_s=patience_s)):
                self.seen.append(frame)
        return frame

    async def request(self, method: str, params: object = None) -> str:
        """Send a request without waiting; gives its id."""
        self._ids += 1
        frame: dict[str, Any] = {"type": "req", "id": f"r{self._ids}", "method": method}
        self._asked[frame["id"]] = method
        if params is not None:
            frame["params"] = params
        await self.send(frame)
        return str(frame["id"])

    async def response(self, request_id: str) -> Any:
        """The payload of the answer to `request_id`. Raises Refused."""
        for frame in tuple(self.seen):
            if frame.get("type") == "res" and frame["id"] == request_id:
                self.seen.remove(frame)
                return _payload(frame)
        with trio.fail_after(PATIENCE_S):
            while True:
                frame = await self.next_frame()
                if frame.get("type") == "res" and frame["id"] == request_id:
                    return _payload(frame)
                self.seen.append(frame)

    async def call(self, method: str, params: object = None) -> Any:
        """Send a request and wait for its answer. Raises Refused."""
        return await self.response(await self.request(method, params))

    def _checked(self, message: str | bytes) -> dict[str, Any]:
        if WireClient.heard is not None:
            WireClient.heard.append(message)
        frame: dict[str, Any] = json.loads(message)
        method = self._asked.get(frame.get("id", ""))
        if method == "connect" and frame.get("ok"):
            self.protocol = frame["payload"]["protocol"]
            if (resume := frame["payload"].get("resume")) is not None:
                self._resumed(resume)
        if self._epoch is not None and "seq" in frame:
            self.position = {"epoch": frame.get("epoch", self._epoch), "seq": frame["seq"]}
        if WireClient.contract is not None:
            if self.protocol == 4:
                WireClient.contract.check(frame, method)
            else:
                WireClient.contract.check_shape(frame)
        return frame

    def _resumed(self, resume: Mapping[str, Any]) -> None:
        self._epoch = resume["epoch"]
        # Else what was missed is still to come, and the socket may be lost before.
        if not resume["recovered"]:
            self.position = {"epoch": resume["epoch"], "seq": resume["seq"]}

    async def connect(
        self,
        *,
        token: str | None = None,
        device: Device | None = None,
        scopes: Sequence[str] = ALL_SCOPES,
        client: Mapping[str, Any] | None = None,
        auth: Mapping[str, Any] | None = None,
        protocol: tuple[int, int] = (3, 3),
        signature: str = "v3",
        role: str = "operator",
        change: Callable[[Params], object] | None = None,
        **more: object,
    ) -> dict[str, Any]:
        """Do the handshake: the hello-ok payload. Raises Refused.

        `more` goes into the finished params; `change` may do anything else to them.
        """
        challenge = await self.event("connect.challenge")
        params = connect_params(
            challenge["payload"]["nonce"],
            token=token,
            device=device,
            scopes=scopes,
            client=client,
            auth=auth,
            protocol=protocol,
            signature=signature,
            role=role,
        )
        params |= more
        if change is not None:
            change(params)
        self.position = dict(params.get("resume", {}))
        self.hello = await self.call("connect", params)
        return self.hello

    async def refusal(self, **handshake: Any) -> Refusal:
        """Do a handshake (see `connect`) that must be refused."""
        try:
            await self.connect(**handshake)
        except Refused as refused:
            return Refusal(refused.error, await self.closed())
        raise AssertionError("the handshake was accepted")


def connect_params(
    nonce: str,
    *,
    token: str | None = None,
    device: Device | None = None,
    scopes: Sequence[str] = ALL_SCOPES,
    client: Mapping[str, Any] | None = None,
    auth: Mapping[str, Any] | None = None,
    protocol: tuple[int, int] = (3, 3),
    signature: str = "v3",
    role: str = "operator",
) -> dict[str, Any]:
    """The params of a connect request."""
    client = client or {"id": "gateway-client", "version": "1.0.0", "platform": "linux", "mode": "backend"}
    credentials = dict(auth or ({"token": token} if token is not None else {}))
    params: dict[str, Any] = {
        "minProtocol": protocol[0],
        "maxProtocol": protocol[1],
        "client": dict(client),
        "role": role,
        "scopes": list(scopes),
        "caps": [],
    }
    if credentials:
        params["auth"] = credentials
    if device is not None:
        signed = credentials.get("token") or credentials.get("deviceToken") or ""
        params["device"] = device.sign(
            nonce=nonce,
            client=client,
            role=role,
            scopes=scopes,
            token=signed,
            signed_at_ms=math.floor(time.time() * 1000),
            version=signature,
        )
    return params


def _payload(frame: Mapping[str, Any]) -> Any:
    if not frame["ok"]:
        raise Refused(frame["error"])
    return frame.get("payload")


@asynccontextmanager
async def wire_client(
    port: int,
    *,
    host: str = "127.0.0.1",
    host_header: str | None = None,
    headers: Sequence[tuple[str, str]] = (),
    resource: str = "/",
    source: str | None = None,
    tls: ssl.SSLContext | None = None,
    patience_s: float = PATIENCE_S,
) -> AsyncGenerator[WireClient, None]:
    """An open WebSocket to `host:port`; the Host header is what the URL says, or `host_header`.

    `source` is the address it comes from; 127.0.0.0/8 has many.
    """
    raw = [(name.encode(), value.encode()) for name, value in headers]
    with trio.fail_after(PATIENCE_S):
        transport = await trio.open_tcp_stream(host, port, local_address=source)
    stream: trio.SocketStream | trio.SSLStream[trio.SocketStream] = transport
    if tls is not None:
        stream = trio.SSLStream(transport, tls, server_hostname="localhost", https_compatible=True)
    try:
        async with trio.open_nursery() as reader_nursery:
            with trio.fail_after(patience_s):
                socket = await wrap_client_stream(
                    reader_nursery,
                    stream,
                    host_header or f"{host}:{port}",
                    resource,
                    extra_headers=raw,
                    message_queue_size=QUEUED_MESSAGES,
                    max_message_size=MAX_MESSAGE_BYTES,
                )
            yield WireClient(socket)
            with trio.move_on_after(CLOSE_PATIENCE_S):
                await socket.aclose()
            reader_nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # What a test raises comes out as it went in.
        if len(group.exceptions) > 1:
            raise
        raise group.exceptions[0] from None
    finally:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(stream)
