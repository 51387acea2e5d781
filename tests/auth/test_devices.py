"""The device registry: pairing and what ends it; durable before it counts."""

from collections.abc import Mapping
from typing import Any, cast

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from openclawd.auth.device_records import Amendment
from openclawd.auth.device_tokens import TokenVerdict
from openclawd.auth.holders import Holder, NotCovered
from openclawd.protocol.codec import decode, encode, unstructure
from tests.auth.memory_store import MemoryStore
from tests.auth.registry import ASK, OWNER, Clock, issued, registry


async def test_a_silently_paired_device_is_known_after_a_restart() -> None:
    store = MemoryStore()
    paired, _ = await (await registry(store)).pair(ASK)
    assert (await registry(store)).find("d1") == paired


async def test_an_approved_request_pairs_and_is_gone() -> None:
    store = MemoryStore()
    devices = await registry(store)
    request, _ = await devices.request(ASK)
    approved = await devices.approve(request.request_id, OWNER)
    assert approved is not None
    assert approved[0] == request
    assert (approved[1].roles, approved[1].scopes) == (("operator",), ("operator.read",))
    assert devices.list()["pending"] == []
    assert await devices.approve(request.request_id, OWNER) is None
    assert store.requests == {}


async def test_an_upgrade_adds_to_what_was_approved() -> None:
    devices = await registry()
    await devices.pair(ASK)
    request, _ = await devices.request(attrs.evolve(ASK, role="node", scopes=("operator.write",)))
    assert request.is_repair
    approved = await devices.approve(request.request_id, OWNER)
    assert approved is not None
    assert approved[1].roles == ("operator", "node")
    assert approved[1].scopes == ("operator.read", "operator.write")


async def test_a_silent_pairing_settles_what_waited_for_no_more_than_that() -> None:
    devices = await registry()
    request, _ = await devices.request(ASK)
    assert (await devices.pair(ASK))[1] == (request.request_id,)
    assert devices.waiting() == ()


@pytest.mark.parametrize("wish", [{"scopes": ("operator.admin",)}, {"role": "node"}, {"platform": "darwin"}])
async def test_a_silent_pairing_leaves_a_request_for_more_waiting(wish: dict[str, Any]) -> None:
    devices = await registry()
    request, _ = await devices.request(attrs.evolve(ASK, **wish))
    assert (await devices.pair(ASK))[1] == ()
    assert devices.waiting() == (request,)


async def test_coming_back_often_does_not_write_each_time() -> None:
    clock = Clock()
    store = MemoryStore()
    devices = await registry(store, clock)
    await devices.pair(ASK)
    await issued(devices)
    writes = store.writes
    devices.touch("d1", "operator", "192.168.1.20")
    await devices.write_visits()
    assert store.writes == writes
    clock.now += 60_000
    devices.touch("d1", "operator", "192.168.1.20")
    devices.touch("d1", "operator", "192.168.1.20")
    await devices.write_visits()
    await devices.write_visits()
    assert store.writes == writes + 1
    devices.touch("d1", "operator", "192.168.1.21")
    await devices.write_visits()
    assert store.writes == writes + 2


@pytest.mark.parametrize("address", ["192.168.1.21", None])
async def test_when_and_where_a_device_was_last_here_is_known_at_once_and_stored_a_little_later(
    address: str | None,
) -> None:
    clock, store = Clock(), MemoryStore()
    devices = await registry(store, clock)
    await devices.pair(ASK)
    await issued(devices)
    clock.now += 60_000

    devices.touch("d1", "operator", address)
    here = devices.find("d1")
    assert here is not None
    assert (here.remote_ip, here.tokens["operator"].last_used_at_ms) == (address, clock.now)
    assert decode(store.devices["d1"]) != unstructure(here)
    await devices.write_visits()
    assert decode(store.devices["d1"]) == unstructure(here)


async def test_what_happened_to_a_device_meanwhile_is_not_undone_when_its_visit_is_written() -> None:
    store = MemoryStore()
    devices = await registry(store)
    for device_id in ("d1", "d2"):
        await devices.pair(attrs.evolve(ASK, device_id=device_id))
    token = await issued(devices)
    for device_id in ("d1", "d2"):
        devices.touch(device_id, "operator", "192.168.1.21")
    # As by somebody whose change was begun before the visit and was written after it.
    elsewhere = await registry(store)
    await elsewhere.tokens.revoke("d1", "operator", OWNER)
    await elsewhere.remove("d2", OWNER)

    await devices.write_visits()

    after = await registry(store)
    assert after.verify_token("d1", "operator", token, ()) is TokenVerdict.MISMATCH
    assert after.find("d2") is None
    seen = after.find("d1")
    assert seen is not None
    assert seen.remote_ip == "192.168.1.21"


async def test_a_visit_from_before_a_device_was_paired_anew_is_not_written_into_it() -> None:
    clock, store = Clock(), MemoryStore()
    devices = await registry(store, clock)
    await devices.pair(ASK)
    clock.now += 60_000
    devices.touch("d1", "operator", "192.168.1.21")
    await devices.remove("d1", OWNER)
    await devices.write_visits()
    assert store.devices == {}

    await devices.pair(ASK)
    devices.touch("d1", "operator", "192.168.1.21")
    await devices.pair(attrs.evolve(ASK, remote_ip="192.168.1.22"))
    await devices.write_visits()
    paired = devices.find("d1")
    assert paired is not None
    assert paired.remote_ip == "192.168.1.22"
    assert decode(store.devices["d1"]) == unstructure(paired)


async def test_a_visit_that_cannot_be_written_is_written_the_next_time() -> None:
    class Reluctant(MemoryStore):
        async def amend_devices(self, amendments: Mapping[str, Amendment]) -> None:
            if full:
                raise OSError
            await super().amend_devices(amendments)

    full = True
    store = Reluctant()
    devices = await registry(store)
    await devices.pair(ASK)
    devices.touch("d1", "operator", "192.168.1.21")
    with pytest.raises(OSError):  # noqa: PT011  whichever it is
        await devices.write_visits()
    full = False

    await devices.write_visits()

    assert b'"remoteIp":"192.168.1.21"' in store.devices["d1"]


async def test_the_list_has_the_stock_shape() -> None:
    devices = await registry()
    await devices.pair(ASK)
    await issued(devices)
    request, _ = await devices.request(attrs.evolve(ASK, device_id="d2", public_key="k2"))
    assert decode(encode(devices.list())) == {
        "pending": [
            {
                "requestId": request.request_id,
                "deviceId": "d2",
                "publicKey": "k2",
                "displayName": "Laptop",
                "platform": "linux",
                "clientId": "cli",
                "clientMode": "cli",
                "role": "operator",
                "roles": ["operator"],
                "scopes": ["operator.read"],
                "remoteIp": "192.168.1.20",
                "silent": False,
                "isRepair": False,
                "ts": 1_000_000,
            }
        ],
        "paired": [
            {
                "deviceId": "d1",
                "publicKey": "k1",
                "displayName": "Laptop",
                "platform": "linux",
                "clientId": "cli",
                "clientMode": "cli",
                "role": "operator",
                "roles": ["operator"],
                "scopes": ["operator.read"],
                "remoteIp": "192.168.1.20",
                "createdAtMs": 1_000_000,
                "approvedAtMs": 1_000_000,
                "tokens": [
                    {
                        "role": "operator",
                        "scopes": ["operator.read"],
                        "createdAtMs": 1_000_000,
                        "lastUsedAtMs": 1_000_000,
                    }
                ],
            }
        ],
    }


async def test_members_that_a_newer_version_added_do_not_lose_the_device() -> None:
    store = MemoryStore()
    devices = await registry(store)
    await devices.pair(ASK)
    token = await issued(devices)
    document = decode(store.devices["d1"])
    assert isinstance(document, dict)
    document["addedLater"] = 1
    document["tokens"]["operator"]["addedLater"] = 1
    document["tokens"]["operator"]["digests"][0]["addedLater"] = 1
    store.devices["d1"] = encode(document)
    reloaded = await registry(store)
    assert reloaded.verify_token("d1", "operator", token, ()) is TokenVerdict.VALID


DAMAGED = [
    b'{"deviceId":"broken"}',
    b"[]",
    b"",
    b'{"deviceId":"bro',
    b"\xff\xfe\x00",
]


@pytest.mark.parametrize("document", DAMAGED)
async def test_a_record_that_cannot_be_read_costs_only_itself_and_can_be_removed(document: bytes) -> None:
    store = MemoryStore()
    await (await registry(store)).pair(ASK)
    store.devices["broken"] = document
    devices = await registry(store)
    assert devices.find("d1") is not None
    assert devices.find("broken") is None
    (row,) = cast("list[dict[str, str]]", devices.list()["unreadable"])
    assert row["deviceId"] == "broken"
    assert row["problem"]

    assert await devices.remove("broken", OWNER)
    assert "broken" not in store.devices
    assert "unreadable" not in devices.list()


async def test_a_record_under_another_id_than_its_own_is_no_device() -> None:
    store = MemoryStore()
    await (await registry(store)).pair(ASK)
    store.devices["d2"] = store.devices["d1"]
    devices = await registry(store)
    assert devices.find("d2") is None
    assert [device.device_id for device in devices.paired()] == ["d1"]


async def test_a_device_whose_record_was_damaged_pairs_anew_in_its_place() -> None:
    store = MemoryStore()
    store.devices["d1"] = b"?"
    devices = await registry(store)
    await devices.pair(ASK)
    assert "unreadable" not in devices.list()
    assert (await registry(store)).find("d1") is not None


async def test_what_cannot_be_read_is_an_administrators_business() -> None:
    store = MemoryStore()
    store.devices["broken"] = b"?"
    devices = await registry(store)
    with pytest.raises(NotCovered):
        await devices.remove("broken", Holder(("operator.pairing",)))


async def test_a_request_that_cannot_be_read_is_forgotten() -> None:
    store = MemoryStore()
    store.requests["broken"] = b"?"
    devices = await registry(store)
    assert devices.waiting() == ()
    assert store.requests == {}


async def test_a_removed_device_is_unknown_and_its_tokens_are_void_also_after_a_restart() -> None:
    store = MemoryStore()
    devices = await registry(store)
    await devices.pair(ASK)
    token = await issued(devices)
    assert await devices.remove("d1", OWNER)
    assert not await devices.remove("d1", OWNER)
    for known in (devices, await registry(store)):
        assert known.find("d1") is None
        assert known.verify_token("d1", "operator", token, ()) is TokenVerdict.MISMATCH


async def test_a_name_that_its_owner_gave_it_outlives_what_the_device_calls_itself() -> None:
    store = MemoryStore()
    devices = await registry(store)
    await devices.pair(ASK)
    assert await devices.rename("d1", "Kitchen", OWNER)
    await devices.pair(attrs.evolve(ASK, display_name="Totally trustworthy"))
    (row,) = (await registry(store)).paired()
    assert row.to_wire()["displayName"] == "Kitchen"
    assert row.display_name == "Totally trustworthy"


async def test_a_device_that_is_unknown_cannot_be_renamed() -> None:
    assert not await (await registry()).rename("d1", "Kitchen", OWNER)


async def test_a_role_goes_with_its_tokens_and_the_device_with_its_last_role() -> None:
    devices = await registry()
    await devices.pair(ASK)
    await devices.pair(attrs.evolve(ASK, role="node", scopes=()))
    as_node = await devices.tokens.issue("d1", "node", ())
    as_operator = await issued(devices)
    assert as_node is not None

    assert await devices.remove_role("d1", "node", OWNER)
    assert devices.verify_token("d1", "node", as_node.token, ()) is TokenVerdict.MISMATCH
    assert devices.verify_token("d1", "operator", as_operator, ()) is TokenVerdict.VALID
    assert not await devices.remove_role("d1", "node", OWNER)

    assert await devices.remove_role("d1", "operator", OWNER)
    assert devices.find("d1") is None


async def test_devices_from_elsewhere_are_added_to_those_that_are_known() -> None:
    store = MemoryStore()
    devices = await registry(store)
    known, _ = await devices.pair(ASK)
    other = attrs.evolve(known, device_id="d2")
    assert await devices.adopt([attrs.evolve(known, scopes=("operator.admin",)), other]) == 1
    assert devices.find("d1") == known
    assert (await registry(store)).find("d2") == other


async def test_nobody_approves_or_takes_away_more_than_he_holds() -> None:
    devices = await registry()
    clerk = Holder(("operator.pairing", "operator.read"))
    request, _ = await devices.request(attrs.evolve(ASK, scopes=("operator.admin",)))
    for settle in (devices.approve, devices.reject):
        with pytest.raises(NotCovered):
            await settle(request.request_id, clerk)
    await devices.approve(request.request_id, OWNER)
    with pytest.raises(NotCovered):
        await devices.remove("d1", clerk)
    with pytest.raises(NotCovered):
        await devices.rename("d1", "Mine", clerk)
    device = devices.find("d1")
    assert device is not None
    assert device.operator_label is None


async def test_only_an_administrator_makes_a_node() -> None:
    devices = await registry()
    request, _ = await devices.request(attrs.evolve(ASK, role="node", scopes=()))
    with pytest.raises(NotCovered):
        await devices.approve(request.request_id, Holder(("operator.pairing",)))
    await devices.approve(request.request_id, OWNER)
    with pytest.raises(NotCovered):
        await devices.remove_role("d1", "node", Holder(("operator.pairing",)))


async def test_everybody_may_take_away_from_his_own_device_and_give_it_no_more_than_he_holds() -> None:
    devices = await registry()
    await devices.pair(attrs.evolve(ASK, scopes=("operator.admin",)))
    itself = Holder(("operator.pairing",), "d1")
    assert await devices.rename("d1", "Mine", itself)
    request, _ = await devices.request(attrs.evolve(ASK, scopes=("operator.write",)))
    with pytest.raises(NotCovered):
        await devices.approve(request.request_id, itself)
    assert await devices.reject(request.request_id, itself) == request
    assert await devices.remove("d1", itself)


class SlowStore(MemoryStore):
    """Holds each device's document back until `flush`."""

    def __init__(self) -> None:
        super().__init__()
        self.flush = trio.Event()
        self.held: list[str] = []

    async def put_device(self, device_id: str, document: dict[str, object]) -> None:
        self.held.append(device_id)
        await self.flush.wait()
        await super().put_device(device_id, document)


async def test_the_changes_of_different_devices_wait_for_the_disk_together() -> None:
    store = SlowStore()
    devices = await registry(store)
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(devices.pair, attrs.evolve(ASK, device_id=f"d{number}"))
        await wait_all_tasks_blocked()
        held = sorted(store.held)
        store.flush.set()

    assert held == ["d0", "d1", "d2"]


async def test_two_tokens_of_one_device_at_once_are_both_kept() -> None:
    store = SlowStore()
    devices = await registry(store)
    store.flush.set()
    await devices.pair(ASK)
    store.flush = trio.Event()
    tokens: list[str] = []

    async def issue() -> None:
        tokens.append(await issued(devices))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(issue)
        nursery.start_soon(issue)
        await wait_all_tasks_blocked()
        store.flush.set()

    verdicts = {devices.verify_token("d1", "operator", token, ("operator.read",)) for token in tokens}
    assert (len(set(tokens)), verdicts) == (2, {TokenVerdict.VALID})


async def test_no_token_is_issued_for_a_role_that_is_just_being_taken_away() -> None:
    store = SlowStore()
    devices = await registry(store)
    store.flush.set()
    await devices.pair(ASK)
    await devices.pair(attrs.evolve(ASK, role="node", scopes=()))
    store.flush = trio.Event()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(devices.remove_role, "d1", "node", OWNER)
        await wait_all_tasks_blocked()
        store.flush.set()
        assert await devices.tokens.issue("d1", "node", ()) is None

    paired = devices.find("d1")
    assert paired is not None
    assert (paired.roles, dict(paired.tokens)) == (("operator",), {})
