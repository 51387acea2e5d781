"""The device registry: pairing, requests, tokens; durable before it counts."""

from collections.abc import Callable

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from openclawd.auth.devices import REQUEST_TTL_MS, REQUESTS_MAX, Devices, NotCovered, TokenVerdict
from openclawd.auth.pairing import PairingAsk
from openclawd.protocol.codec import decode, encode
from tests.auth.memory_store import MemoryStore

ASK = PairingAsk(
    device_id="d1",
    public_key="k1",
    client_id="cli",
    client_mode="cli",
    role="operator",
    scopes=("operator.read",),
    display_name="Laptop",
    platform="linux",
    remote_ip="192.168.1.20",
)


@attrs.define
class Clock:
    now: int = 1_000_000

    def __call__(self) -> int:
        return self.now


def counting_bytes() -> Callable[[int], bytes]:
    drawn = iter(range(1, 10_000))
    return lambda length: next(drawn).to_bytes(length, "big")


async def registry(store: MemoryStore | None = None, clock: Clock | None = None) -> Devices:
    devices = Devices(
        store if store is not None else MemoryStore(),
        now_ms=clock if clock is not None else Clock(),
        random_bytes=counting_bytes(),
        new_lock=trio.Lock,
    )
    await devices.load()
    return devices


async def issued(devices: Devices, scopes: tuple[str, ...] = ("operator.read",)) -> str:
    token = await devices.issue_token("d1", "operator", scopes)
    assert token is not None
    return token.token


async def test_a_silently_paired_device_is_known_after_a_restart() -> None:
    store = MemoryStore()
    paired = await (await registry(store)).pair(ASK)
    assert (await registry(store)).find("d1") == paired


async def test_a_request_waits_and_is_announced_once() -> None:
    devices = await registry()
    request, created = await devices.request(ASK)
    again, created_again = await devices.request(ASK)
    assert (created, created_again) == (True, False)
    assert again.request_id == request.request_id
    assert devices.find("d1") is None


async def test_an_approved_request_pairs_and_is_gone() -> None:
    store = MemoryStore()
    devices = await registry(store)
    request, _ = await devices.request(ASK)
    device = await devices.approve(request.request_id, approver=("operator.admin",))
    assert device is not None
    assert (device.roles, device.scopes) == (("operator",), ("operator.read",))
    assert devices.list()["pending"] == []
    assert await devices.approve(request.request_id, approver=("operator.admin",)) is None
    assert store.requests == {}


async def test_an_upgrade_adds_to_what_was_approved() -> None:
    devices = await registry()
    await devices.pair(ASK)
    request, _ = await devices.request(attrs.evolve(ASK, role="node", scopes=("operator.write",)))
    assert request.is_repair
    device = await devices.approve(request.request_id, approver=("operator.admin",))
    assert device is not None
    assert device.roles == ("operator", "node")
    assert device.scopes == ("operator.read", "operator.write")


async def test_a_rejected_request_is_gone_and_the_device_may_ask_again() -> None:
    devices = await registry()
    request, _ = await devices.request(ASK)
    assert await devices.reject(request.request_id) == request
    assert await devices.reject(request.request_id) is None
    _, created = await devices.request(ASK)
    assert created


async def test_a_request_nobody_answers_expires() -> None:
    clock = Clock()
    store = MemoryStore()
    devices = await registry(store, clock)
    request, _ = await devices.request(ASK)
    clock.now += REQUEST_TTL_MS
    assert devices.list()["pending"] == []
    assert await devices.approve(request.request_id, approver=("operator.admin",)) is None
    assert store.requests == {}


async def test_strangers_cannot_fill_the_store_with_requests() -> None:
    clock = Clock()
    store = MemoryStore()
    devices = await registry(store, clock)
    for number in range(REQUESTS_MAX + 10):
        clock.now += 1
        await devices.request(attrs.evolve(ASK, device_id=f"d{number}"))
    assert len(store.requests) == REQUESTS_MAX
    pending = devices.list()["pending"]
    assert isinstance(pending, list)
    assert pending[0]["deviceId"] == f"d{REQUESTS_MAX + 9}"
    assert pending[-1]["deviceId"] == "d10"


async def test_a_token_is_kept_as_a_digest_only() -> None:
    store = MemoryStore()
    devices = await registry(store)
    await devices.pair(ASK)
    token = await issued(devices)
    assert token.encode() not in store.devices["d1"]
    assert token not in str(devices.list())
    reloaded = await registry(store)
    assert reloaded.verify_token("d1", "operator", token, ("operator.read",)) is TokenVerdict.VALID


async def test_the_token_that_a_client_came_with_is_the_one_it_gets_back() -> None:
    clock = Clock()
    devices = await registry(clock=clock)
    await devices.pair(ASK)
    token = await issued(devices)
    clock.now += 5
    again = await devices.issue_token("d1", "operator", ("operator.read",), presented=token)
    assert again is not None
    assert (again.token, again.issued_at_ms) == (token, clock.now - 5)


async def test_a_token_that_covers_too_little_is_replaced() -> None:
    devices = await registry()
    await devices.pair(ASK)
    token = await issued(devices)
    wider = await devices.issue_token("d1", "operator", ("operator.write",), presented=token)
    assert wider is not None
    assert wider.token != token


async def test_eight_older_tokens_stay_valid_for_the_other_tabs() -> None:
    devices = await registry()
    await devices.pair(ASK)
    tokens = [await issued(devices) for _ in range(10)]
    verdicts = [devices.verify_token("d1", "operator", token, ()) for token in tokens]
    assert verdicts == [TokenVerdict.MISMATCH] + [TokenVerdict.VALID] * 9


async def test_two_tabs_at_once_both_get_a_token_that_works() -> None:
    devices = await registry()
    await devices.pair(ASK)
    tokens: list[str] = []

    async def tab() -> None:
        tokens.append(await issued(devices))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tab)
        nursery.start_soon(tab)
    assert len(set(tokens)) == 2
    assert all(devices.verify_token("d1", "operator", token, ()) is TokenVerdict.VALID for token in tokens)


@pytest.mark.parametrize(
    ("device_id", "role", "scopes", "verdict"),
    [
        ("d1", "operator", ("operator.read",), TokenVerdict.VALID),
        ("d1", "operator", (), TokenVerdict.VALID),
        ("d1", "operator", ("operator.admin",), TokenVerdict.SCOPES),
        ("d1", "node", (), TokenVerdict.MISMATCH),
        ("d2", "operator", (), TokenVerdict.MISMATCH),
    ],
)
async def test_a_token_is_worth_what_it_was_issued_for(
    device_id: str, role: str, scopes: tuple[str, ...], verdict: TokenVerdict
) -> None:
    devices = await registry()
    await devices.pair(ASK)
    await devices.pair(attrs.evolve(ASK, device_id="d2", public_key="k2"))
    token = await issued(devices)
    assert devices.verify_token(device_id, role, token, scopes) is verdict


async def test_no_token_is_issued_to_a_device_that_is_not_paired() -> None:
    devices = await registry()
    assert await devices.issue_token("d1", "operator", ()) is None


async def test_coming_back_often_does_not_write_each_time() -> None:
    clock = Clock()
    store = MemoryStore()
    devices = await registry(store, clock)
    await devices.pair(ASK)
    await issued(devices)
    writes = store.writes
    await devices.touch("d1", "operator", "192.168.1.20")
    assert store.writes == writes
    clock.now += 60_000
    await devices.touch("d1", "operator", "192.168.1.20")
    assert store.writes == writes + 1
    await devices.touch("d1", "operator", "192.168.1.21")
    assert store.writes == writes + 2


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


async def test_a_record_that_cannot_be_read_costs_only_itself() -> None:
    store = MemoryStore()
    await (await registry(store)).pair(ASK)
    store.devices["broken"] = b'{"deviceId":"broken"}'
    reloaded = await registry(store)
    assert reloaded.find("d1") is not None
    assert reloaded.find("broken") is None


async def test_a_removed_device_is_unknown_and_its_tokens_are_void_also_after_a_restart() -> None:
    store = MemoryStore()
    devices = await registry(store)
    await devices.pair(ASK)
    token = await issued(devices)
    assert await devices.remove("d1", remover=("operator.admin",))
    assert not await devices.remove("d1", remover=("operator.admin",))
    for known in (devices, await registry(store)):
        assert known.find("d1") is None
        assert known.verify_token("d1", "operator", token, ()) is TokenVerdict.MISMATCH


async def test_a_device_that_asks_for_more_waits_under_a_new_id() -> None:
    devices = await registry()
    seen, _ = await devices.request(attrs.evolve(ASK, scopes=("operator.read",)))
    again, new = await devices.request(attrs.evolve(ASK, scopes=("operator.read",)))
    widened, told = await devices.request(attrs.evolve(ASK, scopes=("operator.admin",)))
    assert (again.request_id, new) == (seen.request_id, False)
    assert (widened.request_id != seen.request_id, told) == (True, True)
    assert widened.scopes == ("operator.read", "operator.admin")
    assert await devices.approve(seen.request_id, approver=("operator.admin",)) is None


async def test_nobody_approves_or_removes_more_than_he_holds() -> None:
    devices = await registry()
    request, _ = await devices.request(attrs.evolve(ASK, scopes=("operator.admin",)))
    with pytest.raises(NotCovered):
        await devices.approve(request.request_id, approver=("operator.pairing", "operator.read"))
    await devices.approve(request.request_id, approver=("operator.admin",))
    with pytest.raises(NotCovered):
        await devices.remove("d1", remover=("operator.pairing",))
    assert devices.find("d1") is not None


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
