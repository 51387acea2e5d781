"""From an open WebSocket to a client, or to a refusal that says why.

The gateway speaks first (the challenge), takes exactly one message, decides once, writes one log line about
it, and answers before it closes. Whatever ends a connection here, its peer is told the reason, and nothing
says "connected" before the decision has fallen.
"""

import logging
import uuid
from collections.abc import Callable
from typing import Final

import attrs
import trio

from openclawd.auth import refusals
from openclawd.auth.admission import Admission, Attempt, peer_facts
from openclawd.auth.decisions import Admitted, Refused
from openclawd.auth.devices import Devices
from openclawd.auth.locality import Peer
from openclawd.auth.scopes import ADMIN, PAIRING, READ, allows
from openclawd.events.event import Event
from openclawd.events.hub import Hub
from openclawd.events.subscriptions import Subscriptions
from openclawd.gateway.client import Client
from openclawd.gateway.clients import Clients
from openclawd.gateway.flusher import Flusher
from openclawd.gateway.router import Router
from openclawd.gateway.wire import Wire, WireClosed, WireOverflow
from openclawd.protocol.closes import SERVICE_RESTART, Close
from openclawd.protocol.codec import NotJson
from openclawd.protocol.connect import CLIENT_CAPS
from openclawd.protocol.frames import (
    MalformedFrame,
    event_frame,
    parse_request,
    response_error,
    response_ok,
)
from openclawd.protocol.hello import (
    Hello,
    IssuedToken,
    PrivateFacts,
    SessionDefaults,
    hello_ok_v3,
    hello_ok_v4,
)
from openclawd.protocol.versions import V3, V4
from openclawd.protocol.websocket_frames import text_frame
from openclawd.store.errors import StoreError
from openclawd.vitals.announcer import PresenceAnnouncer
from openclawd.vitals.health import Health, without_keys
from openclawd.vitals.presence import Presence, PresenceList

# From the upgrade to the connect request; stock v3 clients are done in milliseconds, a phone on a bad link in
# seconds.
HANDSHAKE_TIMEOUT_S: Final = 10.0
# For a peer to take the refusal.
REFUSAL_TIMEOUT_S: Final = 5.0

_log = logging.getLogger("openclawd.admission")


@attrs.frozen(eq=False, repr=False)
class Greeting:
    """What every hello-ok says, whoever it is for."""

    version: str
    boot_id: str
    methods: tuple[str, ...]
    events: tuple[str, ...]
    capabilities: tuple[str, ...]
    session_defaults: Callable[[], SessionDefaults]
    private: PrivateFacts
    config_hash: str
    bundled_page: bool
    uptime_ms: Callable[[], int]


@attrs.frozen(eq=False, repr=False)
class Desk:
    """What a connection needs of the house to become a client."""

    admission: Admission
    devices: Devices
    hub: Hub
    subscriptions: Subscriptions
    clients: Clients
    router: Router
    flusher: Flusher
    presence: PresenceList
    announcer: PresenceAnnouncer
    health: Health
    greeting: Greeting
    now_ms: Callable[[], int]


@attrs.frozen(eq=False, repr=False)
class _Accepted:
    """An admission whose consequences are on disk, and the id of the request that it answers."""

    request_id: str
    admitted: Admitted
    issued: IssuedToken | None


async def serve_connection(wire: Wire, peer: Peer, desk: Desk, *, settled: Callable[[], None]) -> None:
    """Serve one WebSocket from its first frame to its close. `settled` is called once it is a client."""
    arrived = await _arrive(wire, peer, desk)
    if arrived is not None:
        settled()
        wire.admitted()
        await _serve_client(desk, *arrived)


async def _arrive(wire: Wire, peer: Peer, desk: Desk) -> tuple[Client, Presence] | None:
    """Everything that an idle client need not remember ends with this call."""
    connection_id = str(uuid.uuid4())
    accepted = await _admission(wire, peer, desk, connection_id)
    if accepted is None:
        return None
    admitted = accepted.admitted
    client = Client(
        connection_id=connection_id,
        wire_generation=admitted.protocol,
        role=admitted.role,
        scopes=frozenset(admitted.scopes),
        credential=admitted.credential,
        caps=CLIENT_CAPS.intersection(admitted.params.caps),
        device_id=admitted.device.id if admitted.device is not None else None,
        wire=wire,
        router=desk.router,
        flusher=desk.flusher,
    )
    presence = _presence(admitted)
    desk.presence.arrived(connection_id, presence)
    client.greet(response_ok(accepted.request_id, _hello(desk, connection_id, accepted)))
    return client, presence


async def _admission(wire: Wire, peer: Peer, desk: Desk, connection_id: str) -> _Accepted | None:
    nonce = str(uuid.uuid4())
    facts = peer_facts(peer, desk.admission.policy)
    request_id: str | None = None
    decision: Admitted | Refused = refusals.handshake_timeout(facts)
    try:
        with trio.move_on_after(HANDSHAKE_TIMEOUT_S):
            # v4 looks here for what its `connect` may ask for, which is nothing yet.
            challenge = {"nonce": nonce, "ts": desk.now_ms(), "capabilities": []}
            await wire.send(text_frame(event_frame("connect.challenge", challenge)))
            message = await wire.receive()
            request = parse_request(message)
            request_id = request.id
            decision = desk.admission.decide(Attempt(peer, nonce, request, desk.now_ms()))
    except NotJson:
        decision = refusals.not_json(facts)
    except MalformedFrame:
        decision = refusals.malformed_frame(facts)
    except WireOverflow:
        decision = refusals.too_big(facts)
    except WireClosed as closed:
        if closed.by_us:
            decision = refusals.protocol_breach(facts, Close(closed.code, closed.reason))
            _log.info("refused", extra={"fields": {"conn": connection_id, **decision.log_fields()}})
        else:
            fields = {"conn": connection_id, **facts.log_fields(), "closeCode": closed.code}
            _log.info("left before connect", extra={"fields": fields})
        return None
    if isinstance(decision, Refused):
        await _refuse(wire, desk, connection_id, request_id, decision)
        return None
    try:
        issued = await _consequences(desk, decision)
        if issued is None and decision.token_request is not None:
            # Somebody removed the device while this was being written; it has to ask again.
            gone = refusals.device_removed(decision.facts)
            await _refuse(wire, desk, connection_id, request_id, gone)
            return None
    except StoreError as error:
        _log.error("device not written", extra={"fields": {"conn": connection_id, "reason": str(error)}})
        if decision.pairing is not None:
            await _refuse(wire, desk, connection_id, request_id, refusals.unwritable(decision.facts))
            return None
        # A full disk keeps nobody out who is known: he gets no new device token, that is all.
        issued = None
    _log.info("admitted", extra={"fields": {"conn": connection_id, **decision.log_fields()}})
    return _Accepted(request_id or "", decision, issued)


async def _refuse(
    wire: Wire, desk: Desk, connection_id: str, request_id: str | None, refused: Refused
) -> None:
    if refused.pairing is not None:
        waiting, created = await desk.devices.request(refused.pairing)
        refused = refused.with_request_id(waiting.request_id)
        if created:
            requested = Event("device.pair.requested", waiting.to_wire(), scope=PAIRING, drop_if_slow=True)
            desk.hub.publish(requested)
    _log.info("refused", extra={"fields": {"conn": connection_id, **refused.log_fields()}})
    with trio.move_on_after(REFUSAL_TIMEOUT_S):
        if refused.error is not None and request_id is not None:
            try:
                await wire.send(text_frame(response_error(request_id, refused.error)))
            except WireClosed:
                return
        await wire.close(refused.close)


async def _consequences(desk: Desk, admitted: Admitted) -> IssuedToken | None:
    """Write what the decision asks for: it counts once it is on disk."""
    if admitted.pairing is not None:
        device_id = admitted.pairing.device_id
        waited = [request.request_id for request in desk.devices.waiting() if request.device_id == device_id]
        await desk.devices.pair(admitted.pairing)
        for request_id in waited or [str(uuid.uuid4())]:
            payload = {
                "requestId": request_id,
                "deviceId": device_id,
                "decision": "approved",
                "ts": desk.now_ms(),
            }
            desk.hub.publish(Event("device.pair.resolved", payload, scope=PAIRING, drop_if_slow=True))
    wanted = admitted.token_request
    if wanted is None:
        return None
    await desk.devices.touch(
        wanted.device_id, wanted.role, None if admitted.is_local else admitted.client_address
    )
    return await desk.devices.issue_token(
        wanted.device_id, wanted.role, wanted.scopes, presented=wanted.presented
    )


async def _serve_client(desk: Desk, client: Client, presence: Presence) -> None:
    arrived_ms = desk.now_ms()
    desk.clients.add(client)
    desk.hub.join(client)
    desk.health.request_refresh()
    if presence.tracked:
        # v3 gateways tell of who leaves only, and v3 clients read the list when they want it.
        desk.announcer.request(only=V4)
    close = SERVICE_RESTART
    try:
        close = await client.run()
    finally:
        desk.hub.leave(client)
        desk.subscriptions.leave(client.connection_id)
        desk.clients.remove(client)
        _log_end(desk, client, close, arrived_ms)
        if desk.presence.left(client.connection_id, presence):
            desk.announcer.request()


def _hello(desk: Desk, connection_id: str, accepted: _Accepted) -> dict[str, object]:
    admitted, greeting = accepted.admitted, desk.greeting
    reads = allows(admitted.scopes, READ)
    hello = Hello(
        version=greeting.version,
        connection_id=connection_id,
        boot_id=greeting.boot_id,
        methods=greeting.methods,
        events=greeting.events,
        capabilities=greeting.capabilities,
        presence=desk.presence.listing() if reads else (),
        health=desk.health.encoded if reads else without_keys(desk.health.snapshot),
        presence_version=desk.presence.version,
        health_version=desk.health.version,
        uptime_ms=greeting.uptime_ms(),
        session_defaults=greeting.session_defaults(),
        role=admitted.role,
        scopes=admitted.scopes,
        issued=accepted.issued,
        private=greeting.private if allows(admitted.scopes, ADMIN) else None,
        config_hash=greeting.config_hash,
        control_ui="bundled" if greeting.bundled_page else "configured",
    )
    return hello_ok_v3(hello) if admitted.protocol == V3 else hello_ok_v4(hello)


def _presence(admitted: Admitted) -> Presence:
    client = admitted.params.client
    return Presence(
        client_id=client.id,
        mode=client.mode,
        version=client.version,
        platform=client.platform,
        role=admitted.role,
        scopes=admitted.scopes,
        display_name=client.display_name,
        device_family=client.device_family,
        model_identifier=client.model_identifier,
        device_id=admitted.device.id if admitted.device is not None else None,
        instance_id=client.instance_id,
        address=None if admitted.is_local else admitted.client_address or None,
    )


def _log_end(desk: Desk, client: Client, close: Close, arrived_ms: int) -> None:
    fields: dict[str, object] = {
        "conn": client.connection_id,
        "closeCode": close.code,
        "closeReason": close.reason,
        "lastedMs": desk.now_ms() - arrived_ms,
    }
    if client.dropped_events:
        fields["droppedEvents"] = client.dropped_events
    _log.info("left", extra={"fields": fields})
