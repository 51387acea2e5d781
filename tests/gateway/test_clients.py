"""Saying goodbye to everybody."""

import os
from collections.abc import Mapping
from typing import cast

import attrs
import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed, WebSocketConnection

from openclawd.gateway.client import Client
from openclawd.gateway.clients import Clients
from openclawd.gateway.flusher import Flusher
from openclawd.gateway.router import Router
from openclawd.methods.method import AnyParams, Call, Method, MethodTable
from openclawd.methods.services import Services
from openclawd.net.websocket import TrioWebSocketWire
from openclawd.protocol.closes import NORMAL, SERVICE_RESTART, Close
from openclawd.vitals.calls import CallCounts
from tests.support.memory_socket import memory_socket, socket_pair


class Door:
    """Lets everybody in as a client of `clients`."""

    def __init__(self, methods: Mapping[str, Method] | None = None) -> None:
        self.clients = Clients()
        self._methods = methods or {}
        self.ended: list[Close] = []
        self.serving = 0
        self._arrived = 0

    async def serve(self, wire: TrioWebSocketWire) -> None:
        self._arrived += 1
        wire.admitted()
        flusher = Flusher()
        client = Client(
            connection_id=f"c{self._arrived}",
            wire_generation=3,
            role="operator",
            scopes=frozenset(),
            credential="token",
            caps=frozenset(),
            device_id=None,
            wire=wire,
            router=Router(self._methods, cast(Services, None), CallCounts()),
            flusher=flusher,
        )
        client.greet(b'"hello"')
        self.clients.add(client, self.ended.append)
        close = SERVICE_RESTART
        self.serving += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(flusher.serve)
                close = await client.run()
                nursery.cancel_scope.cancel()
        finally:
            self.serving -= 1
            self.clients.remove(client, close)


def ignored(_close: Close) -> None:
    pass


async def settled(*sockets: WebSocketConnection) -> None:
    """They have their hello, and whoever wrote it knows."""
    for each in sockets:
        await each.get_message()
    await trio.testing.wait_all_tasks_blocked(0.001)


async def close_of(socket: WebSocketConnection) -> tuple[int, str]:
    while True:
        try:
            await socket.get_message()
        except ConnectionClosed as closed:
            reason = closed.reason
            return (reason.code, reason.reason or "") if reason else (1006, "")


async def test_everybody_is_told_and_gone_when_the_goodbye_returns(autojump_clock: MockClock) -> None:
    door = Door()
    async with memory_socket(door.serve) as first, memory_socket(door.serve) as second:
        await first.get_message()
        await second.get_message()
        await door.clients.dismiss(SERVICE_RESTART)

        assert len(door.clients) == 0
        assert [await close_of(first), await close_of(second)] == [(1012, "service restart")] * 2


async def test_everybody_is_told_why_before_the_wait_for_an_answer_begins(autojump_clock: MockClock) -> None:
    door = Door()
    async with (
        memory_socket(door.serve, streams=socket_pair) as first,
        memory_socket(door.serve, streams=socket_pair) as second,
    ):
        await first.get_message()
        await second.get_message()
        await door.clients.dismiss(SERVICE_RESTART, patience_s=0)

        assert [await close_of(first), await close_of(second)] == [(1012, "service restart")] * 2


async def test_who_is_left_to_an_heir_is_not_waited_for(autojump_clock: MockClock) -> None:
    door = Door()
    inherited: list[int] = []
    async with (
        memory_socket(door.serve, streams=socket_pair) as first,
        memory_socket(door.serve, streams=socket_pair) as second,
    ):
        await settled(first, second)
        began = trio.current_time()
        # For one more there is no room: he answers, or is waited for.
        await door.clients.dismiss(SERVICE_RESTART, 0.25, inherited.append, heir_takes=1)

        assert trio.current_time() == began
        assert len(inherited) == 1
        assert [await close_of(first), await close_of(second)] == [(1012, "service restart")] * 2
    os.close(inherited[0])


async def test_whose_connection_goes_along_is_gone_though_its_task_sleeps_on(
    autojump_clock: MockClock,
) -> None:
    door = Door()
    inherited: list[int] = []
    async with memory_socket(door.serve, streams=socket_pair) as socket:
        await settled(socket)
        await door.clients.dismiss(SERVICE_RESTART, 0.25, inherited.append, heir_takes=1)
        assert (len(door.clients), door.clients.asleep, door.ended) == (0, 1, [SERVICE_RESTART])
        assert await close_of(socket) == (1012, "service restart")
        await trio.sleep(60)
        assert door.serving == 1
        os.close(inherited[0])
    assert (door.serving, door.ended) == (0, [SERVICE_RESTART])


async def test_what_it_asked_for_has_ended_before_the_goodbye_returns(autojump_clock: MockClock) -> None:
    table = MethodTable()
    ended: list[str] = []

    @table.add("slow", scope=None, params=AnyParams)
    async def slow(_call: Call, _params: AnyParams) -> object:
        try:
            await trio.sleep_forever()
        finally:
            ended.append("slow")

    door = Door(table.methods)
    inherited: list[int] = []
    async with memory_socket(door.serve, streams=socket_pair) as socket:
        await settled(socket)
        await socket.send_message('{"type": "req", "id": "1", "method": "slow"}')
        await trio.sleep(1)
        await door.clients.dismiss(SERVICE_RESTART, 0.25, inherited.append, heir_takes=1)
        assert (ended, door.ended, door.serving) == (["slow"], [SERVICE_RESTART], 0)
        assert door.clients.asleep == 0
    os.close(inherited[0])


async def test_whom_the_network_holds_up_is_no_heirs(autojump_clock: MockClock) -> None:
    door = Door()
    inherited: list[int] = []
    async with memory_socket(door.serve) as slow:
        await slow.get_message()
        await door.clients.dismiss(SERVICE_RESTART, 0.25, inherited.append, heir_takes=1)
        assert await close_of(slow) == (1012, "service restart")
    assert not inherited


async def test_who_arrives_in_the_middle_of_the_goodbye_is_part_of_it(autojump_clock: MockClock) -> None:
    door = Door()
    async with trio.open_nursery() as nursery, memory_socket(door.serve) as first:
        await first.get_message()
        nursery.start_soon(door.clients.dismiss, SERVICE_RESTART)
        async with memory_socket(door.serve) as late:
            assert await close_of(late) == (1012, "service restart")


async def test_without_anybody_the_goodbye_is_short(autojump_clock: MockClock) -> None:
    await Clients().dismiss(SERVICE_RESTART)


@attrs.frozen(eq=False)
class Dropping:
    """As much of a client as is counted."""

    dropped_events: int


def test_what_was_dropped_for_a_client_still_counts_when_it_has_left() -> None:
    clients = Clients()
    slow = cast(Client, Dropping(3))
    clients.add(slow, ignored)
    clients.add(cast(Client, Dropping(4)), ignored)
    assert clients.dropped_events == 7
    clients.remove(slow, NORMAL)
    clients.remove(slow, NORMAL)
    assert clients.dropped_events == 7
    assert len(list(clients)) == 1


@attrs.define(eq=False)
class Reading:
    """As much of a client as has to catch up: what waits for it, and whether it was cut off."""

    buffered_bytes: int
    cut_by: Close | None = None

    def cut(self, close: Close) -> None:
        self.cut_by = close


async def test_who_takes_what_waits_in_time_is_not_cut_off_and_who_does_not_is(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    clients = Clients()
    idle, slow, stuck = Reading(0), Reading(10), Reading(10)
    for each in (idle, slow, stuck):
        clients.add(cast(Client, each), ignored)

    async def read() -> None:
        await trio.sleep(0.3)
        slow.buffered_bytes = 0

    nursery.start_soon(read)
    await clients.catch_up(0.5, SERVICE_RESTART)

    assert [each.cut_by for each in (idle, slow, stuck)] == [None, None, SERVICE_RESTART]


async def test_who_took_what_waited_in_a_turn_of_the_loop_that_lasted_too_long_is_not_cut_off(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    clients = Clients()
    reader = Reading(10)
    clients.add(cast(Client, reader), ignored)

    async def write_to_a_crowd() -> None:
        reader.buffered_bytes = 0
        autojump_clock.jump(1.0)

    nursery.start_soon(write_to_a_crowd)
    await clients.catch_up(0.5, SERVICE_RESTART)

    assert reader.cut_by is None


async def test_nobody_is_waited_for_when_nothing_waits_for_anybody(autojump_clock: MockClock) -> None:
    clients = Clients()
    clients.add(cast(Client, Reading(0)), ignored)
    before_s = trio.current_time()

    await clients.catch_up(0.5, SERVICE_RESTART)

    assert trio.current_time() == before_s
