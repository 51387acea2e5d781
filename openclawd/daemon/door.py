"""The door: from an accepted stream to HTTP answers, or to a WebSocket that the gateway serves."""

import logging
import os
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio
from trio.abc import Stream

from openclawd import __version__
from openclawd.agents.roster import DEFAULT_AVATAR, DEFAULT_NAME
from openclawd.auth.locality import Peer, peer_from_headers
from openclawd.auth.policy import Policy
from openclawd.daemon.certificate import Certificates
from openclawd.daemon.desk import desk
from openclawd.daemon.local_socket import ROOT, peer_uid
from openclawd.daemon.metrics import scraper
from openclawd.daemon.parts import Parts, now_ms
from openclawd.gateway.connection import serve_connection
from openclawd.net.accepted import Connection
from openclawd.net.bearer import Bearers
from openclawd.net.guard import Caller, Guard
from openclawd.net.http import Request, Response, serve_http
from openclawd.net.reception import BUSY as BUSY_ANSWER
from openclawd.net.refusal_log import RefusalLog
from openclawd.net.routes import Assistant, PageConfig, Readiness, Routes
from openclawd.net.static import Site
from openclawd.net.stream import UpgradedStream
from openclawd.net.tls import TlsStream
from openclawd.net.tls_handshake import accept_tls
from openclawd.net.websocket import accept_websocket
from openclawd.protocol.closes import BUSY, INTERNAL_ERROR, SERVICE_RESTART

# To whoever wants in while everybody is being sent home; stock v4 answers so, too.
STOPPING: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)

# To a page that something forwards to the local socket.
NO_PAGES: Final = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

CONTROL_UI: Final = Path(__file__).parents[1] / "control_ui"

_log = logging.getLogger("openclawd.gateway")


class Door:
    """Where every stream comes in; `close` answers newcomers that the gateway is stopping."""

    def __init__(self, parts: Parts) -> None:
        self._desk = desk(parts)
        self._refusals = RefusalLog(logging.getLogger("openclawd.admission"), now_s=time.monotonic)
        self._guard = Guard(lambda: self._policy, self._refusals)
        self._answers = parts.http_answers
        self._routes = self._make_routes(parts)
        self._certificates = parts.setting.certificates
        self._page_path = f"{parts.setting.settings.control_ui.base_path}/"
        self._owners = frozenset((os.getuid(), ROOT))
        self._closed = False

    def close(self) -> None:
        """Let nobody in any more; who is in stays."""
        self._closed = True

    async def serve(self, connection: Connection) -> None:
        """Serve one accepted connection to its end."""
        stream: Stream = connection.stream
        try:
            address = _address(connection.stream)
        except OSError:
            return  # gone before we looked
        if address.unix_uid is not None:
            if address.unix_uid not in self._owners:
                fields = {"reason": "other-user", "address": f"unix, uid {address.unix_uid}"}
                self._refusals.refused(fields)
                return
        elif self._certificates is not None:
            address = attrs.evolve(address, tls=True)
            encrypted = await self._encrypted(connection, self._certificates)
            if encrypted is None:
                return
            stream = encrypted

        async def respond(request: Request) -> Response:
            caller = self._guard.admit(request, address.seen_with(request, self._policy))
            response = await self._routes.respond(request, caller) if isinstance(caller, Caller) else caller
            self._answers[response.status] += 1
            return response

        async def upgrade(transport: Stream, request: Request, answer: bytes, trailing: bytes) -> None:
            if self._closed:
                await transport.send_all(STOPPING)
                return
            peer = address.seen_with(request, self._policy)
            if peer.unix_uid is not None and not isinstance(self._guard.admit(request, peer), Caller):
                # Over the network a page is told so in the handshake; here it has no business at all.
                await transport.send_all(NO_PAGES)
                return
            _hint_at_secret_in_url(request)
            connection.goodbye = None
            upgraded = UpgradedStream(transport, answer, trailing)
            del request, answer, trailing  # not kept for as long as he stays
            async with accept_websocket(upgraded, reached=connection.reached) as wire:
                connection.goodbye = lambda: wire.dismiss(
                    SERVICE_RESTART if connection.is_leaving() else BUSY
                )
                try:
                    await serve_connection(wire, peer, self._desk, settled=connection.settled)
                except Exception:
                    # The fence round the connection logs it; the peer is owed a word, too.
                    await wire.close(INTERNAL_ERROR)
                    raise

        await serve_http(stream, respond, upgrade, reached=connection.reached, turn=connection.turn)

    async def _encrypted(self, connection: Connection, certificates: Certificates) -> TlsStream | None:
        """What comes out of TLS; None when the peer does not speak it."""
        try:
            stream = await accept_tls(
                connection.stream,
                certificates.context,
                self._refusals.refused,
                page_path=self._page_path,
            )
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return None
        if stream is not None:
            connection.goodbye = partial(_say_now, stream, BUSY_ANSWER)
        return stream

    @property
    def _policy(self) -> Policy:
        return self._desk.admission.policy

    def _make_routes(self, parts: Parts) -> Routes:
        settings = parts.setting.settings
        page = settings.control_ui

        def assistant() -> Assistant:
            default = parts.agents.all[0]
            avatar = default.avatar or default.emoji or DEFAULT_AVATAR
            return Assistant(default.name or DEFAULT_NAME, avatar, default.agent_id)

        def avatar_file(agent_id: str) -> Path | None:
            agent = parts.agents.find(agent_id)
            return agent.avatar_file() if agent is not None else None

        return Routes(
            page=PageConfig(
                enabled=page.enabled,
                base_path=page.base_path,
                assistant=assistant,
                auth_mode=lambda: self._policy.shared.mode,
                server_version=__version__,
            ),
            site=Site(page.root or CONTROL_UI),
            readiness=lambda: Readiness(
                ("stopping",) if self._closed else (), parts.uptime_ms(), parts.loop_lag.to_wire
            ),
            bearers=Bearers(parts.admission, now_ms=now_ms, refusals=self._refusals),
            avatar_file=avatar_file,
            metrics=scraper(parts),
        )


def _hint_at_secret_in_url(request: Request) -> None:
    if not {"token", "password"}.isdisjoint(request.query):
        _log.warning(
            "secret in a WebSocket URL ignored",
            extra={"fields": {"hint": "send it in connect.params.auth; URLs end up in logs"}},
        )


@attrs.frozen(eq=False, repr=False)
class _Address:
    """The other end of a connection, as the kernel tells it."""

    host: str
    port: int | None
    unix_uid: int | None
    tls: bool = False

    def seen_with(self, request: Request, policy: Policy) -> Peer:
        peer = peer_from_headers(self.host, self.port, request.headers, policy.named_headers)
        return attrs.evolve(peer, unix_uid=self.unix_uid, tls=self.tls)


def _say_now(stream: TlsStream, words: bytes) -> None:
    with suppress(trio.BrokenResourceError):
        stream.write_now(words)


def _address(stream: trio.SocketStream) -> _Address:
    uid = peer_uid(stream.socket)
    if uid is not None:
        return _Address("", None, uid)
    host, port, *_ = stream.socket.getpeername()
    return _Address(str(host), int(port), None)
