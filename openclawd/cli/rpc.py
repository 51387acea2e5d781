"""The client side of the gateway's protocol, as much of it as a command needs: connect, ask, leave.

Guarantees: everything together takes at most the timeout it was given; whatever goes wrong is a `Failure`
that says which gateway, what it said, and what to do. Over the local socket it speaks the same WebSocket
protocol as over TCP. It sends no device identity unless the endpoint has one: a command of this user is the
user, over the socket by the user id and over TCP by the secret.
"""

import json
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeAlias, TypeVar
from uuid import uuid4

import attrs
import trio
import trio_websocket

from openclawd import __version__
from openclawd.cli.failure import Failure, NotRunning, reason_of
from openclawd.cli.target import Endpoint
from openclawd.daemon.local_socket import short_path

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)
_Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]

SCOPES: Final = (
    "operator.admin",
    "operator.read",
    "operator.write",
    "operator.approvals",
    "operator.pairing",
)
# Above the gateway's own limit for a payload (25 MiB), so that it is the gateway that decides.
_MAX_MESSAGE_BYTES: Final = 32 * 1024 * 1024
_READ_BYTES: Final = 64 * 1024
# A gateway that does not answer our closing must not hold the command up.
_CLOSE_TIMEOUT_S: Final = 1.0
# Events that nobody has asked for yet; commands ask for few, and most for none.
_UNHEARD: Final = 64

# What helps after a refusal, by the code in its details.
_CURES: Final[Mapping[str, str]] = {
    "AUTH_TOKEN_MISSING": "Give it with --token-file FILE. The link with the token: openclawd dashboard",
    "AUTH_TOKEN_MISMATCH": "Give the gateway's own with --token-file FILE."
    " The link with it, on its machine: openclawd dashboard",
    "AUTH_PASSWORD_MISSING": "Give it with --password-file FILE.",
    "AUTH_PASSWORD_MISMATCH": "Give the gateway's own with --password-file FILE.",
    "PAIRING_REQUIRED": "On the gateway's machine: openclawd devices approve",
    "DEVICE_IDENTITY_REQUIRED": "Give the gateway's token with --token-file FILE.",
    "AUTH_RATE_LIMITED": "Wait, or on the gateway's machine: openclawd gateway limits",
}


@attrs.define
class Rpc:
    """An admitted connection that asks one thing at a time."""

    hello: Mapping[str, Any]
    """The payload of hello-ok."""

    _socket: trio_websocket.WebSocketConnection
    _unheard: deque[Mapping[str, Any]] = attrs.field(factory=lambda: deque(maxlen=_UNHEARD), init=False)

    async def ask(self, method: str, params: object = None) -> Any:
        """The payload of the answer. Raises Failure when the gateway says no."""
        answer = await _exchange(self._socket, method, params, self._unheard)
        if answer.get("ok") is True:
            return answer.get("payload")
        raise _said_no(method, _error_of(answer))

    async def hear(self, event: str, **payload: object) -> Mapping[str, Any]:
        """The payload of the next event of that name with these members; others are not heard again."""
        while True:
            frame = self._unheard.popleft() if self._unheard else await _receive(self._socket)
            told = frame.get("payload")
            if frame.get("event") == event and isinstance(told, dict) and payload.items() <= told.items():
                return told


def converse(where: Iterable[Endpoint], conversation: Callable[[Rpc], Awaitable[T]], *, timeout_ms: int) -> T:
    """Run `conversation` with the first gateway that listens at one of the endpoints."""
    try:
        # An interrupt in the middle of trio's own socket calls would leave a warning on the user's terminal.
        return trio.run(
            _converse,
            where,
            conversation,
            timeout_ms / 1000,
            restrict_keyboard_interrupt_to_checkpoints=True,
        )
    except BaseExceptionGroup as group:
        # Ctrl-C may arrive wrapped by the nursery that it ended.
        if group.subgroup(KeyboardInterrupt) is not None:
            raise KeyboardInterrupt from None
        raise


async def _converse(
    where: Iterable[Endpoint], conversation: Callable[[Rpc], Awaitable[T]], limit_s: float
) -> T:
    tried = absent = cure = ""
    try:
        with trio.fail_after(limit_s):
            for endpoint in where:
                tried, absent, cure = endpoint.name, endpoint.absent, endpoint.cure
                try:
                    stream = await _open(endpoint)
                except (FileNotFoundError, ConnectionRefusedError):
                    continue
                async with stream:
                    return await _over(stream, endpoint, conversation)
    except trio.TooSlowError:
        raise Failure(
            f"The gateway at {tried} did not answer within {limit_s:g} s.",
            cure="What it is doing: openclawd logs -f",
        ) from None
    except OSError as error:
        raise Failure(
            f"{tried} cannot be reached: {reason_of(error)}", cure="Is it up? openclawd gateway status"
        ) from error
    raise NotRunning(absent, cure=cure)


async def _open(endpoint: Endpoint) -> _Stream:
    if endpoint.socket is not None:
        with short_path(endpoint.socket) as name:
            return await trio.open_unix_socket(name)
    try:
        transport = await trio.open_tcp_stream(endpoint.host, endpoint.port)
    except OSError as error:
        # trio wraps the failures of every address it tried.
        cause = error.__cause__
        only = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else cause
        if isinstance(only, OSError):
            raise only from error
        raise
    if not endpoint.tls:
        return transport
    from openclawd.cli.tls import encrypted

    return await encrypted(transport, endpoint)


async def _over(stream: _Stream, endpoint: Endpoint, conversation: Callable[[Rpc], Awaitable[T]]) -> T:
    results: list[T] = []
    failure: Failure | None = None
    try:
        async with trio.open_nursery() as nursery:
            socket = await trio_websocket.wrap_client_stream(
                nursery,
                stream,
                endpoint.authority,
                endpoint.resource,
                max_message_size=_MAX_MESSAGE_BYTES,
                receive_buffer_size=_READ_BYTES,
            )
            try:
                results.append(await conversation(Rpc(await _connect(socket, endpoint), socket)))
            finally:
                with trio.move_on_after(_CLOSE_TIMEOUT_S):
                    await socket.aclose()
            nursery.cancel_scope.cancel()
    except* Failure as group:
        failure = _only(group)
    except* trio_websocket.ConnectionRejected as group:
        failure = _rejected(endpoint, _only(group))
    except* trio_websocket.ConnectionClosed as group:
        failure = _closed(endpoint, _only(group).reason)
    if failure is not None:
        raise failure
    return results[0]


def _only(group: BaseExceptionGroup[E]) -> E:
    """The first failure in a group; the others are what it brought down."""
    first = group.exceptions[0]
    return _only(first) if isinstance(first, BaseExceptionGroup) else first


async def _connect(socket: trio_websocket.WebSocketConnection, endpoint: Endpoint) -> Mapping[str, Any]:
    """Wait for the challenge, introduce ourselves, return hello-ok."""
    challenge = await _receive(socket)
    if challenge.get("event") != "connect.challenge":
        raise Failure(f"{endpoint.name} answers, but not as a gateway: no connect.challenge came.")
    told = challenge.get("payload")
    nonce = str(told.get("nonce")) if isinstance(told, dict) else ""
    answer = await _exchange(socket, "connect", _connect_params(endpoint, nonce), deque(maxlen=0))
    if answer.get("ok") is True:
        hello = answer.get("payload")
        return hello if isinstance(hello, dict) else {}
    refusal = _error_of(answer)
    details = refusal.get("details")
    code = details.get("code") if isinstance(details, dict) else None
    raise Failure(
        f"The gateway at {endpoint.name} refused the connection: {refusal.get('message')}",
        cure=_CURES.get(str(code), "Its reasons are in its log: openclawd logs"),
        code=str(code or refusal.get("code")),
        details=details if isinstance(details, dict) else None,
    )


def _connect_params(endpoint: Endpoint, nonce: str) -> dict[str, object]:
    secrets = {"token": endpoint.token, "deviceToken": endpoint.device_token, "password": endpoint.password}
    auth = {name: secret.reveal() for name, secret in secrets.items() if secret}
    params: dict[str, object] = {
        "minProtocol": endpoint.protocol,
        "maxProtocol": endpoint.protocol,
        "client": {
            "id": "cli",
            "version": __version__,
            "platform": sys.platform,
            "mode": "cli",
            "instanceId": str(uuid4()),
        },
        "caps": [],
        "role": "operator",
        "scopes": list(SCOPES),
        **({"auth": auth} if auth else {}),
    }
    return params if endpoint.device is None else endpoint.device.signed(params, nonce)


async def _exchange(
    socket: trio_websocket.WebSocketConnection,
    method: str,
    params: object,
    unheard: deque[Mapping[str, Any]],
) -> Mapping[str, Any]:
    """Send one request and return its response; events that come between are kept in `unheard`."""
    request_id = str(uuid4())
    request = {"type": "req", "id": request_id, "method": method}
    await socket.send_message(json.dumps(request if params is None else {**request, "params": params}))
    while True:
        frame = await _receive(socket)
        if frame.get("type") == "res" and frame.get("id") == request_id:
            return frame
        unheard.append(frame)


async def _receive(socket: trio_websocket.WebSocketConnection) -> Mapping[str, Any]:
    try:
        frame = json.loads(await socket.get_message())
    except ValueError as error:
        raise Failure("What answers is not a gateway: it sent a message that is not JSON.") from error
    return frame if isinstance(frame, dict) else {}


def _error_of(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    error = answer.get("error")
    return error if isinstance(error, dict) else {"message": "it gave no reason"}


def _said_no(method: str, error: Mapping[str, Any]) -> Failure:
    details = error.get("details")
    wait_ms = error.get("retryAfterMs")
    return Failure(
        f"{method}: {error.get('message')}",
        cure=f"Try again in {wait_ms / 1000:g} s." if isinstance(wait_ms, int) else None,
        code=str(error.get("code")),
        details=details if isinstance(details, dict) else None,
    )


def _rejected(endpoint: Endpoint, rejected: trio_websocket.ConnectionRejected) -> Failure:
    if rejected.status_code == HTTPStatus.BAD_REQUEST and b"https://" in (rejected.body or b""):
        url = endpoint.name.replace("ws://", "wss://", 1)
        return Failure(f"The gateway at {endpoint.name} speaks TLS.", cure=f"Ask it so: --url {url}")
    return Failure(
        f"{endpoint.name} answers, but not as a gateway (HTTP {rejected.status_code}).",
        cure="Which port it should be: openclawd config get gateway.port",
    )


def _closed(endpoint: Endpoint, reason: trio_websocket.CloseReason | None) -> Failure:
    said = f": {reason.code} {reason.reason or reason.name}" if reason is not None else ""
    return Failure(
        f"The gateway at {endpoint.name} closed the connection{said}.",
        cure="Its reasons are in its log: openclawd logs",
        code=str(reason.code) if reason is not None else None,
    )
