"""Between a decision and hello-ok: what it asks for is written, and what is void meanwhile admits nobody."""

from collections.abc import Awaitable, Callable

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from openclawd.auth.decisions import Admitted, Facts, Refused, TokenRequest
from openclawd.auth.devices import Devices
from openclawd.auth.pairing import PairingAsk
from openclawd.auth.refusals import pairing_required
from openclawd.auth.signature import ProvenDevice
from openclawd.events.event import Event
from openclawd.gateway.consequences import settle_admission, settle_request, still_holds
from tests.auth.clients import connect, parsed
from tests.auth.memory_store import MemoryStore
from tests.auth.registry import ASK, OWNER, issued, registry

READ = ("operator.read",)


class SlowStore(MemoryStore):
    """Holds every change of a device back while `flush` is not set."""

    def __init__(self) -> None:
        super().__init__()
        self.flush = trio.Event()
        self.flush.set()

    async def put_device(self, device_id: str, document: dict[str, object]) -> None:
        await self.flush.wait()
        await super().put_device(device_id, document)

    async def delete_device(self, device_id: str) -> None:
        await self.flush.wait()
        await super().delete_device(device_id)


def admission(token: str | None = None, pairing: PairingAsk | None = None) -> Admitted:
    """By that device token, else by the shared secret."""
    return Admitted(
        parsed(connect(device_token=token) if token else connect(token="shared")),
        4,
        "operator",
        READ,
        "device-token" if token else "token",
        Facts("192.168.1.99"),
        ProvenDevice("d1", "k1"),
        pairing,
        TokenRequest("d1", "operator", READ, token),
    )


@attrs.define
class Place:
    devices: Devices
    store: SlowStore
    told: list[Event] = attrs.field(factory=list)

    async def settle(self, admitted: Admitted) -> str | None:
        """The token that hello-ok would carry."""
        token = await settle_admission(admitted, self.devices, self.told.append, lambda: 7)
        return token.token if token is not None else None

    async def settle_behind(self, admitted: Admitted, act: Callable[[], Awaitable[object]]) -> str | None:
        """The same, for a decision that fell while `act` was on its way to the disk."""
        given: list[str | None] = []

        async def settle() -> None:
            given.append(await self.settle(admitted))

        self.store.flush = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(act)
            await wait_all_tasks_blocked()
            assert still_holds(admitted, self.devices)
            nursery.start_soon(settle)
            await wait_all_tasks_blocked()
            self.store.flush.set()
        return given[0]


async def place(*, paired: bool = True) -> Place:
    store = SlowStore()
    devices = await registry(store)
    if paired:
        await devices.pair(ASK)
    return Place(devices, store)


async def test_a_device_token_that_let_its_device_in_is_given_back() -> None:
    here = await place()
    token = await issued(here.devices)
    assert await here.settle(admission(token)) == token
    assert still_holds(admission(token), here.devices)


async def test_a_silent_pairing_is_written_and_told() -> None:
    here = await place(paired=False)
    asked = attrs.evolve(ASK, scopes=READ)
    request, _ = await here.devices.request(asked)
    assert await here.settle(admission(pairing=asked)) is not None
    assert here.devices.find("d1") is not None
    (event,) = here.told
    assert (event.name, event.payload["requestId"]) == ("device.pair.resolved", request.request_id)
    assert event.payload["decision"] == "approved"


@pytest.mark.parametrize("act", ["rotate", "revoke", "remove"])
async def test_a_token_that_is_voided_while_its_client_is_written_down_admits_nobody(act: str) -> None:
    """Least of all may the client be given a fresh one for the void one that it came with."""
    here = await place()
    token = await issued(here.devices)
    tokens = here.devices.tokens
    acts: dict[str, Callable[[], Awaitable[object]]] = {
        "rotate": lambda: tokens.rotate("d1", "operator", None, OWNER),
        "revoke": lambda: tokens.revoke("d1", "operator", OWNER),
        "remove": lambda: here.devices.remove("d1", OWNER),
    }
    assert await here.settle_behind(admission(token), acts[act]) is None
    assert not still_holds(admission(token), here.devices)


async def test_a_device_that_is_removed_meanwhile_is_out_whatever_secret_it_came_with() -> None:
    here = await place()
    assert await here.settle_behind(admission(), lambda: here.devices.remove("d1", OWNER)) is None
    assert not still_holds(admission(), here.devices)


async def test_a_device_that_was_paired_anew_for_less_meanwhile_is_out_with_what_it_had() -> None:
    here = await place()
    await here.devices.remove("d1", OWNER)
    await here.devices.pair(attrs.evolve(ASK, scopes=()))
    assert not still_holds(admission(), here.devices)


async def test_what_came_without_a_device_depends_on_none() -> None:
    here = await place(paired=False)
    bare = attrs.evolve(admission(), device=None, token_request=None)
    assert still_holds(bare, here.devices)


def refusal() -> Refused:
    return pairing_required(Facts("192.168.1.99", protocol=4), None, ASK, "not-paired", None)


async def test_a_request_is_told_once_and_named_in_every_refusal() -> None:
    here = await place(paired=False)
    refused = [await settle_request(refusal(), here.devices, here.told.append) for _ in range(2)]
    (request,) = here.devices.waiting()
    assert [event.name for event in here.told] == ["device.pair.requested"]
    for each in refused:
        assert each.error is not None
        assert each.error.details is not None
        assert each.error.details["requestId"] == request.request_id
        assert each.error.details["pauseReconnect"] is False


async def test_a_device_that_was_turned_down_is_told_so_and_asks_no_more() -> None:
    here = await place(paired=False)
    request, _ = await here.devices.request(ASK)
    await here.devices.reject(request.request_id, OWNER)
    refused = await settle_request(refusal(), here.devices, here.told.append)
    assert refused.error is not None
    assert refused.error.details is not None
    assert refused.error.details["pauseReconnect"] is True
    assert here.devices.waiting() == ()
    assert here.told == []
