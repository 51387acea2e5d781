"""The published contract is at hand, and is one that can be broken."""

import pytest

from tests.support.contract import BreachError, Contract

pytestmark = pytest.mark.process


def test_what_wire_clients_receive_is_held_against_the_published_contract(contract: Contract | None) -> None:
    if contract is None:
        pytest.skip("the published contract could not be fetched: frames were not held against it")
    contract.check({"type": "event", "event": "tick", "payload": {"ts": 1}, "seq": 1})
    with pytest.raises(BreachError, match="ts"):
        contract.check({"type": "event", "event": "tick", "payload": {}, "seq": 1})
    with pytest.raises(BreachError, match="HelloOk"):
        contract.check({"type": "res", "id": "1", "ok": True, "payload": {}}, "connect")
