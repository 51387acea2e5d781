"""One gateway's life: its parts started in a named nursery, served, and sent home.

Who gets through to a socket finds a gateway that is ready: state is loaded before anybody is accepted.
Stopping goes the other way and is bounded: no newcomers, runs put back into their queues, a word to every
client, then the end.
"""

import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import attrs
import trio

from openclawd.agents.catalog import DISCOVERY_CACHE_S
from openclawd.config.problems import ConfigError
from openclawd.daemon.door import Door
from openclawd.daemon.parts import Parts, Setting, now_ms
from openclawd.daemon.stock_import import adopt_stock_devices
from openclawd.daemon.supervisor import supervise
from openclawd.events.event import Event
from openclawd.net.listener import close_listeners, raise_descriptor_limit, serve_listeners
from openclawd.net.reception import BUSY, receptions
from openclawd.protocol.closes import SERVICE_RESTART
from openclawd.protocol.limits import TICK_INTERVAL_MS
from openclawd.store.facts import Facts

# Ctrl-C and SIGTERM end the process within five seconds: runs get the first two of them, goodbyes the next
# two.
DRAIN_TIMEOUT_S: Final = 2.0
GOODBYE_TIMEOUT_S: Final = 2.0

_log = logging.getLogger("openclawd.gateway")


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
    """One gateway, from its start to its stop."""

    def __init__(self, setting: Setting, sockets: Sockets) -> None:
        self._sockets = sockets
        self._parts = Parts(setting)
        self._network, self._local = receptions(
            raise_descriptor_limit(),
            trusted_proxies=lambda: self._parts.admission.policy.trusted_proxies,
            # In the middle of a TLS handshake nobody understands a word of HTTP.
            busy=BUSY if setting.certificates is None else b"",
        )
        self._door = Door(self._parts)

    async def live(self, *, started: Callable[[], None], stop: Callable[[], Awaitable[str]]) -> None:
        """Start, serve until `stop` returns the reason, stop. `started` is called when all is ready."""
        parts = self._parts
        await parts.limits.load()
        await parts.devices.load()
        state_dir, facts = parts.setting.loaded.paths.state_dir, Facts(parts.setting.database)
        await adopt_stock_devices(state_dir, parts.devices, facts, now_ms())
        await parts.health.refresh()
        listeners = [(bound, self._network) for bound in self._sockets.tcp]
        listeners.append((self._sockets.unix, self._local))
        async with trio.open_nursery(strict_exception_groups=True) as house_nursery:
            house_nursery.start_soon(supervise, "sessions", parts.sessions.serve)
            house_nursery.start_soon(supervise, "session news", parts.news.serve)
            house_nursery.start_soon(supervise, "writing", parts.flusher.serve)
            house_nursery.start_soon(supervise, "loop lag", parts.loop_lag.serve)
            house_nursery.start_soon(supervise, "health", parts.health.serve)
            house_nursery.start_soon(supervise, "presence", parts.announcer.serve)
            house_nursery.start_soon(supervise, "limits", parts.limits.serve)
            if (certificates := parts.setting.certificates) is not None:
                house_nursery.start_soon(supervise, "certificate", certificates.keep_fresh)
            house_nursery.start_soon(supervise, "tick", self._tick)
            house_nursery.start_soon(supervise, "model discovery", self._discover_models)
            async with trio.open_nursery(strict_exception_groups=True) as door_nursery:
                door_nursery.start_soon(serve_listeners, listeners, self._door.serve)
                started()
                reason = await stop()
                _log.info("stopping", extra={"fields": {"signal": reason, "clients": len(parts.clients)}})
                self._door.close()
                close_listeners(listeners)
                await self._say_goodbye()
                door_nursery.cancel_scope.cancel()
            await parts.limits.flush()
            house_nursery.cancel_scope.cancel()
        await parts.catalog.aclose()
        _log.info("stopped", extra={"fields": {"upMs": parts.uptime_ms()}})

    async def reload(self) -> None:
        """Go by the file as it is now; why not, if not, is in the log."""
        with suppress(ConfigError):
            await self._parts.access.reload()

    async def _say_goodbye(self) -> None:
        await self._parts.sessions.drain(DRAIN_TIMEOUT_S)
        # Stock v3 sends null though its schema has an integer or nothing; v4 leaves it out.
        payload: dict[str, object] = {"reason": "gateway stopping"}
        shutdown = Event("shutdown", {**payload, "restartExpectedMs": None}, payload_v4=payload)
        self._parts.hub.publish(shutdown)
        with trio.move_on_after(GOODBYE_TIMEOUT_S):
            await self._parts.clients.dismiss(SERVICE_RESTART)

    async def _tick(self) -> None:
        while True:
            await trio.sleep(TICK_INTERVAL_MS / 1000)
            self._parts.hub.publish(Event("tick", {"ts": now_ms()}, drop_if_slow=True))

    async def _discover_models(self) -> None:
        while True:
            await self._parts.catalog.discover()
            await trio.sleep(DISCOVERY_CACHE_S)
