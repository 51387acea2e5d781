"""The health snapshot: what `health` answers, what `hello-ok` carries and what the `health` event tells.

It is measured once a minute and soon after each arrival, by one task, so that a storm of arrivals costs one
measurement a second and no client can make the gateway work by asking.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import attrs
import trio

from openclawd.events.event import Event
from openclawd.protocol.codec import encoded

# Stock refreshes and tells everybody once a minute.
REFRESH_INTERVAL_S: Final = 60.0
# Arrivals within this time share one measurement.
REFRESH_GAP_S: Final = 1.0
# What is wrong with the configuration, in sentences; there only when something is.
CONFIG_WARNINGS: Final = "configWarnings"

_log = logging.getLogger("openclawd.health")


@attrs.frozen(eq=False, repr=False)
class SessionSummary:
    """How many conversations there are, and the latest: `recent` rows are `{key, updatedAt, age}`."""

    path: str
    count: int
    recent: Sequence[Mapping[str, object]]

    def to_wire(self) -> dict[str, object]:
        return {"path": self.path, "count": self.count, "recent": list(self.recent)}


@attrs.frozen(eq=False, repr=False)
class AgentSummary:
    """One agent and its conversations."""

    agent_id: str
    is_default: bool
    sessions: SessionSummary
    name: str | None = None

    def to_wire(self) -> dict[str, object]:
        row: dict[str, object] = {"agentId": self.agent_id, "isDefault": self.is_default}
        if self.name is not None:
            row["name"] = self.name
        # Clients expect the object; there are no heartbeats here yet, and it says so.
        row["heartbeat"] = {
            "enabled": False,
            "every": "0m",
            "everyMs": None,
            "prompt": "",
            "target": "none",
            "ackMaxChars": 0,
        }
        row["sessions"] = self.sessions.to_wire()
        return row


def without_keys(snapshot: Mapping[str, object]) -> dict[str, object]:
    """The snapshot for who may not read: how many conversations there are, but not what they are called, and
    nothing of what is in the config.
    """

    def unnamed(part: object) -> object:
        if isinstance(part, Mapping):
            return {key: [] if key == "recent" else unnamed(value) for key, value in part.items()}
        return [unnamed(item) for item in part] if isinstance(part, list) else part

    return {key: unnamed(value) for key, value in snapshot.items() if key != CONFIG_WARNINGS}


class Health:
    """The last snapshot, its version (`stateVersion.health`) and the task that renews it."""

    def __init__(
        self,
        *,
        measure: Callable[[], Awaitable[Sequence[AgentSummary]]],
        publish: Callable[[Event], None],
        presence_version: Callable[[], int],
        event_loop: Callable[[], Mapping[str, object]],
        now_ms: Callable[[], int],
        warnings: Callable[[], Mapping[str, Sequence[str]]] = dict,
    ) -> None:
        """`warnings`: what everybody should know, sentences by the member that they stand under."""
        self._measure = measure
        self._publish = publish
        self._presence_version = presence_version
        self._event_loop = event_loop
        self._now_ms = now_ms
        self._warnings = warnings
        self._wanted = trio.Event()
        self._probing = trio.Lock()
        self.snapshot: dict[str, object] = {}
        # The same, encoded once however often it is asked for.
        self.encoded = encoded(self.snapshot)
        # What a hello says of it: stock's schema of that has no place for warnings.
        self.greeting_snapshot = self.snapshot
        self.greeting = self.encoded
        self.version = 0

    def request_refresh(self) -> None:
        """Ask for a new measurement soon; never waits."""
        self._wanted.set()

    async def refresh(self) -> dict[str, object]:
        """Measure now and keep the result; does not tell anybody."""
        started = self._now_ms()
        agents = await self._measure()
        default = next((agent for agent in agents if agent.is_default), None)
        self.greeting_snapshot = {
            "ok": True,
            "ts": self._now_ms(),
            "durationMs": max(0, self._now_ms() - started),
            "eventLoop": self._event_loop(),
            "channels": {},
            "channelOrder": [],
            "channelLabels": {},
            "heartbeatSeconds": 0,
            "defaultAgentId": default.agent_id if default else "main",
            "agents": [agent.to_wire() for agent in agents],
            "sessions": (default.sessions if default else SessionSummary("", 0, ())).to_wire(),
        }
        warnings = {name: list(said) for name, said in self._warnings().items() if said}
        self.greeting = encoded(self.greeting_snapshot)
        self.snapshot = {**self.greeting_snapshot, **warnings}
        self.encoded = encoded(self.snapshot) if warnings else self.greeting
        self.version += 1
        return self.snapshot

    async def probe(self) -> dict[str, object]:
        """A snapshot that is not older than `REFRESH_GAP_S`, however many ask at once."""
        async with self._probing:
            measured = self.snapshot.get("ts")
            fresh = isinstance(measured, int) and self._now_ms() - measured < REFRESH_GAP_S * 1000
            return self.snapshot if fresh else await self.refresh()

    async def serve(self) -> None:
        """Renew and tell, every minute and on request, until cancelled."""
        while True:
            with trio.move_on_after(REFRESH_INTERVAL_S):
                await self._wanted.wait()
            self._wanted = trio.Event()
            snapshot = await self.refresh()
            versions = {"presence": self._presence_version(), "health": self.version}
            self._publish(
                Event("health", snapshot, scope="operator.read", state_version=versions),
            )
            await trio.sleep(REFRESH_GAP_S)
