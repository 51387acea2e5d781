"""From an open WebSocket to a client or a refusal, on memory streams."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed, WebSocketConnection

from openclawd.auth.admission import Admission
from openclawd.auth.credentials import SharedAuth
from openclawd.auth.devices import Devices
from openclawd.auth.holders import Holder
from openclawd.auth.limiter import Limiter
from openclawd.auth.locality import Peer
from openclawd.auth.policy import Policy
from openclawd.auth.tries import LimitRules
from openclawd.config.secret import Secret
from openclawd.events.event import Event
from openclawd.events.hub import Hub
from openclawd.events.subscriptions import Subscriptions
from openclawd.gateway.clients import Clients
from openclawd.gateway.connection import Desk, Greeting, serve_connection
from openclawd.gateway.flusher import Flusher
from openclawd.gateway.router import Router
from openclawd.methods.method import Method
from openclawd.methods.services import Services
from openclawd.net.websocket import TrioWebSocketWire
from openclawd.protocol.closes import SERVICE_RESTART
from openclawd.protocol.hello import PrivateFacts, SessionDefaults
from openclawd.store.errors import StoreError
from openclawd.vitals.announcer import PresenceAnnouncer
from openclawd.vitals.calls import CallCounts
from openclawd.vitals.health import AgentSummary, Health
from openclawd.vitals.loop_lag import LoopLag
from openclawd.vitals.presence import PresenceList
from tests.auth.memory_store import MemoryStore
from tests.support.device import Device
from tests.support.memory_socket import memory_socket
from tests.support.wire_client import connect_params

TOKEN = "0123456789abcdef0123456789abcdef0123456789abcdef"
LOCAL = Peer("127.0.0.1", 50000, "127.0.0.1:18789")
NOW_MS = 1_800_000_000_000


class FullDisk(MemoryStore):
    """A store that takes nothing any more."""

    full = False

    async def put_device(self, device_id: str, document: dict[str, object]) -> None:
        if FullDisk.full:
            raise StoreError(Path("state.sqlite3"), "the disk is full", "Make room")
        await super().put_device(device_id, document)


class SlowToForget(MemoryStore):
    """Takes a second to delete a device."""

    async def delete_device(self, device_id: str) -> None:
        await trio.sleep(1)
        await super().delete_device(device_id)


async def no_agents() -> list[AgentSummary]:
    return []


async def desk(store: MemoryStore) -> Desk:
    hub = Hub("epoch")
    presence = PresenceList(gateway_version="1", now_ms=lambda: NOW_MS)
    health = Health(
        measure=no_agents,
        publish=hub.publish,
        presence_version=lambda: 1,
        event_loop=LoopLag().to_wire,
        now_ms=lambda: NOW_MS,
    )
    drawn = iter(range(1, 1000))
    devices = Devices(
        store,
        now_ms=lambda: NOW_MS,
        random_bytes=lambda length: next(drawn).to_bytes(length, "big"),
        new_lock=trio.Lock,
    )
    await devices.load()
    return Desk(
        admission=Admission(
            Policy(SharedAuth("token", Secret(TOKEN))), devices, Limiter(LimitRules(), secret_key=b"k")
        ),
        devices=devices,
        hub=hub,
        subscriptions=Subscriptions(),
        clients=Clients(),
        router=Router(cast(Mapping[str, Method], {}), cast(Services, None), CallCounts()),
        flusher=Flusher(),
        presence=presence,
        announcer=PresenceAnnouncer(presence, publish=hub.publish, health_version=lambda: 1),
        health=health,
        greeting=Greeting(
            version="1",
            boot_id="b",
            methods=(),
            events=(),
            capabilities=(),
            session_defaults=lambda: SessionDefaults("main", "main", "agent:main:main", "per-sender"),
            private=lambda: PrivateFacts("/c", "/s", "token"),
            config_hash=lambda owns: "of all" if owns else "of what is shown",
            bundled_page=True,
            uptime_ms=lambda: 0,
            update_available=lambda: None,
        ),
        decided=lambda _connection_id, _decision, _told: None,
        now_ms=lambda: NOW_MS,
    )


class Visit:
    """One connection to a desk."""

    def __init__(self, at: Desk) -> None:
        self.desk = at
        self.settled = False

    async def serve(self, wire: TrioWebSocketWire) -> None:
        def settle() -> None:
            self.settled = True

        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.desk.flusher.serve)
            await serve_connection(wire, LOCAL, self.desk, settled=settle)
            nursery.cancel_scope.cancel()

    async def connect(
        self, socket: WebSocketConnection, device: Device, role: str = "operator", **more: object
    ) -> dict[str, Any]:
        challenge = json.loads(await socket.get_message())
        params = connect_params(challenge["payload"]["nonce"], token=TOKEN, role=role) | more
        params["device"] = device.sign(
            nonce=challenge["payload"]["nonce"],
            client=params["client"],
            role=role,
            scopes=params["scopes"],
            token=TOKEN,
            signed_at_ms=NOW_MS,
        )
        await socket.send_message(
            json.dumps({"type": "req", "id": "1", "method": "connect", "params": params})
        )
        return dict(json.loads(await socket.get_message()))


async def close_of(socket: WebSocketConnection) -> tuple[int, str]:
    while True:
        try:
            await socket.get_message()
        except ConnectionClosed as closed:
            reason = closed.reason
            return (reason.code, reason.reason or "") if reason else (1006, "")


async def test_a_socket_that_says_nothing_is_closed_after_ten_seconds_with_the_reason(
    autojump_clock: MockClock,
) -> None:
    started = trio.current_time()
    visit = Visit(await desk(MemoryStore()))
    async with memory_socket(visit.serve) as socket:
        assert await close_of(socket) == (1008, "handshake timeout: no connect request")
        assert trio.current_time() - started == pytest.approx(10.0)
    assert not visit.settled


async def test_an_admitted_client_is_counted_until_it_leaves(autojump_clock: MockClock) -> None:
    visit = Visit(await desk(MemoryStore()))
    async with memory_socket(visit.serve) as socket:
        assert (await visit.connect(socket, Device()))["ok"]
        assert (len(visit.desk.clients), len(visit.desk.hub), visit.settled) == (1, 1, True)
        await socket.aclose()
        await trio.sleep(1)
    assert (len(visit.desk.clients), len(visit.desk.hub)) == (0, 0)


async def test_when_everybody_is_sent_away_nobody_is_told_who_has_left(autojump_clock: MockClock) -> None:
    place = await desk(MemoryStore())
    async with memory_socket(Visit(place).serve) as first, memory_socket(Visit(place).serve) as second:
        for each in (first, second):
            await Visit(place).connect(each, Device())
        version = place.presence.version
        async with trio.open_nursery() as nursery:
            nursery.start_soon(place.clients.dismiss, SERVICE_RESTART)
            assert [await close_of(first), await close_of(second)] == [(1012, "service restart")] * 2
    assert (len(place.clients), len(place.hub)) == (0, 0)
    assert place.presence.version == version


async def test_a_node_is_told_and_sent_nothing_of_an_operators_whatever_scopes_it_was_approved_for(
    autojump_clock: MockClock,
) -> None:
    visit = Visit(await desk(MemoryStore()))
    async with memory_socket(visit.serve) as socket:
        hello = (await visit.connect(socket, Device(), role="node"))["payload"]
        assert "operator.admin" in hello["auth"]["scopes"]
        assert "configPath" not in hello["snapshot"]
        assert hello["snapshot"]["presence"] == []
        visit.desk.hub.publish(Event("chat", {}, scope="operator.read"))
        visit.desk.hub.publish(Event("tick", {}))
        assert json.loads(await socket.get_message())["event"] == "tick"


async def test_what_a_client_subscribed_to_is_forgotten_when_it_leaves(autojump_clock: MockClock) -> None:
    visit = Visit(await desk(MemoryStore()))
    subscriptions = visit.desk.subscriptions
    async with memory_socket(visit.serve) as socket:
        connection_id = (await visit.connect(socket, Device()))["payload"]["server"]["connId"]
        subscriptions.sessions(connection_id, on=True)
        subscriptions.messages(connection_id, "agent:main:main", on=True)
        await socket.aclose()
        await trio.sleep(1)
    assert not subscriptions.sessions_listeners
    assert not subscriptions.message_listeners("agent:main:main")


async def test_a_full_disk_keeps_no_known_device_out(autojump_clock: MockClock) -> None:
    device, place = Device(), await desk(FullDisk())
    FullDisk.full = False
    async with memory_socket(Visit(place).serve) as socket:
        assert "deviceToken" in (await Visit(place).connect(socket, device))["payload"]["auth"]
    FullDisk.full = True
    async with memory_socket(Visit(place).serve) as socket:
        answer = await Visit(place).connect(socket, device)
    assert answer["ok"]
    assert "auth" not in answer["payload"]


async def test_a_new_device_is_told_to_come_back_when_it_cannot_be_remembered(
    autojump_clock: MockClock,
) -> None:
    FullDisk.full = True
    visit = Visit(await desk(FullDisk()))
    async with memory_socket(visit.serve) as socket:
        answer = await visit.connect(socket, Device())
        assert (answer["error"]["code"], answer["error"]["retryable"]) == ("UNAVAILABLE", True)
        assert await close_of(socket) == (1011, "internal error")


async def test_a_device_that_is_removed_while_it_is_being_admitted_does_not_get_in(
    autojump_clock: MockClock,
) -> None:
    device, place = Device(), await desk(SlowToForget())
    async with memory_socket(Visit(place).serve) as socket:
        assert (await Visit(place).connect(socket, device))["ok"]

    async def remove() -> None:
        assert await place.devices.remove(device.id, Holder(("operator.admin",)))

    visit = Visit(place)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(remove)
        async with memory_socket(visit.serve) as socket:
            answer = await visit.connect(socket, device)
            assert answer["error"]["details"]["code"] == "PAIRING_REQUIRED"
            assert await close_of(socket) == (1008, "pairing required")
    assert not visit.settled


async def test_who_comes_back_hears_what_it_missed_right_after_hello_and_then_what_is_new(
    autojump_clock: MockClock,
) -> None:
    device, place = Device(), await desk(MemoryStore())
    async with memory_socket(Visit(place).serve) as socket:
        first = (await Visit(place).connect(socket, device, resume={}))["payload"]["resume"]
    for number in (1, 2):
        place.hub.publish(Event("chat", {"n": number}, scope="operator.read"))

    async with memory_socket(Visit(place).serve) as socket:
        position = {"epoch": first["epoch"], "seq": first["seq"] + 1}
        again = (await Visit(place).connect(socket, device, resume=position))["payload"]["resume"]
        place.hub.publish(Event("chat", {"n": 3}, scope="operator.read"))
        heard = [json.loads(await socket.get_message())["payload"] for _ in range(2)]

    assert (first["epoch"], first["recovered"]) == ("epoch", False)
    assert again == {"epoch": "epoch", "seq": first["seq"] + 2, "recovered": True}
    assert heard == [{"n": 2}, {"n": 3}]


async def test_a_node_that_comes_back_hears_nothing_of_an_operators(autojump_clock: MockClock) -> None:
    device, place = Device(), await desk(MemoryStore())
    async with memory_socket(Visit(place).serve) as socket:
        first = (await Visit(place).connect(socket, device, role="node", resume={}))["payload"]["resume"]
    place.hub.publish(Event("chat", {}, scope="operator.read"))

    async with memory_socket(Visit(place).serve) as socket:
        position = {"epoch": "epoch", "seq": first["seq"]}
        again = (await Visit(place).connect(socket, device, "node", resume=position))["payload"]["resume"]
        place.hub.publish(Event("tick", {}))
        assert json.loads(await socket.get_message())["event"] == "tick"

    assert again == {"epoch": "epoch", "seq": first["seq"] + 1, "recovered": True}


async def test_who_does_not_ask_for_it_hears_nothing_of_what_it_missed(autojump_clock: MockClock) -> None:
    device, place = Device(), await desk(MemoryStore())
    async with memory_socket(Visit(place).serve) as socket:
        await Visit(place).connect(socket, device)
    place.hub.publish(Event("chat", {}, scope="operator.read"))

    async with memory_socket(Visit(place).serve) as socket:
        hello = (await Visit(place).connect(socket, device))["payload"]
        place.hub.publish(Event("tick", {}))
        assert json.loads(await socket.get_message())["event"] == "tick"

    assert "resume" not in hello
