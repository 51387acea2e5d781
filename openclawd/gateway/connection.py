"""From an open WebSocket to a client, or to a refusal that says why.

The gateway speaks first, takes exactly one message, decides once (gateway/handshake.py), writes one log line
about it, and answers before it closes. Whatever ends a connection here, its peer is told the reason, and
nothing says "connected" before the decision has fallen.
"""

import logging
import uuid
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

import attrs
import trio

from openclawd.auth import refusals
from openclawd.auth.admission import LOCAL_SOCKET, Admission
from openclawd.auth.decisions import Admitted, Refused
from openclawd.auth.devices import Devices
from openclawd.auth.locality import Peer
from openclawd.auth.scopes import ADMIN, OPERATOR, READ, allows
from openclawd.events.hub import Hub
from openclawd.events.journal import Resumed
from openclawd.events.subscriptions import Subscriptions
from openclawd.gateway.client import Client
from openclawd.gateway.clients import Clients
from openclawd.gateway.consequences import settle_admission, settle_request, still_holds
from openclawd.gateway.decision_log import DecisionLog
from openclawd.gateway.flusher import Flusher
from openclawd.gateway.handshake import Left, hear, outdated
from openclawd.gateway.router import Router
from openclawd.gateway.wire import Wire, WireClosed
from openclawd.protocol.closes import NORMAL, SERVICE_RESTART, Close
from openclawd.protocol.connect import CLIENT_CAPS, ResumeParams
from openclawd.protocol.frames import response_error, response_ok
from openclawd.protocol.hello import (
    Hello,
    IssuedToken,
    PrivateFacts,
    ResumeFacts,
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
    private: Callable[[], PrivateFacts]
    config_hash: Callable[[bool], str]
    """Of the configuration in force; told to those who own it, and otherwise of what may be shown of it."""

    bundled_page: bool
    uptime_ms: Callable[[], int]
    update_available: Callable[[], dict[str, object] | None]


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
    decided: Callable[[str, Admitted | Refused, bool], None]
    """Called with the connection's id for each decision, where it is logged."""

    now_ms: Callable[[], int]
    decision_log: DecisionLog = attrs.Factory(DecisionLog)


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
        scopes=_shared(_operator_scopes(admitted)),
        credential=admitted.credential,
        caps=_shared(CLIENT_CAPS.intersection(admitted.params.caps)),
        device_id=admitted.device.id if admitted.device is not None else None,
        wire=wire,
        router=desk.router,
        flusher=desk.flusher,
    )
    presence = _presence(admitted)
    desk.presence.arrived(connection_id, presence)
    # From here until the client joins the hub nobody waits, so that it hears each event once.
    resumed = _resumed(desk, client, admitted.params.resume)
    client.greet(response_ok(accepted.request_id, _hello(desk, connection_id, accepted, resumed)))
    if resumed is not None:
        for frame in resumed.frames:
            client.offer(frame, drop_if_slow=False)
    return client, presence


def _resumed(desk: Desk, client: Client, wanted: ResumeParams | None) -> Resumed | None:
    if wanted is None:
        return None
    return desk.hub.resume(client.wire_generation, client.scopes, wanted.epoch, wanted.seq)


@lru_cache(maxsize=32)
def _shared(words: frozenset[str]) -> frozenset[str]:
    """One set for all clients that have the same; most have."""
    return words


async def _admission(wire: Wire, peer: Peer, desk: Desk, connection_id: str) -> _Accepted | None:
    heard = await hear(wire, peer, desk.admission, nonce=str(uuid.uuid4()), now_ms=desk.now_ms)
    if isinstance(heard, Left):
        desk.decision_log.left_before_connect(connection_id, heard.facts, heard.close_code)
        return None
    decision = heard.decision
    if heard.is_over:
        if isinstance(decision, Refused):
            _decided(desk, connection_id, decision)
        else:
            desk.decision_log.left_before_hello(connection_id, decision)
        return None
    if heard.policy is not desk.admission.policy:
        decision = outdated(decision)
    if isinstance(decision, Refused):
        await _refuse(wire, desk, connection_id, heard.request_id, decision)
        return None
    try:
        issued = await settle_admission(decision, desk.devices, desk.hub.publish, desk.now_ms)
    except StoreError as error:
        _log.error("device not written", extra={"fields": {"conn": connection_id, "reason": str(error)}})
        if decision.pairing is not None:
            await _refuse(wire, desk, connection_id, heard.request_id, refusals.unwritable(decision.facts))
            return None
        # A full disk keeps nobody out who is known: he gets no new device token, that is all.
        issued = None
    # From the last of these questions on, nobody waits until there is a client that can be sent away.
    if heard.policy is not desk.admission.policy:
        await _refuse(wire, desk, connection_id, heard.request_id, outdated(decision))
        return None
    if not still_holds(decision, desk.devices):
        # Somebody removed the device or revoked its token meanwhile; it has to ask again.
        removed = refusals.device_removed(decision.facts, decision.params.auth)
        await _refuse(wire, desk, connection_id, heard.request_id, removed)
        return None
    _decided(desk, connection_id, decision)
    return _Accepted(heard.request_id or "", decision, issued)


async def _refuse(
    wire: Wire, desk: Desk, connection_id: str, request_id: str | None, refused: Refused
) -> None:
    try:
        refused = await settle_request(refused, desk.devices, desk.hub.publish)
    except StoreError as error:
        _log.error("request not written", extra={"fields": {"conn": connection_id, "reason": str(error)}})
        refused = refusals.unwritable(refused.facts)
    _decided(desk, connection_id, refused)
    with trio.move_on_after(REFUSAL_TIMEOUT_S):
        if refused.error is not None and request_id is not None:
            try:
                await wire.send(text_frame(response_error(request_id, refused.error)))
            except WireClosed:
                return
        await wire.close(refused.close)


def _decided(desk: Desk, connection_id: str, decision: Admitted | Refused) -> None:
    """The one place where a decision becomes known: one line in the log, one record for `doctor`."""
    told = desk.decision_log.decided(connection_id, decision)
    desk.decided(connection_id, decision, told)


async def _serve_client(desk: Desk, client: Client, presence: Presence) -> None:
    desk.clients.add(client, partial(_gone, desk, client, presence, desk.now_ms()))
    desk.hub.join(client)
    desk.health.request_refresh()
    if presence.tracked:
        # v3 gateways tell of who leaves only, and v3 clients read the list when they want it.
        desk.announcer.request(only=V4)
    close = SERVICE_RESTART
    try:
        close = await client.run()
    finally:
        desk.clients.remove(client, close)


def _gone(desk: Desk, client: Client, presence: Presence, arrived_ms: int, close: Close) -> None:
    desk.hub.leave(client)
    desk.subscriptions.leave(client.connection_id)
    _log_end(desk, client, close, arrived_ms)
    # Where everybody leaves, nobody is told.
    if not desk.clients.are_leaving and desk.presence.left(client.connection_id, presence):
        desk.announcer.request()


def _hello(desk: Desk, connection_id: str, accepted: _Accepted, resumed: Resumed | None) -> dict[str, object]:
    admitted, greeting = accepted.admitted, desk.greeting
    scopes = _operator_scopes(admitted)
    reads, owns = allows(scopes, READ), allows(scopes, ADMIN)
    hello = Hello(
        version=greeting.version,
        connection_id=connection_id,
        boot_id=greeting.boot_id,
        methods=greeting.methods,
        events=greeting.events,
        capabilities=greeting.capabilities,
        presence=desk.presence.listing() if reads else (),
        health=desk.health.greeting if reads else without_keys(desk.health.greeting_snapshot),
        presence_version=desk.presence.version,
        health_version=desk.health.version,
        uptime_ms=greeting.uptime_ms(),
        session_defaults=greeting.session_defaults(),
        role=admitted.role,
        scopes=admitted.scopes,
        issued=accepted.issued,
        private=greeting.private() if owns else None,
        config_hash=greeting.config_hash(owns),
        control_ui="bundled" if greeting.bundled_page else "configured",
        update_available=greeting.update_available(),
        resume=ResumeFacts(resumed.epoch, resumed.seq, resumed.recovered) if resumed is not None else None,
    )
    return hello_ok_v3(hello) if admitted.protocol == V3 else hello_ok_v4(hello)


def _operator_scopes(admitted: Admitted) -> frozenset[str]:
    """What the client may see and do as an operator: nothing as a node, whatever it was approved for."""
    return frozenset(admitted.scopes) if admitted.role == OPERATOR else frozenset()


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
    # That a command has ended is no news: who looks at a gateway again and again would see nothing else.
    is_command = client.credential == LOCAL_SOCKET and close.code == NORMAL.code
    _log.log(logging.DEBUG if is_command else logging.INFO, "left", extra={"fields": fields})
