"""Devices that were paired with stock: what its `paired.json` says of them, entry by entry."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.auth.device_tokens import TokenVerdict
from openclawd.auth.stock_devices import NotStockDevices, read_stock_devices
from tests.auth.clients import DEVICE
from tests.auth.memory_store import MemoryStore
from tests.auth.registry import registry

TOKEN = "stock-device-token"


def entry(**more: Any) -> dict[str, Any]:
    """As a stock gateway writes it."""
    return {
        "deviceId": DEVICE.id,
        "publicKey": DEVICE.public_key,
        "displayName": "Laptop",
        "platform": "linux",
        "clientId": "cli",
        "clientMode": "cli",
        "role": "operator",
        "roles": ["operator"],
        "scopes": ["operator.read", "operator.write"],
        "approvedScopes": ["operator.read", "operator.write", "operator.admin"],
        "tokens": {
            "operator": {
                "token": TOKEN,
                "role": "operator",
                "scopes": ["operator.read"],
                "createdAtMs": 5,
                "lastUsedAtMs": 7,
            }
        },
        "createdAtMs": 5,
        "approvedAtMs": 6,
        **more,
    }


def text(*entries: dict[str, Any]) -> bytes:
    return json.dumps({found.get("deviceId", "?"): found for found in entries}).encode()


async def test_its_device_token_is_worth_what_it_was_and_is_kept_as_a_digest() -> None:
    store = MemoryStore()
    devices = await registry(store)
    await devices.adopt(read_stock_devices(text(entry())).devices)
    assert devices.verify_token(DEVICE.id, "operator", TOKEN, ("operator.read",)) is TokenVerdict.VALID
    assert devices.verify_token(DEVICE.id, "operator", TOKEN, ("operator.write",)) is TokenVerdict.SCOPES
    assert TOKEN.encode() not in store.devices[DEVICE.id]


def test_what_stock_knew_of_the_device_is_known_here() -> None:
    (device,) = read_stock_devices(text(entry(addedLater=1, remoteIp=None))).devices
    assert device.to_wire() == {
        "deviceId": DEVICE.id,
        "publicKey": DEVICE.public_key,
        "displayName": "Laptop",
        "platform": "linux",
        "clientId": "cli",
        "clientMode": "cli",
        "role": "operator",
        "roles": ["operator"],
        "scopes": ["operator.read", "operator.write"],
        "createdAtMs": 5,
        "approvedAtMs": 6,
        "tokens": [
            {"role": "operator", "scopes": ["operator.read"], "createdAtMs": 5, "lastUsedAtMs": 7},
        ],
    }


def test_a_key_in_pem_is_the_same_key() -> None:
    (device,) = read_stock_devices(text(entry(publicKey=DEVICE.pem))).devices
    assert device.public_key == DEVICE.public_key


def test_a_node_needs_no_scopes_and_an_old_entry_no_client() -> None:
    bare = {"deviceId": DEVICE.id, "publicKey": DEVICE.public_key, "role": "node"}
    (device,) = read_stock_devices(text(bare)).devices
    assert (device.roles, device.scopes, device.client_id) == (("node",), (), "unknown")


async def test_a_revoked_token_stays_revoked() -> None:
    revoked = entry()
    revoked["tokens"]["operator"]["revokedAtMs"] = 8
    devices = await registry()
    await devices.adopt(read_stock_devices(text(revoked)).devices)
    assert devices.verify_token(DEVICE.id, "operator", TOKEN, ()) is TokenVerdict.MISMATCH


def test_a_token_of_a_role_that_was_not_paired_is_left_behind() -> None:
    odd = entry()
    odd["tokens"]["node"] = odd["tokens"]["operator"]
    (device,) = read_stock_devices(text(odd)).devices
    assert list(device.tokens) == ["operator"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda found: found.pop("publicKey"),
        lambda found: found.update(publicKey="AAAA"),
        lambda found: found.update(roles=["king"], role="king"),
        lambda found: found.update(scopes="all"),
        lambda found: found.update(tokens=[]),
        lambda found: found["tokens"]["operator"].update(token=7),
    ],
)
def test_an_entry_that_cannot_be_read_is_named_and_costs_only_itself(
    damage: Callable[[dict[str, Any]], object],
) -> None:
    damaged = entry()
    damage(damaged)
    document = json.dumps({"other": "?", DEVICE.id: damaged, "wrong id": entry()}).encode()
    found = read_stock_devices(document)
    assert found.devices == ()
    assert set(found.unreadable) == {"other", DEVICE.id, "wrong id"}
    assert TOKEN not in str(found.unreadable)


@pytest.mark.parametrize("document", [b"", b"{", b"[]", b"null", b"\xff"])
def test_a_file_that_is_something_else_is_refused(document: bytes) -> None:
    with pytest.raises(NotStockDevices):
        read_stock_devices(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(entry())), JSON, max_size=4))
def test_whatever_an_entry_holds_it_is_a_device_or_named(changes: dict[str, Any]) -> None:
    found = read_stock_devices(json.dumps({DEVICE.id: entry(**changes)}).encode())
    assert len(found.devices) + len(found.unreadable) == 1
