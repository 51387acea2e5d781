"""What is told of devices: who asks, how that ended, and that something about them is another now."""

from collections.abc import Iterator
from typing import Final

from openclawd.auth.pairing import PairingRequest
from openclawd.auth.scopes import NODE, PAIRING
from openclawd.events.event import Event
from openclawd.protocol.versions import V4

CHANGED: Final = Event("device.pair.changed", {}, only=V4, scope=PAIRING, drop_if_slow=True)
"""A device was renamed or removed, or has other tokens; says no more, as in stock: who cares lists anew."""


def requested(request: PairingRequest) -> Event:
    """Somebody waits for a person."""
    return Event("device.pair.requested", request.to_wire(), scope=PAIRING, drop_if_slow=True)


def resolved(request: PairingRequest, decision: str, now_ms: int) -> Iterator[Event]:
    """A request was `approved` or `rejected`; who looks after nodes only hears of it as theirs, too."""
    yield resolved_silently(request.request_id, request.device_id, decision, now_ms)
    if NODE in request.roles:
        payload = {
            "requestId": request.request_id,
            "nodeId": request.device_id,
            "decision": decision,
            "ts": now_ms,
        }
        yield Event("node.pair.resolved", payload, scope=PAIRING, drop_if_slow=True)


def resolved_silently(request_id: str, device_id: str, decision: str, now_ms: int) -> Event:
    """The same, of a request that nobody had to see."""
    payload = {"requestId": request_id, "deviceId": device_id, "decision": decision, "ts": now_ms}
    return Event("device.pair.resolved", payload, scope=PAIRING, drop_if_slow=True)
