"""The door: from an accepted stream to HTTP answers, or to a WebSocket that the gateway serves."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import attrs
import trio
from trio.abc import Stream

from openclawd import __version__
from openclawd.agents.roster import DEFAULT_AVATAR, DEFAULT_NAME
from openclawd.auth.locality import Peer, peer_from_headers
from openclawd.daemon.desk import desk
from openclawd.daemon.parts import Parts
from openclawd.daemon.policy import bearer_check
from openclawd.daemon.sockets import peer_uid
from openclawd.gateway.connection import serve_connection
from openclawd.net.http import Request, serve_http
from openclawd.net.listener import Slot, Slots
from openclawd.net.routes import PageConfig, Readiness, Routes
from openclawd.net.static import Site
from openclawd.net.stream import UpgradedStream
from openclawd.net.websocket import accept_websocket
from openclawd.protocol.closes import INTERNAL_ERROR

# To whoever wants in while everybody is being sent home; stock v4 answers so, too.
STOPPING: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)

CONTROL_UI: Final = Path(__file__).parents[1] / "control_ui"

_log = logging.getLogger("openclawd.gateway")


class Door:
    """Where every stream comes in; `close` answers newcomers that the gateway is stopping."""

    def __init__(self, parts: Parts, slots: Slots) -> None:
        self._slots = slots
        self._desk = desk(parts)
        self._routes = self._make_routes(parts)
        self._closed = False

    def close(self) -> None:
        """Let nobody in any more; who is in stays."""
        self._closed = True

    async def serve(self, stream: trio.SocketStream, slot: Slot) -> None:
        """Serve one accepted stream to its end."""
        try:
            address = _address(stream)
        except OSError:
            return  # gone before we looked

        async def upgrade(transport: Stream, request: Request, head: bytes, trailing: bytes) -> None:
            if self._closed:
                await transport.send_all(STOPPING)
                return
            peer = address.seen_with(request.headers)
            _hint_at_secret_in_url(request)
            async with accept_websocket(UpgradedStream(transport, head, trailing)) as wire:
                try:
                    await serve_connection(wire, peer, self._desk, settled=lambda: self._slots.settle(slot))
                except Exception:
                    # The fence round the connection logs it; the peer is owed a word, too.
                    await wire.close(INTERNAL_ERROR)
                    raise

        await serve_http(stream, self._routes.respond, upgrade)

    def _make_routes(self, parts: Parts) -> Routes:
        settings = parts.setting.settings
        page = settings.control_ui
        default = parts.agents.all[0]

        def avatar_file(agent_id: str) -> Path | None:
            agent = parts.agents.find(agent_id)
            return agent.avatar_file() if agent is not None else None

        return Routes(
            page=PageConfig(
                enabled=page.enabled,
                base_path=page.base_path,
                assistant_name=default.name or DEFAULT_NAME,
                assistant_avatar=default.avatar or default.emoji or DEFAULT_AVATAR,
                assistant_agent_id=default.agent_id,
                auth_mode=settings.auth_mode,
                server_version=__version__,
            ),
            site=Site(page.root or CONTROL_UI),
            readiness=lambda: Readiness(("stopping",) if self._closed else (), parts.uptime_ms()),
            bearer_is_valid=bearer_check(settings),
            avatar_file=avatar_file,
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

    def seen_with(self, headers: Iterable[tuple[str, str]]) -> Peer:
        return attrs.evolve(peer_from_headers(self.host, self.port, headers), unix_uid=self.unix_uid)


def _address(stream: trio.SocketStream) -> _Address:
    uid = peer_uid(stream.socket)
    if uid is not None:
        return _Address("", None, uid)
    host, port, *_ = stream.socket.getpeername()
    return _Address(str(host), int(port), None)
