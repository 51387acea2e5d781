"""Who is here, as clients show it: one entry a device (else instance, else connection), newest first.

An entry of a connected client stays; one that has gone is kept for a while with reason `disconnect`. Clients
of the `cli` kind come and go by the second and are not tracked, as in stock; nor are probes, who only look
whether they would be let in.
"""

import platform
import socket
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final, cast

import attrs

from openclawd.protocol.codec import Encoded, decode, encode, encoded
from openclawd.vitals.presence_report import MAX_CHARS, PresenceReport

# Stock keeps an entry for five minutes after it was last heard of, and two hundred of them at most.
ENTRY_TTL_MS: Final = 5 * 60 * 1000
MAX_ENTRIES: Final = 200


@attrs.frozen(eq=False, repr=False)
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
        return self.mode not in {"cli", "probe"} and self.client_id != "cli"


@attrs.frozen(eq=False, repr=False)
class _Entry:
    row: Encoded
    ts: int
    connections: int


class PresenceList:
    """The list and its version, which goes up with every change (`stateVersion.presence`).

    A row is encoded when it changes, not when it is told: in a storm of arrivals each newcomer gets them all.
    """

    def __init__(self, *, gateway_version: str, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        # Both in the order of the last change; of who is gone, only the key.
        self._entries: dict[str, _Entry] = {}
        self._gone: dict[str, None] = {}
        self._gateway = _gateway_entry(gateway_version)
        self.version = 1

    def arrived(self, connection_id: str, presence: Presence) -> None:
        """A client was admitted."""
        self.version += 1
        if not presence.tracked:
            return
        key = _key(connection_id, presence)
        known = self._entries.get(key)
        connections = known.connections if known is not None else 0
        self._put(key, _client_entry(key, presence, reason="connect"), connections + 1)

    def left(self, connection_id: str, presence: Presence) -> bool:
        """A client is gone; True when the list that others see changed."""
        key = _key(connection_id, presence)
        entry = self._entries.get(key)
        if entry is None or not presence.tracked:
            return False
        self.version += 1
        connections = entry.connections - 1
        reason = {"reason": "disconnect"} if connections == 0 else {}
        self._put(key, {**_members(entry), **reason}, connections)
        return True

    def reported(self, report: PresenceReport) -> None:
        """A program says where its user is; what it does not say stays as it was."""
        self.version += 1
        known = self._entries.get(report.key)
        said = {**_members(known), **report.wire} if known is not None else report.wire
        self._put(report.key, said, known.connections if known is not None else 0)

    def listing(self) -> list[Encoded]:
        """JSON objects, the gateway's own first, then the newest."""
        self._prune()
        newest_first = reversed(self._entries.values())
        rows = [entry.row for entry in islice(newest_first, MAX_ENTRIES)]
        return [encoded({**self._gateway, "ts": self._now_ms()}), *rows]

    def _put(self, key: str, wire: Mapping[str, object], connections: int) -> None:
        self._entries.pop(key, None)
        self._gone.pop(key, None)
        now = self._now_ms()
        self._entries[key] = _Entry(encoded({**wire, "ts": now}), now, connections)
        if connections == 0:
            self._gone[key] = None
        self._prune()

    def _prune(self) -> None:
        oldest_kept = self._now_ms() - ENTRY_TTL_MS
        while self._gone:
            longest_gone = next(iter(self._gone))
            if self._entries[longest_gone].ts >= oldest_kept and len(self._entries) <= MAX_ENTRIES:
                return
            del self._gone[longest_gone], self._entries[longest_gone]


def _members(entry: _Entry) -> dict[str, object]:
    return cast("dict[str, object]", decode(encode(entry.row)))


def _key(connection_id: str, presence: Presence) -> str:
    return presence.device_id or presence.instance_id or connection_id


def _client_entry(key: str, presence: Presence, *, reason: str) -> dict[str, object]:
    name = (presence.display_name or presence.client_id)[:MAX_CHARS]
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
    return {
        name: value[:MAX_CHARS] if isinstance(value, str) else value
        for name, value in entry.items()
        if value is not None
    }


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
