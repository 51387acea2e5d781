"""Requests to pair: one a device, for five minutes, never more than a person can look through."""

import attrs
import pytest

from openclawd.auth.pairing_requests import REQUEST_TTL_MS, REQUESTS_MAX, Ending
from tests.auth.memory_store import MemoryStore
from tests.auth.registry import ASK, OWNER, Clock, registry


async def test_a_request_waits_and_is_announced_once() -> None:
    devices = await registry()
    request, is_new = await devices.request(ASK)
    again, is_new_again = await devices.request(ASK)
    assert (is_new, is_new_again) == (True, False)
    assert again.request_id == request.request_id
    assert devices.find("d1") is None


async def test_a_rejected_request_is_gone_and_the_device_may_ask_again() -> None:
    devices = await registry()
    request, _ = await devices.request(ASK)
    assert await devices.reject(request.request_id, OWNER) == request
    assert await devices.reject(request.request_id, OWNER) is None
    _, is_new = await devices.request(ASK)
    assert is_new


async def test_a_request_nobody_answers_expires() -> None:
    clock = Clock()
    store = MemoryStore()
    devices = await registry(store, clock)
    request, _ = await devices.request(ASK)
    clock.now += REQUEST_TTL_MS
    assert devices.list()["pending"] == []
    assert await devices.approve(request.request_id, OWNER) is None
    assert store.requests == {}


async def test_asking_again_renews_the_time_and_seldom_costs_a_write() -> None:
    clock = Clock()
    store = MemoryStore()
    devices = await registry(store, clock)
    await devices.request(ASK)
    writes = store.writes
    for _ in range(59):
        clock.now += 1_000
        await devices.request(ASK)
    assert store.writes == writes
    clock.now += 1_000
    await devices.request(ASK)
    assert store.writes == writes + 1
    clock.now += REQUEST_TTL_MS - 1
    assert len(devices.waiting()) == 1


async def test_what_a_device_says_of_itself_is_written_when_it_changes() -> None:
    store = MemoryStore()
    devices = await registry(store)
    await devices.request(ASK)
    await devices.request(attrs.evolve(ASK, display_name="Phone"))
    (request,) = (await registry(store)).waiting()
    assert request.display_name == "Phone"


async def test_a_device_that_asks_for_more_waits_under_a_new_id() -> None:
    devices = await registry()
    seen, _ = await devices.request(attrs.evolve(ASK, scopes=("operator.read",)))
    again, new = await devices.request(attrs.evolve(ASK, scopes=("operator.read",)))
    widened, told = await devices.request(attrs.evolve(ASK, scopes=("operator.admin",)))
    assert (again.request_id, new) == (seen.request_id, False)
    assert (widened.request_id != seen.request_id, told) == (True, True)
    assert widened.scopes == ("operator.read", "operator.admin")
    assert await devices.approve(seen.request_id, OWNER) is None


async def test_wishes_that_are_too_many_together_are_not_added_up() -> None:
    devices = await registry()
    for number in range(20):
        await devices.request(attrs.evolve(ASK, scopes=(f"made.up.{number}",)))
    (request,) = devices.waiting()
    assert 1 <= len(request.scopes) <= 8
    assert request.scopes[-1] == "made.up.19"


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


async def test_a_crowd_from_one_address_does_not_push_the_owners_device_out() -> None:
    clock = Clock()
    devices = await registry(clock=clock)
    await devices.request(attrs.evolve(ASK, device_id="owner", remote_ip="192.168.1.5"))
    for number in range(3 * REQUESTS_MAX):
        clock.now += 1
        await devices.request(attrs.evolve(ASK, device_id=f"d{number}", remote_ip="203.0.113.7"))
    assert "owner" in {request.device_id for request in devices.waiting()}


@pytest.mark.parametrize("ending", [Ending.APPROVED, Ending.REJECTED])
async def test_who_watches_a_request_learns_how_it_ended(ending: Ending) -> None:
    devices = await registry()
    request, _ = await devices.request(ASK)
    heard: list[str] = []
    devices.requests.watch(request.request_id, lambda: heard.append("one"))
    unwatch = devices.requests.watch(request.request_id, lambda: heard.append("two"))
    unwatch()
    settle = devices.approve if ending is Ending.APPROVED else devices.reject
    await settle(request.request_id, OWNER)
    ended = devices.requests.ended(request.request_id)
    assert heard == ["one"]
    assert ended is not None
    assert (ended.request, ended.ending) == (request, ending)


async def test_a_request_that_gave_way_to_a_wider_one_has_expired() -> None:
    devices = await registry()
    request, _ = await devices.request(ASK)
    await devices.request(attrs.evolve(ASK, scopes=("operator.admin",)))
    ended = devices.requests.ended(request.request_id)
    assert ended is not None
    assert ended.ending is Ending.EXPIRED


async def test_a_rejection_is_told_once_to_the_device_and_its_other_tabs() -> None:
    clock = Clock()
    devices = await registry(clock=clock)
    request, _ = await devices.request(ASK)
    assert devices.requests.tell_rejection("d1") is None
    await devices.reject(request.request_id, OWNER)
    clock.now += 30_000
    assert devices.requests.tell_rejection("d2") is None
    assert devices.requests.tell_rejection("d1") == request
    clock.now += 5_999
    assert devices.requests.tell_rejection("d1") == request
    clock.now += 1
    assert devices.requests.tell_rejection("d1") is None


async def test_a_rejection_that_nobody_came_for_is_forgotten() -> None:
    clock = Clock()
    devices = await registry(clock=clock)
    request, _ = await devices.request(ASK)
    await devices.reject(request.request_id, OWNER)
    clock.now += REQUEST_TTL_MS
    assert devices.requests.tell_rejection("d1") is None
