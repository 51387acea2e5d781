"""One gateway's life: its parts started in a named nursery, served, and sent home.

Who gets through to a socket finds a gateway that is ready: state is loaded before anybody is accepted.
Stopping goes the other way and is bounded: no newcomers, runs put back into their queues, a word to every
client, then the end.

A restart stops in another way. Runs may end first, while everybody is served on. Then newcomers wait in the
kernel's backlog, and who was accepted but not heard yet goes along as a descriptor; who has begun is
finished with; clients are told when to come back. Nothing that listens is closed. The tasks of those whose
connections go along are not ended: they sleep until the next generation is executed in their place.
"""

import logging
import socket
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import suppress
from typing import Any, Final

import attrs
import trio

from openclawd.agents.catalog import DISCOVERY_CACHE_S
from openclawd.config.problems import ConfigError
from openclawd.daemon.coordinator import Coordinator
from openclawd.daemon.door import Door
from openclawd.daemon.lifecycle import State
from openclawd.daemon.parts import Parts, Setting, now_ms
from openclawd.daemon.sentinel import deliver_note, leave_note
from openclawd.daemon.stock_import import adopt_stock_devices
from openclawd.daemon.supervisor import supervise
from openclawd.events.event import Event
from openclawd.methods.services import RestartRefused, RestartRequest
from openclawd.net.capacity import receptions
from openclawd.net.listener import (
    Listeners,
    close_listeners,
    raise_descriptor_limit,
    serve_listeners,
    stop_accepting,
)
from openclawd.net.parting import see_off
from openclawd.net.reception import BUSY
from openclawd.protocol.closes import SERVICE_RESTART
from openclawd.protocol.errors import RequestError
from openclawd.protocol.limits import TICK_INTERVAL_MS
from openclawd.protocol.versions import V3, V4
from openclawd.store.errors import StoreError
from openclawd.store.facts import Facts

# Ctrl-C and SIGTERM end the process within five seconds: runs get the first two of them, goodbyes the next
# two.
DRAIN_TIMEOUT_S: Final = 2.0
GOODBYE_TIMEOUT_S: Final = 2.0
# Before a restart: for those in the middle of a request or a handshake, or behind with reading. Most need
# milliseconds.
FINISH_TIMEOUT_S: Final = 0.5
# For the answer to a close frame of those who cannot be left to the next generation.
ANSWER_TIMEOUT_S: Final = 0.25
# Who writes to the disk in a thread cannot be ended before that is done.
DISK_TIMEOUT_S: Final = 30.0
_LOOK_AGAIN_S: Final = 0.001
# How long it may take until the disk knows that a device was here: a crowd that comes back is in by then.
VISITS_WRITTEN_S: Final = 5.0
# What a restart takes until somebody has been through one: stock's clients are told 1500.
EXPECTED_MS: Final = 1000
# How long the gateway needs for the handshake of one who comes back; so many moments there are to draw from.
SPREAD_MS_A_CLIENT: Final = 0.5

_log = logging.getLogger("openclawd.gateway")


@attrs.frozen(eq=False, repr=False)
class Sockets:
    """Where the house listens."""

    tcp: Sequence[socket.socket]
    unix: socket.socket
    waiting: Sequence[socket.socket] = ()
    """Accepted from the network by the generation before, and not heard yet."""

    waiting_local: Sequence[socket.socket] = ()
    parting: Sequence[int] = ()
    """Descriptors of whom the generation before told to go."""

    @property
    def address(self) -> tuple[str, int]:
        """The first TCP address and the port that all of them share."""
        host, port, *_ = self.tcp[0].getsockname()
        return str(host), int(port)


@attrs.frozen(eq=False, repr=False)
class Left:
    """What a generation leaves to the next."""

    waiting: Sequence[socket.socket]
    waiting_local: Sequence[socket.socket]
    parting: tuple[int, ...]
    journal: MutableMapping[str, Any] | None
    config: str
    at_ms: int
    """When clients were told to go (wall clock)."""


class House:
    """One generation of a gateway, from its start to its end."""

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
        self._door_scope = trio.CancelScope()
        self._door_shut = trio.Event()

    @property
    def clients(self) -> int:
        """Who is let in now, commands among them."""
        return len(self._parts.clients)

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is wrong with the config and the state now, in sentences."""
        failing = (each.said for each in self._parts.state_watch.warnings() if each.failing)
        return (*self._parts.access.warnings, *failing)

    async def live(
        self, coordinator: Coordinator, door_nursery: trio.Nursery, *, started: Callable[[], None]
    ) -> Left | None:
        """Start, serve until the coordinator says that it is enough, and end: what the next generation gets,
        None when there is to be none. `started` is called when all is ready.

        Connections are tasks of `door_nursery`. Where there is a next generation, those whose connections go
        along sleep there when this returns.
        """
        parts = self._parts
        await parts.limits.load()
        await parts.devices.load()
        state_dir, facts = parts.setting.loaded.paths.state_dir, Facts(parts.setting.database)
        await adopt_stock_devices(state_dir, parts.devices, facts, now_ms())
        await deliver_note(state_dir, self._tell_session)
        await parts.health.refresh()
        listeners = [(bound, self._network) for bound in self._sockets.tcp]
        listeners.append((self._sockets.unix, self._local))
        left: Left | None = None
        async with trio.open_nursery(strict_exception_groups=True) as house_nursery:
            house_nursery.start_soon(supervise, "sessions", parts.sessions.serve)
            house_nursery.start_soon(supervise, "session news", parts.news.serve)
            house_nursery.start_soon(supervise, "writing", parts.flusher.serve)
            house_nursery.start_soon(supervise, "loop lag", parts.loop_lag.serve)
            house_nursery.start_soon(supervise, "health", parts.health.serve)
            house_nursery.start_soon(supervise, "presence", parts.announcer.serve)
            house_nursery.start_soon(supervise, "limits", parts.limits.serve)
            house_nursery.start_soon(supervise, "visits", self._keep_visits)
            house_nursery.start_soon(supervise, "config", parts.config_watch.serve)
            if (certificates := parts.setting.certificates) is not None:
                house_nursery.start_soon(supervise, "certificate", certificates.keep_fresh)
            house_nursery.start_soon(supervise, "state watch", parts.state_watch.serve)
            house_nursery.start_soon(supervise, "backups", parts.backups.serve)
            house_nursery.start_soon(supervise, "updates", parts.updates.serve)
            house_nursery.start_soon(supervise, "tick", self._tick)
            house_nursery.start_soon(supervise, "model discovery", self._discover_models)
            house_nursery.start_soon(see_off, self._sockets.parting)
            door_nursery.start_soon(self._serve_door, listeners)
            try:
                coordinator.started()
                if coordinator.state is State.READY:
                    started()
                while await coordinator.leaving() is State.DRAINING:
                    if await coordinator.drain(self._let_runs_end) is not State.READY:
                        break
                    parts.sessions.go_on()
                if coordinator.state is State.HANDING_OVER:
                    leave_note(state_dir, coordinator.requests_in_force, now_ms())
                    left = await self._hand_over(listeners)
                else:
                    self._door.close()
                    close_listeners(listeners)
                    await self._say_goodbye()
            finally:
                # Also when a part has failed for good.
                if left is None:
                    self._door_scope.cancel()
            if left is None:
                await self._door_shut.wait()
            await parts.limits.flush()
            await self._write_visits()
            house_nursery.cancel_scope.cancel()
        await parts.catalog.aclose()
        if left is None:
            _log.info("stopped", extra={"fields": {"upMs": parts.uptime_ms()}})
            return None
        # Last of all: until here something may have been said to those who come back.
        return attrs.evolve(left, journal=parts.hub.hand_over())

    async def _serve_door(self, listeners: Listeners) -> None:
        with self._door_scope:
            async with trio.open_nursery(strict_exception_groups=True) as receptions_nursery:
                receptions_nursery.start_soon(serve_listeners, listeners, self._door.serve)
                receptions_nursery.start_soon(self._network.take_over, self._sockets.waiting)
                receptions_nursery.start_soon(self._local.take_over, self._sockets.waiting_local)
        self._door_shut.set()

    async def reload(self, coordinator: Coordinator) -> None:
        """Go by the file as it is now, with a restart if it must be; why not, if not, is in the log."""
        try:
            reloaded = await self._parts.access.reload()
        except ConfigError:
            return
        except Exception:  # noqa: BLE001  the fence: a signal ends a gateway only if it says so
            _log.exception("config not read")
            return
        if reloaded.restart_required:
            keys = ", ".join(reloaded.restart_required)
            await self.restart(coordinator, RestartRequest(f"changed: {keys}", "config-reload"))

    async def restart(self, coordinator: Coordinator, wanted: RestartRequest) -> None:
        """Ask for a restart; why not, if not, is in the log."""
        with suppress(RestartRefused):
            await coordinator.request(wanted)

    async def _tell_session(self, session_key: str | None, text: str) -> None:
        """Let `text` wait for the model of the session, or of the main one."""
        sessions = self._parts.sessions
        try:
            key = sessions.main_key() if session_key is None else sessions.canonical(session_key)
        except RequestError:
            key = sessions.main_key()
        await sessions.system_events.add(key, text)

    async def _let_runs_end(self) -> None:
        await self._parts.sessions.finish(self._parts.access.loaded.config.openclawd.restart.drain_ms / 1000)

    async def _hand_over(self, listeners: Listeners) -> Left:
        """Everybody is served until those who are behind have caught up, as nobody shall wait for a restart
        because somebody else reads slowly.
        """
        stop_accepting(listeners)
        await self._parts.sessions.drain(DRAIN_TIMEOUT_S)
        self._parts.hub.publish(self._restart_notice())
        async with trio.open_nursery(strict_exception_groups=True) as finish_nursery:
            for reception in (self._network, self._local):
                finish_nursery.start_soon(reception.finish, FINISH_TIMEOUT_S)
            await self._parts.clients.catch_up(FINISH_TIMEOUT_S, SERVICE_RESTART)
        config, at_ms = self._parts.config_file.applied.raw, now_ms()
        parting: list[int] = []
        with trio.move_on_after(GOODBYE_TIMEOUT_S):
            # While they part, all of them come anew: as many can as there are descriptors for.
            spare = self._network.room
            await self._parts.clients.dismiss(SERVICE_RESTART, ANSWER_TIMEOUT_S, parting.append, spare)
        await self._let_tasks_end()
        waiting, waiting_local = self._network.hand_over(), self._local.hand_over()
        return Left(waiting, waiting_local, tuple(parting), None, config, at_ms)

    async def _let_tasks_end(self) -> None:
        """Wait for the tasks of all connections but those that sleep."""
        clients = self._parts.clients
        for client in tuple(clients):
            client.cut(SERVICE_RESTART)
        with trio.move_on_after(DISK_TIMEOUT_S):
            while self._network.served + self._local.served > clients.asleep:  # noqa: ASYNC110  two of them
                await trio.sleep(_LOOK_AGAIN_S)
            return
        _log.warning("not waited for", extra={"fields": {"clients": len(clients), "withinS": DISK_TIMEOUT_S}})

    def _restart_notice(self) -> Event:
        last = self._parts.setting.restart.last_restart
        spread_ms = round(len(self._parts.clients) * SPREAD_MS_A_CLIENT)
        payload: dict[str, object] = {
            "reason": "gateway restarting",
            "restartExpectedMs": last.gap_ms if last is not None else EXPECTED_MS,
            "reauthenticate": True,
            "reconnectAfterMs": 0,
            "reconnectSpreadMs": spread_ms,
        }
        return Event("shutdown", payload | self._position(V3), payload_v4=payload | self._position(V4))

    def _position(self, wire_generation: int) -> dict[str, object]:
        epoch, seq = self._parts.hub.position(wire_generation)
        # Its own, which is the next: who hears it has heard everything before.
        return {"epoch": epoch, "seq": seq + 1}

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

    async def _keep_visits(self) -> None:
        while True:
            await trio.sleep(VISITS_WRITTEN_S)
            await self._write_visits()

    async def _write_visits(self) -> None:
        # The store has told of what is wrong with the disk; the next time may be better.
        with suppress(StoreError):
            await self._parts.devices.write_visits()

    async def _discover_models(self) -> None:
        while True:
            await self._parts.catalog.discover()
            await trio.sleep(DISCOVERY_CACHE_S)
