"""#30469: `ssh -L 8888:localhost:18789` to a gateway with `bind: lan`, and nobody could tell who was let in.

The page is loaded from the forwarder's port, so its Origin and Host name that port and not the gateway's. The
right token gets in; without it the page is told why, in words, before the socket closes; and the log says of
each socket whether it was admitted.
"""

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from tests.process.clients import PAGE, STOCK_PAGE, STOCK_PAGE_SCOPES, origin
from tests.process.waiting import PATIENCE_S, Waits
from tests.support.device import Device
from tests.support.forwarder import forwarder
from tests.support.gateway_process import TOKEN
from tests.support.wire_client import WireClient, wire_client

pytestmark = pytest.mark.process

PASTE_IT = (
    "unauthorized: gateway token missing (open the dashboard URL and paste the token in Control UI settings)"
)


def page_of(port: int) -> AbstractAsyncContextManager[WireClient]:
    """A page that was loaded from `http://localhost:<port>` and connects there."""
    return wire_client(port, host="localhost", headers=origin(f"http://localhost:{port}"))


@pytest.mark.parametrize(("page", "signature"), [(PAGE, "v3"), (STOCK_PAGE, "v2")], ids=["ours", "stock"])
async def test_a_page_behind_a_forwarder_is_admitted_with_the_token(
    waits: Waits, page: dict[str, Any], signature: str
) -> None:
    async with forwarder(waits.gateway.port) as port, page_of(port) as client:
        hello = await client.connect(
            token=TOKEN, client=page, device=Device(), signature=signature, scopes=STOCK_PAGE_SCOPES
        )
        assert (await client.call("chat.history", {"sessionKey": "main"}))["messages"] == []
    (line,) = waits.gateway.decisions("admitted", conn=hello["server"]["connId"])
    assert (line["origin"], line["host"]) == (f"http://localhost:{port}", f"localhost:{port}")
    assert line["credential"] == "token"


@pytest.mark.parametrize("page", [PAGE, STOCK_PAGE], ids=["ours", "stock"])
async def test_the_same_page_without_the_token_is_told_what_is_missing(
    waits: Waits, page: dict[str, Any]
) -> None:
    device = Device()
    async with forwarder(waits.gateway.port) as port, page_of(port) as client:
        refusal = await client.refusal(client=page, device=device, signature="v2")
    assert refusal.error == {
        "code": "INVALID_REQUEST",
        "message": PASTE_IT,
        "details": {"code": "AUTH_TOKEN_MISSING", "authReason": "token_missing"},
        "retryable": False,
    }
    assert refusal.close == (1008, PASTE_IT)
    (line,) = waits.gateway.decisions("refused", device=device.id)
    assert (line["reason"], line["presented"], line["closeCode"]) == ("token_missing", "none", 1008)
    assert waits.gateway.decisions("admitted", conn=line["conn"]) == []


async def test_a_page_that_reloads_without_the_token_never_locks_the_token_out(waits: Waits) -> None:
    """#28997 in one line: an absent credential is no failed attempt."""
    async with forwarder(waits.gateway.port) as port:
        for _ in range(15):
            async with page_of(port) as client:
                refusal = await client.refusal(client=STOCK_PAGE, device=Device())
                assert refusal.error["details"]["code"] == "AUTH_TOKEN_MISSING"
        async with page_of(port) as client:
            await client.connect(token=TOKEN, client=STOCK_PAGE, device=Device())


def test_a_socket_through_the_forwarder_that_never_sends_connect_is_closed_with_the_reason(
    waits: Waits,
) -> None:
    silence = waits.silent_websocket.result(PATIENCE_S)
    assert silence.close == (1008, "handshake timeout: no connect request")
    lines = waits.gateway.decisions("refused", reason="handshake-timeout")
    (line,) = [line for line in lines if "origin" in line]
    assert line["origin"] == f"http://{line['host']}"
    assert line["host"].startswith("localhost:")
    assert waits.gateway.decisions("admitted", conn=line["conn"]) == []
