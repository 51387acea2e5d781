"""An admitted client: one reader, one writer, requests that do not wait for each other."""

import json
from collections.abc import Mapping
from typing import Any, cast

import attrs
import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed, WebSocketConnection

from openclawd.events.event import Event
from openclawd.events.hub import Hub
from openclawd.gateway.client import GOODBYE_GRACE_S, Client
from openclawd.gateway.flusher import Flusher
from openclawd.gateway.router import Router
from openclawd.methods.method import AnyParams, Call, Method, MethodTable
from openclawd.methods.services import Services
from openclawd.net.websocket import TrioWebSocketWire
from openclawd.protocol.closes import SERVICE_RESTART, Close
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import ErrorCode, ErrorShape, RequestError, invalid_request
from openclawd.protocol.websocket_frames import text_frame
from openclawd.vitals.calls import CallCounts
from tests.support.memory_socket import memory_socket

TABLE = MethodTable()


@attrs.frozen
class NameParams:
    name: NonEmptyStr


@TABLE.add("fast", scope=None, params=AnyParams)
def fast(_call: Call, _params: AnyParams) -> object:
    return "fast"


@TABLE.add("slow", scope="operator.read", params=AnyParams)
async def slow(_call: Call, _params: AnyParams) -> object:
    await trio.sleep(5)
    return "slow"


@TABLE.add("greet", scope="operator.read", params=NameParams)
def greet(_call: Call, params: NameParams) -> object:
    return f"hello {params.name}"


@TABLE.add("broken", scope="operator.read", params=AnyParams)
def broken(_call: Call, _params: AnyParams) -> object:
    raise ZeroDivisionError


@TABLE.add("picky", scope="operator.read", params=AnyParams)
async def picky(_call: Call, _params: AnyParams) -> object:
    raise invalid_request("not like this", hint="otherwise")


@TABLE.add("in two steps", scope="operator.read", params=AnyParams)
async def in_two_steps(call: Call, _params: AnyParams) -> object:
    call.respond({"status": "accepted"})
    await trio.sleep(5)
    return {"status": "ok"}


@TABLE.add("in vain", scope="operator.read", params=AnyParams)
async def in_vain(call: Call, _params: AnyParams) -> object:
    call.respond({"status": "accepted"})
    raise RequestError(ErrorShape(ErrorCode.UNAVAILABLE, "no luck"), {"status": "error"})


class Table:
    """One client on the gateway's side, and the client's end of its socket."""

    def __init__(
        self,
        *,
        role: str = "operator",
        scopes: frozenset[str] = frozenset({"operator.read"}),
        generation: int = 3,
    ) -> None:
        self.role, self.scopes, self.generation = role, scopes, generation
        self.client: Client | None = None
        self.ended: Close | None = None

    async def serve(self, wire: TrioWebSocketWire, hub: Hub | None = None) -> None:
        wire.admitted()
        # None of these methods asks for a service.
        router = Router(cast(Mapping[str, Method], TABLE.methods), cast(Services, None), CallCounts())
        flusher = Flusher()
        self.client = Client(
            connection_id="c1",
            wire_generation=self.generation,
            role=self.role,
            scopes=self.scopes,
            credential="token",
            caps=frozenset(),
            device_id=None,
            wire=wire,
            router=router,
            flusher=flusher,
        )
        if hub is not None:
            hub.join(self.client)
        self.client.greet(b'"hello"')
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flusher.serve)
            self.ended = await self.client.run()
            nursery.cancel_scope.cancel()


async def answer(socket: WebSocketConnection) -> Any:
    return json.loads(await socket.get_message())


async def ask(socket: WebSocketConnection, method: str, params: object = None, request_id: str = "1") -> Any:
    frame = {"type": "req", "id": request_id, "method": method, "params": params or {}}
    await socket.send_message(json.dumps(frame))


async def asked(table: Table, method: str, params: object = None) -> Any:
    async with memory_socket(table.serve) as socket:
        await answer(socket)
        await ask(socket, method, params)
        return await answer(socket)


async def test_the_hello_goes_out_before_anything_else(autojump_clock: MockClock) -> None:
    async with memory_socket(Table().serve) as socket:
        assert await answer(socket) == "hello"


async def test_a_slow_request_does_not_hold_back_a_fast_one(autojump_clock: MockClock) -> None:
    async with memory_socket(Table().serve) as socket:
        await answer(socket)
        await ask(socket, "slow", request_id="first")
        await ask(socket, "fast", request_id="second")

        assert [(await answer(socket))["id"], (await answer(socket))["id"]] == ["second", "first"]


async def test_params_of_the_wrong_shape_are_named(autojump_clock: MockClock) -> None:
    response = await asked(Table(), "greet", {"nam": 1})

    assert response["error"]["message"] == (
        "invalid greet params: must have required property 'name'; at root: unexpected property 'nam'"
    )


async def test_a_v4_client_hears_of_the_first_problem_only(autojump_clock: MockClock) -> None:
    response = await asked(Table(generation=4), "greet", {"nam": 1})

    assert response["error"]["message"] == "invalid greet params: must have required property 'name'"


async def test_a_missing_scope_is_refused_before_an_unknown_method(autojump_clock: MockClock) -> None:
    response = await asked(Table(), "no.such.method")

    assert response["error"] == {"code": "INVALID_REQUEST", "message": "missing scope: operator.admin"}


async def test_an_admin_is_told_that_a_method_is_unknown(autojump_clock: MockClock) -> None:
    response = await asked(Table(scopes=frozenset({"operator.admin"})), "no.such.method")

    assert response["error"]["message"] == "unknown method: no.such.method"


async def test_a_v4_client_without_the_scope_gets_forbidden_with_details(autojump_clock: MockClock) -> None:
    response = await asked(Table(generation=4, scopes=frozenset()), "greet", {"name": "x"})

    assert response["error"] == {
        "code": "FORBIDDEN",
        "message": "missing scope: operator.read",
        "details": {
            "code": "MISSING_SCOPE",
            "missingScope": "operator.read",
            "requiredScopes": ["operator.read"],
        },
    }


async def test_a_handler_s_own_refusal_reaches_the_client(autojump_clock: MockClock) -> None:
    response = await asked(Table(), "picky")

    assert response["error"] == {
        "code": "INVALID_REQUEST",
        "message": "not like this",
        "details": {"hint": "otherwise"},
    }


async def test_a_fault_in_a_handler_ends_that_request_only(autojump_clock: MockClock) -> None:
    async with memory_socket(Table().serve) as socket:
        await answer(socket)
        await ask(socket, "broken")
        failed = await answer(socket)
        await ask(socket, "fast")

        assert failed["error"]["code"] == "UNAVAILABLE"
        assert "ZeroDivisionError" in failed["error"]["message"]
        assert (await answer(socket))["payload"] == "fast"


async def test_a_malformed_frame_is_answered_and_the_socket_stays_open(autojump_clock: MockClock) -> None:
    async with memory_socket(Table().serve) as socket:
        await answer(socket)
        await socket.send_message('{"type": "req", "id": "", "method": "fast"}')
        refused = await answer(socket)
        await ask(socket, "fast")

        assert refused["id"] == "invalid"
        assert refused["error"]["message"].startswith("invalid request frame: ")
        assert (await answer(socket))["ok"]


async def test_what_is_not_json_is_ignored(autojump_clock: MockClock) -> None:
    async with memory_socket(Table().serve) as socket:
        await answer(socket)
        await socket.send_message("nonsense")
        await ask(socket, "fast")

        assert (await answer(socket))["payload"] == "fast"


async def test_connect_a_second_time_is_refused(autojump_clock: MockClock) -> None:
    response = await asked(Table(), "connect")

    assert response["error"]["message"] == "connect is only valid as the first request"


async def test_a_node_is_sent_away_at_the_eleventh_operator_call_in_a_row(autojump_clock: MockClock) -> None:
    table = Table(role="node", scopes=frozenset())
    async with memory_socket(table.serve) as socket:
        await answer(socket)
        for _ in range(11):
            await ask(socket, "greet", {"name": "x"})
        refusals = [(await answer(socket))["error"]["message"] for _ in range(11)]
        try:
            await socket.get_message()
        except ConnectionClosed as closed:
            reason = closed.reason

    assert set(refusals) == {"unauthorized role: node"}
    assert reason is not None
    assert (reason.code, reason.reason) == (1008, "repeated unauthorized calls")


async def test_an_allowed_call_between_them_starts_the_count_again(autojump_clock: MockClock) -> None:
    async with memory_socket(Table(role="node", scopes=frozenset()).serve) as socket:
        await answer(socket)
        for _ in range(3):
            for _ in range(10):
                await ask(socket, "greet", {"name": "x"})
            await ask(socket, "fast")
        answers = [await answer(socket) for _ in range(33)]

    assert [a["ok"] for a in answers] == ([False] * 10 + [True]) * 3


async def test_a_request_may_be_answered_more_than_once(autojump_clock: MockClock) -> None:
    async with memory_socket(Table().serve) as socket:
        await answer(socket)
        await ask(socket, "in two steps", request_id="1")
        first = await answer(socket)
        await ask(socket, "fast", request_id="2")
        rest = [await answer(socket), await answer(socket)]

    assert first == {"type": "res", "id": "1", "ok": True, "payload": {"status": "accepted"}}
    assert [each["id"] for each in rest] == ["2", "1"]
    assert rest[1]["payload"] == {"status": "ok"}


async def test_a_refusal_may_have_a_payload_beside_its_error(autojump_clock: MockClock) -> None:
    async with memory_socket(Table().serve) as socket:
        await answer(socket)
        await ask(socket, "in vain")
        accepted, failed = await answer(socket), await answer(socket)

    assert accepted["ok"]
    assert (failed["ok"], failed["payload"]) == (False, {"status": "error"})
    assert failed["error"] == {"code": "UNAVAILABLE", "message": "no luck"}


async def test_requests_that_hold_too_much_memory_together_are_put_off(autojump_clock: MockClock) -> None:
    async with memory_socket(Table().serve) as socket:
        await answer(socket)
        for number in range(4):
            await ask(socket, "slow", request_id=str(number), params={"text": "x" * 20_000_000})
        put_off = [await answer(socket), await answer(socket)]
        done = [await answer(socket), await answer(socket)]
        await ask(socket, "slow", request_id="4", params={"text": "x" * 20_000_000})
        again = await answer(socket)

    assert [each["id"] for each in put_off] == ["2", "3"]
    assert put_off[0]["error"]["retryable"]
    assert [each["payload"] for each in done] == ["slow", "slow"]
    assert (again["id"], again["ok"]) == ("4", True)


async def test_too_many_requests_at_once_are_put_off_and_not_queued(autojump_clock: MockClock) -> None:
    async with memory_socket(Table().serve) as socket:
        await answer(socket)
        for number in range(257):
            await ask(socket, "slow", request_id=str(number))
        first = await answer(socket)

    assert first["id"] == "256"
    assert (first["error"]["code"], first["error"]["retryable"]) == ("UNAVAILABLE", True)


async def test_a_client_that_has_to_go_gets_what_waits_for_it_first(autojump_clock: MockClock) -> None:
    table = Table()
    async with memory_socket(table.serve) as socket:
        await answer(socket)
        assert table.client is not None
        table.client.offer(text_frame(b'"shutdown"'), drop_if_slow=False)
        table.client.end(SERVICE_RESTART)
        last = await answer(socket)
        try:
            await socket.get_message()
        except ConnectionClosed as closed:
            reason = closed.reason

    assert last == "shutdown"
    assert reason is not None
    assert (reason.code, reason.reason) == (1012, "service restart")


async def test_events_published_while_a_client_leaves_disturb_nobody(autojump_clock: MockClock) -> None:
    hub = Hub("epoch")

    async def serve(wire: TrioWebSocketWire) -> None:
        table = Table()
        serving.append(table)
        await table.serve(wire, hub)

    async def chatter() -> None:
        while True:
            hub.publish(Event("tick", {}))
            await trio.lowlevel.checkpoint()

    serving: list[Table] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chatter)
        for _ in range(20):
            async with memory_socket(serve) as socket:
                await socket.get_message()
                await socket.aclose()
        nursery.cancel_scope.cancel()

    assert [table.ended for table in serving] == [Close(1000)] * 20


async def test_a_client_that_never_reads_is_let_go_as_a_slow_consumer(autojump_clock: MockClock) -> None:
    table = Table()
    one_mib = text_frame(b'"' + b"x" * 2**20 + b'"')
    async with memory_socket(table.serve):
        await trio.sleep(1)
        assert table.client is not None
        for _ in range(60):
            table.client.offer(one_mib, drop_if_slow=False)
        await trio.sleep(20)

    assert table.ended == Close(1008, "slow consumer")


async def test_a_droppable_event_is_dropped_for_a_client_that_does_not_read(
    autojump_clock: MockClock,
) -> None:
    table = Table()
    one_mib = text_frame(b'"' + b"x" * 2**20 + b'"')
    async with memory_socket(table.serve):
        await trio.sleep(1)
        assert table.client is not None
        for _ in range(60):
            table.client.offer(one_mib, drop_if_slow=True)
        dropped, still_here = table.client.dropped_events, table.ended is None

    assert dropped > 0
    assert still_here


async def test_a_client_that_has_to_go_hears_nothing_new_however_slowly_it_reads(
    autojump_clock: MockClock,
) -> None:
    """Who reads a byte now and then must not go on hearing by a credential that is void."""
    table = Table()
    half_mib = text_frame(b'"' + b"x" * 2**19 + b'"')
    heard: list[str] = []
    async with memory_socket(table.serve) as socket:
        await answer(socket)
        assert table.client is not None
        for _ in range(60):
            table.client.offer(half_mib, drop_if_slow=False)
        await trio.sleep(1)
        table.client.end(Close(4001, "client invalidated: device removed"))
        table.client.offer(text_frame(b'"a secret"'), drop_if_slow=False)
        try:
            while True:
                heard.append(await answer(socket))
        except ConnectionClosed as closed:
            reason = closed.reason

    assert reason is not None
    assert reason.code == 4001
    assert "a secret" not in heard


class StuckWire:
    """A peer that takes nothing."""

    def __init__(self) -> None:
        self.closed: tuple[float, Close] | None = None

    def admitted(self) -> None:
        pass

    def send_now(self, frames: bytes) -> bool:
        return not frames

    async def send(self, frames: bytes) -> None:
        await trio.sleep_forever()

    async def receive(self) -> str | bytes:
        await trio.sleep_forever()
        raise AssertionError

    async def watch(self) -> None:
        await trio.sleep_forever()

    def close_now(self, close: Close) -> bool:
        return False

    def part(self) -> int | None:
        return None

    async def close(self, close: Close, patience_s: float = 0.0) -> None:
        self.closed = trio.current_time(), close


class MuteWire(StuckWire):
    """A peer that takes everything and says nothing."""

    def send_now(self, frames: bytes) -> bool:
        return True

    def close_now(self, close: Close) -> bool:
        self.closed = trio.current_time(), close
        return True


def client_on(wire: StuckWire, flusher: Flusher) -> Client:
    return Client(
        connection_id="c1",
        wire_generation=4,
        role="operator",
        scopes=frozenset(),
        credential="device-token",
        caps=frozenset(),
        device_id="d1",
        wire=wire,
        router=Router(cast(Mapping[str, Method], {}), cast(Services, None), CallCounts()),
        flusher=flusher,
    )


async def test_a_client_that_has_to_go_and_reads_nothing_is_closed_within_seconds(
    autojump_clock: MockClock,
) -> None:
    flusher, wire = Flusher(), StuckWire()
    client = client_on(wire, flusher)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(flusher.serve)
        nursery.start_soon(client.run)
        client.greet(b'"hello"')
        await trio.sleep(1)
        client.end(Close(4001, "client invalidated: device removed"))
        await trio.sleep(GOODBYE_GRACE_S + 1)
        nursery.cancel_scope.cancel()

    assert wire.closed == (
        trio.current_time() - 1,
        Close(4001, "client invalidated: device removed"),
    )


async def test_a_client_that_does_not_answer_its_goodbye_is_let_go(autojump_clock: MockClock) -> None:
    flusher, wire = Flusher(), MuteWire()
    client = client_on(wire, flusher)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(flusher.serve)
        client.end(SERVICE_RESTART, patience_s=3)
        ended = await client.run()
        nursery.cancel_scope.cancel()

    assert ended == SERVICE_RESTART
    assert wire.closed == (trio.current_time() - 3, SERVICE_RESTART)
