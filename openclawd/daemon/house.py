"""The house put together: every part gets what it needs of the floors below, and a place in a named nursery.

Who gets through to a socket finds a gateway that is ready: state is loaded before anybody is accepted.
Stopping goes the other way and is bounded: no newcomers, runs put back into their queues, a word to every
client, then the end.
"""

import logging
import os
import secrets
import socket
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import trio
from trio.abc import Stream

from openclawd import __version__
from openclawd.agents.catalog import DISCOVERY_CACHE_S, Catalog
from openclawd.agents.facts import GatewayFacts
from openclawd.agents.offline import PROVIDER as OFFLINE_PROVIDER
from openclawd.agents.roster import DEFAULT_AVATAR, DEFAULT_NAME, roster
from openclawd.auth.devices import Devices
from openclawd.auth.identity import IdentityFile
from openclawd.auth.locality import Peer, peer_from_headers
from openclawd.config.file import ConfigFile
from openclawd.config.load import LoadedConfig
from openclawd.config.settings import GatewaySettings
from openclawd.daemon.policy import admission_policy, bearer_check
from openclawd.daemon.sockets import listener, peer_uid
from openclawd.daemon.supervisor import supervise
from openclawd.events.event import Event
from openclawd.events.hub import Hub
from openclawd.events.subscriptions import Subscriptions
from openclawd.gateway.clients import Clients
from openclawd.gateway.connection import Desk, Greeting, serve_connection
from openclawd.gateway.flusher import Flusher
from openclawd.gateway.router import Router
from openclawd.methods.services import RunningGateway, Services
from openclawd.methods.table import CAPABILITIES, EVENTS, METHODS
from openclawd.net.http import Request, serve_http
from openclawd.net.listener import Slot, Slots, raise_descriptor_limit, serve_listeners
from openclawd.net.routes import PageConfig, Readiness, Routes
from openclawd.net.static import Site
from openclawd.net.stream import UpgradedStream
from openclawd.net.websocket import accept_websocket
from openclawd.protocol.closes import INTERNAL_ERROR, SERVICE_RESTART
from openclawd.protocol.hello import PrivateFacts, SessionDefaults
from openclawd.protocol.limits import TICK_INTERVAL_MS
from openclawd.sessions.keys import agent_of
from openclawd.sessions.news import SubscribedNews
from openclawd.sessions.registry import Sessions
from openclawd.store.conversations import Conversations
from openclawd.store.database import Database
from openclawd.store.devices import DeviceStore
from openclawd.store.runs import RunQueue
from openclawd.vitals.announcer import PresenceAnnouncer
from openclawd.vitals.health import AgentSummary, Health, SessionSummary
from openclawd.vitals.presence import PresenceList

# Ctrl-C and SIGTERM end the process within five seconds: runs get the first two of them, goodbyes the next
# two.
DRAIN_TIMEOUT_S: Final = 2.0
GOODBYE_TIMEOUT_S: Final = 2.0

# To whoever wants in while everybody is being sent home; stock v4 answers so, too.
STOPPING: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)

CONTROL_UI: Final = Path(__file__).parents[1] / "control_ui"

_log = logging.getLogger("openclawd.gateway")


def now_ms() -> int:
    """The wall clock, in milliseconds."""
    return time.time_ns() // 1_000_000


@attrs.frozen(eq=False, repr=False)
class Sockets:
    """Where the house listens."""

    tcp: Sequence[socket.socket]
    unix: socket.socket

    @property
    def address(self) -> tuple[str, int]:
        """The first TCP address and the port that all of them share."""
        host, port, *_ = self.tcp[0].getsockname()
        return str(host), int(port)


class House:
    """One gateway: its parts, and how they start and stop."""

    def __init__(
        self,
        *,
        loaded: LoadedConfig,
        settings: GatewaySettings,
        database: Database,
        sockets: Sockets,
        log_file: Path,
        check_config: Callable[[LoadedConfig], object],
    ) -> None:
        """`check_config` raises ConfigError for a configuration that this process could not start with."""
        self._loaded = loaded
        self._check_config = check_config
        self._settings = settings
        self._sockets = sockets
        self._address = sockets.address
        self._log_file = log_file
        self._started_ms = now_ms()
        self._stopping = False
        self._agents = roster(loaded.config, loaded.paths.state_dir)
        self._hub = Hub()
        self._subscriptions = Subscriptions()
        self._clients = Clients()
        self._flusher = Flusher()
        self._slots = Slots(raise_descriptor_limit())
        self._presence = PresenceList(gateway_version=__version__, now_ms=now_ms)
        self._devices = Devices(
            DeviceStore(database), now_ms=now_ms, random_bytes=secrets.token_bytes, new_lock=trio.Lock
        )
        self._catalog = Catalog(loaded.config, loaded.environ, self._facts)
        self._news = SubscribedNews(
            self._subscriptions,
            publish=self._hub.publish,
            row=self._session_row,
            agent_of=lambda key: agent_of(key, self._agents.default_id),
            now_ms=now_ms,
        )
        self._sessions = Sessions(
            RunQueue(database),
            Conversations(database),
            self._catalog,
            roster=self._agents,
            publish=self._hub.publish,
            news=self._news,
            now_ms=now_ms,
            status_lines=self._status_lines,
            timeout_ms=loaded.config.agents.defaults.timeout_seconds * 1000,
        )
        self._health = Health(
            measure=self._measure,
            publish=self._hub.publish,
            presence_version=lambda: self._presence.version,
            now_ms=now_ms,
        )
        self._announcer = PresenceAnnouncer(
            self._presence, publish=self._hub.publish, health_version=lambda: self._health.version
        )
        self._desk = self._make_desk()
        self._routes = self._make_routes()

    async def live(self, *, started: Callable[[], None], stop: Callable[[], Awaitable[str]]) -> None:
        """Start, serve until `stop` returns the reason, stop. `started` is called when all is ready."""
        await self._devices.load()
        await self._health.refresh()
        listeners = [listener(bound) for bound in (*self._sockets.tcp, self._sockets.unix)]
        async with trio.open_nursery(strict_exception_groups=True) as house_nursery:
            house_nursery.start_soon(supervise, "sessions", self._sessions.serve)
            house_nursery.start_soon(supervise, "session news", self._news.serve)
            house_nursery.start_soon(supervise, "writing", self._flusher.serve)
            house_nursery.start_soon(supervise, "health", self._health.serve)
            house_nursery.start_soon(supervise, "presence", self._announcer.serve)
            house_nursery.start_soon(supervise, "tick", self._tick)
            house_nursery.start_soon(supervise, "model discovery", self._discover_models)
            async with trio.open_nursery(strict_exception_groups=True) as door_nursery:
                door_nursery.start_soon(serve_listeners, listeners, self._serve_stream, self._slots)
                started()
                reason = await stop()
                _log.info("stopping", extra={"fields": {"signal": reason, "clients": len(self._clients)}})
                self._stopping = True
                for each in listeners:
                    await each.aclose()
                await self._say_goodbye()
                door_nursery.cancel_scope.cancel()
            house_nursery.cancel_scope.cancel()
        await self._catalog.aclose()
        _log.info("stopped", extra={"fields": {"upMs": self._uptime_ms()}})

    async def _say_goodbye(self) -> None:
        await self._sessions.drain(DRAIN_TIMEOUT_S)
        # Stock v3 sends null though its schema has an integer or nothing; v4 leaves it out.
        payload: dict[str, object] = {"reason": "gateway stopping"}
        self._hub.publish(Event("shutdown", {**payload, "restartExpectedMs": None}, payload_v4=payload))
        with trio.move_on_after(GOODBYE_TIMEOUT_S):
            await self._clients.dismiss(SERVICE_RESTART)

    async def _serve_stream(self, stream: trio.SocketStream, slot: Slot) -> None:
        try:
            address = _address(stream)
        except OSError:
            return  # gone before we looked

        async def upgrade(transport: Stream, request: Request, head: bytes, trailing: bytes) -> None:
            if self._stopping:
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

    async def _tick(self) -> None:
        while True:
            await trio.sleep(TICK_INTERVAL_MS / 1000)
            self._hub.publish(Event("tick", {"ts": now_ms()}, drop_if_slow=True))

    async def _discover_models(self) -> None:
        while True:
            await self._catalog.discover()
            await trio.sleep(DISCOVERY_CACHE_S)

    async def _measure(self) -> list[AgentSummary]:
        rows: list[AgentSummary] = []
        for agent in self._agents.all:
            summary = await self._sessions.summary(agent.agent_id)
            # Everybody hears of the health, so the path of the store is no part of it.
            sessions = SessionSummary("(multiple)", summary.count, summary.recent)
            is_default = agent.agent_id == self._agents.default_id
            rows.append(AgentSummary(agent.agent_id, is_default, sessions, agent.name))
        return rows

    async def _session_row(self, key: str) -> dict[str, Any] | None:
        return await self._sessions.describe(key)

    def _status_lines(self) -> list[str]:
        up_s = self._uptime_ms() // 1000
        days, clock = divmod(up_s, 86_400)
        hours, minutes = clock // 3600, clock % 3600 // 60
        return [
            f"openclawd {__version__}, up {days} d {hours} h {minutes} min, clients: {len(self._clients)}"
        ]

    def _facts(self) -> GatewayFacts:
        sessions = self._health.snapshot.get("sessions")
        count = sessions.get("count") if isinstance(sessions, dict) else 0
        return GatewayFacts(
            version=__version__,
            uptime_s=self._uptime_ms() / 1000,
            address=self._address[0],
            port=self._address[1],
            clients=len(self._clients),
            sessions=int(count or 0),
            devices_waiting=len(self._devices.waiting()),
            config_file=str(self._loaded.paths.config_file),
            log_file=str(self._log_file),
            model=str(self._catalog.default()),
        )

    def _uptime_ms(self) -> int:
        return now_ms() - self._started_ms

    def _running(self) -> RunningGateway:
        return RunningGateway(
            pid=os.getpid(),
            address=self._address[0],
            port=self._address[1],
            bind=self._settings.bind,
            clients=len(self._clients),
            log_file=str(self._log_file),
        )

    def _session_defaults(self) -> SessionDefaults:
        return SessionDefaults(
            default_agent_id=self._agents.default_id,
            main_key=self._agents.main_key,
            main_session_key=self._agents.main_session_key,
            scope=self._agents.scope,
            model_configured=self._catalog.default().provider != OFFLINE_PROVIDER,
        )

    def _make_desk(self) -> Desk:
        services = Services(
            loaded=self._loaded,
            config_file=ConfigFile(self._loaded, check=self._check_config),
            identity=IdentityFile(self._loaded.paths.identity_file),
            agents=self._agents,
            catalog=self._catalog,
            devices=self._devices,
            sessions=self._sessions,
            subscriptions=self._subscriptions,
            presence=self._presence,
            announce_presence=self._announcer.request,
            health=self._health,
            publish=self._hub.publish,
            log_file=self._log_file,
            now_ms=now_ms,
            running=self._running,
            connected_nodes=self._clients.nodes,
            dismiss_device=self._clients.dismiss_device,
        )
        paths = self._loaded.paths
        return Desk(
            policy=admission_policy(self._settings),
            devices=self._devices,
            hub=self._hub,
            subscriptions=self._subscriptions,
            clients=self._clients,
            router=Router(METHODS, services),
            flusher=self._flusher,
            presence=self._presence,
            announcer=self._announcer,
            health=self._health,
            greeting=Greeting(
                version=__version__,
                boot_id=str(uuid.uuid4()),
                methods=tuple(METHODS),
                events=EVENTS,
                capabilities=CAPABILITIES,
                session_defaults=self._session_defaults,
                private=PrivateFacts(
                    config_path=str(paths.config_file),
                    state_dir=str(paths.state_dir),
                    auth_mode=self._settings.auth_mode,
                ),
                config_hash=self._loaded.hash,
                bundled_page=self._settings.control_ui.root is None,
                uptime_ms=self._uptime_ms,
            ),
            now_ms=now_ms,
        )

    def _make_routes(self) -> Routes:
        page = self._settings.control_ui
        default = self._agents.all[0]
        return Routes(
            page=PageConfig(
                enabled=page.enabled,
                base_path=page.base_path,
                assistant_name=default.name or DEFAULT_NAME,
                assistant_avatar=default.avatar or default.emoji or DEFAULT_AVATAR,
                assistant_agent_id=default.agent_id,
                auth_mode=self._settings.auth_mode,
                server_version=__version__,
            ),
            site=Site(page.root or CONTROL_UI),
            readiness=lambda: Readiness(("stopping",) if self._stopping else (), self._uptime_ms()),
            bearer_is_valid=bearer_check(self._settings),
            avatar_file=self._avatar_file,
        )

    def _avatar_file(self, agent_id: str) -> Path | None:
        agent = self._agents.find(agent_id)
        return agent.avatar_file() if agent is not None else None


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
