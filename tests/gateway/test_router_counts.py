"""The router counts each call once, by how it ended."""

from collections.abc import Mapping
from typing import Any, cast

import attrs
import pytest
import trio

from openclawd.gateway.router import Router
from openclawd.methods.method import AnyParams, Call, Method, MethodTable, NoParams
from openclawd.methods.services import Services
from openclawd.protocol.errors import RequestError, unavailable
from openclawd.protocol.frames import Request
from openclawd.vitals.calls import UNKNOWN_METHOD, CallCounts, Outcome

TABLE = MethodTable()


@TABLE.add("at once", scope="operator.read", params=NoParams)
def at_once(_call: Call, _params: NoParams) -> object:
    return {}


@TABLE.add("no", scope="operator.read", params=AnyParams)
async def no(_call: Call, _params: AnyParams) -> object:
    raise unavailable("not today")


@TABLE.add("fault", scope="operator.read", params=AnyParams)
def fault(_call: Call, _params: AnyParams) -> object:
    raise ZeroDivisionError


@TABLE.add("for ever", scope="operator.read", params=AnyParams)
async def for_ever(_call: Call, _params: AnyParams) -> object:
    await trio.sleep_forever()


@TABLE.add("admins only", scope="operator.admin", params=AnyParams)
def admins_only(_call: Call, _params: AnyParams) -> object:
    return {}


@attrs.frozen
class Reader:
    connection_id: str = "c"
    wire_generation: int = 3
    role: str = "operator"
    scopes: frozenset[str] = frozenset({"operator.read"})
    caps: frozenset[str] = frozenset()
    device_id: str | None = None
    credential: str = "token"


async def counts_after(method: str, params: object = None) -> Mapping[tuple[str, Outcome], int]:
    """What is counted when a reader calls `method` and leaves after a while."""
    calls = CallCounts(trio.current_time)
    router = Router(cast(Mapping[str, Method], TABLE.methods), cast(Services, None), calls)
    try:
        found = router.find(Reader(), method)
    except RequestError:
        return calls.counts
    answer: Any = router.start(Reader(), Request("1", method, params), found, lambda _answer: None)
    if not isinstance(answer, bytes):
        with trio.move_on_after(5):
            await answer
    return calls.counts


@pytest.mark.parametrize(
    ("method", "params", "label", "outcome"),
    [
        ("at once", {}, "at once", Outcome.OK),
        ("at once", {"surplus": 1}, "at once", Outcome.ERROR),
        ("no", {}, "no", Outcome.ERROR),
        ("fault", {}, "fault", Outcome.FAILED),
        ("for ever", {}, "for ever", Outcome.LEFT),
        ("admins only", {}, "admins only", Outcome.REFUSED),
        ("invented", {}, UNKNOWN_METHOD, Outcome.REFUSED),
    ],
)
async def test_a_call_is_counted_once(
    autojump_clock: trio.testing.MockClock, method: str, params: object, label: str, outcome: Outcome
) -> None:
    assert await counts_after(method, params) == {(label, outcome): 1}
