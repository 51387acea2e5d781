"""Who is here, as clients show it: one entry a device (else instance, else connection), newest first.

An entry of a connected client stays; one that has gone is kept for a while with reason `disconnect`. Clients
of the `cli` kind come and go by the second and are not tracked, as in stock.
"""

import platform
import socket
from collections.abc import Callable, Mapping
from typing import Final

import attrs

# Stock keeps an entry for five minutes after it was last heard of, and two hundred of them at most.
ENTRY_TTL_MS: Final = 5 * 60 * 1000
MAX_ENTRIES: Final = 200


@attrs.frozen
class Presence:
    """What a client says of itself when it arrives."""

    client_id: str
    mode: str
    version: str
    platform: str
    role: str
    scopes: tuple[str, ...]
    display_name: str | None = None
    device_family: str | None = None
    model_identifier: str | None = None
    device_id: str | None = None
    instance_id: str | None = None
    address: str | None = None

    @property
    def tracked(self) -> bool:
        """Whether this kind of client is shown at all."""
        return self.mode != "cli" and self.client_id != "cli"


@attrs.define
class _Entry:
    wire: dict[str, object]
    ts: int
    connections: int = 0


class PresenceList:
    """The list and its version, which goes up with every change (`stateVersion.presence`)."""

    def __init__(self, *, gateway_version: str, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._entries: dict[str, _Entry] = {}
        self._gateway = _gateway_entry(gateway_version)
        self.version = 1

    def arrived(self, connection_id: str, presence: Presence) -> None:
        """A client was admitted."""
        self.version += 1
        if not presence.tracked:
            return
        key = _key(connection_id, presence)
        connections = self._entries[key].connections if key in self._entries else 0
        self._entries[key] = _Entry(
            wire=_client_entry(key, presence, reason="connect"),
            ts=self._now_ms(),
            connections=connections + 1,
        )
        self._prune()

    def left(self, connection_id: str, presence: Presence) -> bool:
        """A client is gone; True when the list that others see changed."""
        entry = self._entries.get(_key(connection_id, presence))
        if entry is None:
            return False
        self.version += 1
        entry.connections -= 1
        entry.ts = self._now_ms()
        if entry.connections == 0:
            entry.wire = {**entry.wire, "reason": "disconnect"}
        return True

    def listing(self) -> list[dict[str, object]]:
        """Wire entries, the gateway's own first, then the newest."""
        self._prune()
        now = self._now_ms()
        newest_first = sorted(self._entries.values(), key=lambda entry: entry.ts, reverse=True)
        shown = newest_first[:MAX_ENTRIES]
        return [{**self._gateway, "ts": now}, *({**entry.wire, "ts": entry.ts} for entry in shown)]

    def _prune(self) -> None:
        oldest_kept = self._now_ms() - ENTRY_TTL_MS
        gone = [key for key, e in self._entries.items() if e.connections == 0 and e.ts < oldest_kept]
        for key in gone:
            del self._entries[key]
        excess = len(self._entries) - MAX_ENTRIES
        if excess > 0:
            gone = [key for key, entry in self._entries.items() if entry.connections == 0]
            for key in sorted(gone, key=lambda key: self._entries[key].ts)[:excess]:
                del self._entries[key]


def _key(connection_id: str, presence: Presence) -> str:
    return presence.device_id or presence.instance_id or connection_id


def _client_entry(key: str, presence: Presence, *, reason: str) -> dict[str, object]:
    name = presence.display_name or presence.client_id
    entry: Mapping[str, object | None] = {
        "host": name,
        "ip": presence.address,
        "version": presence.version,
        "platform": presence.platform,
        "deviceFamily": presence.device_family,
        "modelIdentifier": presence.model_identifier,
        "mode": presence.mode,
        "deviceId": presence.device_id,
        "roles": [presence.role],
        "scopes": list(presence.scopes),
        "instanceId": key,
        "reason": reason,
        "text": f"Node: {name} · mode {presence.mode}",
    }
    return {name: value for name, value in entry.items() if value is not None}


def _gateway_entry(version: str) -> dict[str, object]:
    host = socket.gethostname() or "gateway"
    return {
        "host": host,
        "version": version,
        "platform": f"{platform.system().lower()} {platform.release()}",
        "deviceFamily": platform.system() or "unknown",
        "modelIdentifier": platform.machine() or "unknown",
        "mode": "gateway",
        "reason": "self",
        "text": f"Gateway: {host} · app {version} · mode gateway · reason self",
    }
