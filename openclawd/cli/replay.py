"""What a browser and a command do on their way into a gateway, done step by step and reported as it is.

Nothing is left behind: the client calls itself a probe and shows no device, so none is paired and none asks
to be. Nothing is believed of what answers, and a secret goes only where the caller says so.
"""

import json
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

import attrs
import h11
import trio
import trio_websocket

from openclawd import __version__
from openclawd.cli.doctor_mark import new_mark
from openclawd.cli.place import Place, Trust, connected
from openclawd.config.secret import Secret

_BROWSER: Final = f"Mozilla/5.0 (compatible; openclawd doctor {__version__})"
# The page is larger; a refusal in words is not.
_BODY_MAX_BYTES: Final = 64 * 1024
_READ_BYTES: Final = 16 * 1024
# Stock gateways answer at once; one that is to be found slow gets the rest of the command's time.
_CLOSE_PATIENCE_S: Final = 2.0
SCOPES: Final = (
    "operator.admin",
    "operator.read",
    "operator.write",
    "operator.approvals",
    "operator.pairing",
)


@attrs.frozen
class Page:
    """The answer to a browser's first GET."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def wants_tls(self) -> bool:
        """Whether a port with TLS was asked without."""
        return self.status == 400 and "speaks TLS only" in self.body


@attrs.frozen
class Handshake:
    """How far one WebSocket came: refused as HTTP (`status`), or challenged (`skew_ms`: how far the gateway's
    clock is ahead) and then admitted (`hello`) or not (`error`, `close`)."""

    status: int | None = None
    skew_ms: int | None = None
    hello: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    close: tuple[int, str] | None = None
    mark: str = ""
    """The version that this try gave, by which its record is found again."""

    @property
    def code(self) -> str:
        """The machine's word for a refusal; empty where there was none."""
        details = (self.error or {}).get("details")
        code = details.get("code") if isinstance(details, Mapping) else None
        return str(code or (self.error or {}).get("code") or "")

    def told(self) -> dict[str, object]:
        """What the client was told, in the place of a record that only the gateway has."""
        error = self.error or {}
        said: dict[str, object] = {
            name: error[name] for name in ("message", "retryAfterMs") if error.get(name) is not None
        }
        if self.code:
            said["code"] = self.code
        if self.close is not None:
            said |= {"closeCode": self.close[0], "closeReason": self.close[1]}
        return said


async def get_page(place: Place, trust: Trust) -> Page:
    """Ask for the page as a browser does. Raises OSError and WrongCertificate."""
    headers = [
        ("Host", place.authority),
        ("User-Agent", _BROWSER),
        ("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
        ("Connection", "close"),
        *_fetch_metadata(place, site="none", mode="navigate", dest="document"),
    ]
    async with await connected(place, trust) as stream:
        connection = h11.Connection(h11.CLIENT)
        request = h11.Request(method="GET", target=place.path, headers=headers)
        await stream.send_all(
            (connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b"")
        )
        head: h11.Response | None = None
        body = b""
        try:
            while len(body) < _BODY_MAX_BYTES:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(bytes(await stream.receive_some(_READ_BYTES)))
                elif isinstance(event, h11.Response):
                    head = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                    break
        except h11.RemoteProtocolError as error:
            raise OSError(f"what answers does not speak HTTP ({error})") from None
        except trio.BrokenResourceError:
            raise OSError("the connection broke off in the middle of the answer") from None
    if head is None:
        raise OSError("it closed the connection without an answer")
    named = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head.headers}
    return Page(head.status_code, named, body.decode("utf-8", "replace"))


async def shake_hands(
    place: Place, trust: Trust, *, secrets: Mapping[str, Secret], as_page: bool
) -> Handshake:
    """Come in as a page, or as a command, as far as one gets. Raises OSError and WrongCertificate."""
    mark = new_mark()
    headers = []
    if as_page:
        headers = [
            ("Origin", place.origin),
            ("User-Agent", _BROWSER),
            *_fetch_metadata(place, site="same-origin", mode="websocket", dest="websocket"),
        ]
    found = Handshake(mark=mark)
    async with await connected(place, trust) as stream:
        try:
            async with trio.open_nursery() as nursery:
                socket = await trio_websocket.wrap_client_stream(
                    nursery,
                    stream,
                    place.authority,
                    place.path,
                    extra_headers=[(name.encode(), value.encode()) for name, value in headers],
                )
                found = await _introduce(socket, found, _params(mark, secrets, as_page=as_page))
                with trio.move_on_after(_CLOSE_PATIENCE_S):
                    await socket.aclose()
                nursery.cancel_scope.cancel()
        except* trio_websocket.ConnectionRejected as group:
            found = attrs.evolve(found, status=_only(group).status_code)
        except* trio_websocket.HandshakeError:
            found = attrs.evolve(found, status=0)
    return found


async def _introduce(
    socket: trio_websocket.WebSocketConnection, found: Handshake, params: Mapping[str, object]
) -> Handshake:
    try:
        challenge = await _frame(socket)
        payload = challenge.get("payload")
        sent_ms = payload.get("ts") if isinstance(payload, Mapping) else None
        if challenge.get("event") != "connect.challenge":
            return found
        if isinstance(sent_ms, int):
            found = attrs.evolve(found, skew_ms=sent_ms - round(time.time() * 1000))
        request = {"type": "req", "id": "doctor", "method": "connect", "params": params}
        await socket.send_message(json.dumps(request))
        while (answer := await _frame(socket)).get("id") != "doctor":
            pass
        if answer.get("ok") is True:
            return attrs.evolve(found, hello=answer.get("payload") or {})
        found = attrs.evolve(found, error=answer.get("error") or {"message": "it gave no reason"})
        with trio.move_on_after(_CLOSE_PATIENCE_S):
            while True:
                await _frame(socket)
    except trio_websocket.ConnectionClosed as closed:
        reason = closed.reason
        found = attrs.evolve(found, close=(reason.code, reason.reason or "") if reason else (1006, ""))
    return found


async def _frame(socket: trio_websocket.WebSocketConnection) -> Mapping[str, Any]:
    try:
        frame = json.loads(await socket.get_message())
    except ValueError:
        return {}
    return frame if isinstance(frame, dict) else {}


def _params(mark: str, secrets: Mapping[str, Secret], *, as_page: bool) -> dict[str, object]:
    # Who calls himself a probe is nobody's page; the Origin is judged all the same.
    client_id, mode = ("openclaw-probe", "probe") if as_page else ("cli", "cli")
    return {
        "minProtocol": 3,
        "maxProtocol": 4 if as_page else 3,
        "client": {"id": client_id, "mode": mode, "version": mark, "platform": sys.platform},
        "caps": [],
        "role": "operator",
        "scopes": list(SCOPES),
        **({"auth": {kind: secret.reveal() for kind, secret in secrets.items()}} if secrets else {}),
    }


def _fetch_metadata(place: Place, *, site: str, mode: str, dest: str) -> list[tuple[str, str]]:
    """What browsers add in secure contexts (Fetch Metadata Request Headers)."""
    if not place.is_secure:
        return []
    return [("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", dest)]


def _only(group: BaseExceptionGroup[Any]) -> Any:
    first = group.exceptions[0]
    return _only(first) if isinstance(first, BaseExceptionGroup) else first
