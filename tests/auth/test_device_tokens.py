"""Device tokens: kept as digests, worth what they were issued for, void when rotated or revoked."""

import attrs
import pytest
import trio
import trio.testing

from openclawd.auth.device_tokens import TokenVerdict
from openclawd.auth.devices import Devices
from openclawd.auth.holders import Holder, NotCovered
from openclawd.protocol.hello import IssuedToken
from tests.auth.memory_store import MemoryStore
from tests.auth.registry import ASK, OWNER, Clock, issued, registry


async def paired(store: MemoryStore | None = None, *scopes: str) -> Devices:
    devices = await registry(store)
    await devices.pair(attrs.evolve(ASK, scopes=scopes or ASK.scopes))
    return devices


async def rotated(
    devices: Devices, scopes: tuple[str, ...] | None = None, holder: Holder = OWNER
) -> IssuedToken | None:
    return await devices.tokens.rotate("d1", "operator", scopes, holder)


async def test_a_token_is_kept_as_a_digest_only() -> None:
    store = MemoryStore()
    devices = await paired(store)
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
    again = await devices.tokens.issue("d1", "operator", ("operator.read",), presented=token)
    assert again is not None
    assert (again.token, again.issued_at_ms) == (token, clock.now - 5)


async def test_a_token_that_covers_too_little_is_replaced() -> None:
    devices = await paired()
    token = await issued(devices)
    wider = await devices.tokens.issue("d1", "operator", ("operator.write",), presented=token)
    assert wider is not None
    assert wider.token != token


async def test_eight_older_tokens_stay_valid_for_the_other_tabs() -> None:
    devices = await paired()
    tokens = [await issued(devices) for _ in range(10)]
    verdicts = [devices.verify_token("d1", "operator", token, ()) for token in tokens]
    assert verdicts == [TokenVerdict.MISMATCH] + [TokenVerdict.VALID] * 9


async def test_a_program_that_keeps_no_token_voids_none_that_somebody_keeps_also_after_a_restart() -> None:
    store = MemoryStore()
    devices = await paired(store)
    kept = await issued(devices)
    await devices.tokens.issue("d1", "operator", (), presented=kept)
    tokens = [await issued(devices) for _ in range(30)]
    for known in (devices, await registry(store)):
        assert known.verify_token("d1", "operator", kept, ("operator.read",)) is TokenVerdict.VALID
        verdicts = [known.verify_token("d1", "operator", token, ()) for token in tokens]
        assert verdicts == [TokenVerdict.MISMATCH] * 22 + [TokenVerdict.VALID] * 8


async def test_a_token_that_nobody_came_with_yet_does_not_give_way_at_once() -> None:
    devices = await paired()
    for _ in range(9):
        await devices.tokens.issue("d1", "operator", (), presented=await issued(devices))
    newest = [await issued(devices) for _ in range(3)]
    assert {devices.verify_token("d1", "operator", token, ()) for token in newest} == {TokenVerdict.VALID}


async def test_a_token_that_is_voided_while_its_use_is_noted_is_not_given_back() -> None:
    devices = await paired()
    token = await issued(devices)
    given: list[IssuedToken | None] = []

    async def come_back() -> None:
        given.append(await devices.tokens.issue("d1", "operator", (), presented=token))

    async with trio.open_nursery() as nursery, devices._paired.lock("d1"):
        nursery.start_soon(come_back)
        await trio.testing.wait_all_tasks_blocked()
        device = devices.find("d1")
        assert device is not None
        tokens = {"operator": device.tokens["operator"].revoked(1)}
        await devices._paired.put(attrs.evolve(device, tokens=tokens))
    assert given[0] is not None
    assert given[0].token != token


async def test_two_tabs_at_once_both_get_a_token_that_works() -> None:
    devices = await paired()
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
    devices = await paired()
    await devices.pair(attrs.evolve(ASK, device_id="d2", public_key="k2"))
    token = await issued(devices)
    assert devices.verify_token(device_id, role, token, scopes) is verdict


async def test_no_token_is_issued_to_a_device_that_is_not_paired() -> None:
    devices = await registry()
    assert await devices.tokens.issue("d1", "operator", ()) is None


async def test_rotation_voids_every_older_token_of_the_device_and_role_also_after_a_restart() -> None:
    store = MemoryStore()
    devices = await paired(store)
    older = [await issued(devices) for _ in range(3)]
    fresh = await rotated(devices)
    assert fresh is not None
    assert fresh.scopes == ("operator.read",)
    for known in (devices, await registry(store)):
        verdicts = {known.verify_token("d1", "operator", token, ()) for token in older}
        assert verdicts == {TokenVerdict.MISMATCH}
        assert known.verify_token("d1", "operator", fresh.token, ("operator.read",)) is TokenVerdict.VALID


async def test_rotation_leaves_the_tokens_of_the_other_role_alone() -> None:
    devices = await paired()
    await devices.pair(attrs.evolve(ASK, role="node", scopes=()))
    as_node = await devices.tokens.issue("d1", "node", ())
    await rotated(devices)
    assert as_node is not None
    assert devices.verify_token("d1", "node", as_node.token, ()) is TokenVerdict.VALID


async def test_a_token_can_be_rotated_to_less_and_back_within_what_was_approved() -> None:
    devices = await paired(None, "operator.write")
    narrow = await rotated(devices, ("operator.read",))
    assert narrow is not None
    assert devices.verify_token("d1", "operator", narrow.token, ("operator.write",)) is TokenVerdict.SCOPES
    wide = await rotated(devices, ("operator.write",))
    assert wide is not None
    assert devices.verify_token("d1", "operator", wide.token, ("operator.write",)) is TokenVerdict.VALID


@pytest.mark.parametrize(
    ("device_id", "role", "scopes"),
    [("d2", "operator", None), ("d1", "node", None), ("d1", "operator", ("operator.admin",))],
)
async def test_there_is_no_token_for_who_is_not_paired_for_it(
    device_id: str, role: str, scopes: tuple[str, ...] | None
) -> None:
    devices = await paired()
    token = await issued(devices)
    assert await devices.tokens.rotate(device_id, role, scopes, OWNER) is None
    assert devices.verify_token("d1", "operator", token, ()) is TokenVerdict.VALID


async def test_a_limited_token_cannot_be_rotated_into_a_wider_one_by_its_own_device() -> None:
    devices = await paired(None, "operator.admin")
    itself = Holder(("operator.read", "operator.pairing"), "d1")
    with pytest.raises(NotCovered):
        await rotated(devices, ("operator.admin",), itself)
    own = await rotated(devices, ("operator.read",), itself)
    assert own is not None
    assert own.scopes == ("operator.read",)


async def test_nobody_rotates_or_revokes_what_another_device_holds_beyond_him() -> None:
    devices = await paired(None, "operator.write")
    token = await issued(devices)
    clerk = Holder(("operator.read", "operator.pairing"), "d2")
    with pytest.raises(NotCovered):
        await rotated(devices, ("operator.read",), clerk)
    with pytest.raises(NotCovered):
        await devices.tokens.revoke("d1", "operator", clerk)
    assert devices.verify_token("d1", "operator", token, ()) is TokenVerdict.VALID


async def test_a_device_does_not_make_itself_a_nodes_token() -> None:
    devices = await paired()
    await devices.pair(attrs.evolve(ASK, role="node", scopes=()))
    with pytest.raises(NotCovered):
        await devices.tokens.rotate("d1", "node", None, Holder(("operator.pairing",), "d1"))


async def test_revocation_voids_every_token_of_the_role_and_the_device_stays_paired() -> None:
    store = MemoryStore()
    devices = await paired(store)
    token = await issued(devices)
    assert await devices.tokens.revoke("d1", "operator", OWNER) == 1_000_000
    for known in (devices, await registry(store)):
        assert known.verify_token("d1", "operator", token, ()) is TokenVerdict.MISMATCH
        assert known.find("d1") is not None


async def test_after_a_revocation_a_device_can_be_given_a_token_again() -> None:
    devices = await paired()
    void = await issued(devices)
    await devices.tokens.revoke("d1", "operator", OWNER)
    fresh = await issued(devices)
    assert devices.verify_token("d1", "operator", fresh, ()) is TokenVerdict.VALID
    assert devices.verify_token("d1", "operator", void, ()) is TokenVerdict.MISMATCH


async def test_what_was_never_issued_cannot_be_revoked() -> None:
    devices = await paired()
    assert await devices.tokens.revoke("d1", "operator", OWNER) is None
    assert await devices.tokens.revoke("d2", "operator", OWNER) is None
