"""What `@openclaw/gateway-client` makes of approvals, upgrades and tokens that are void."""

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.reference_client.client import ReferenceClient
from tests.reference_client.conftest import Connecting
from tests.support.gateway_process import GatewayProcess

pytestmark = pytest.mark.process

READ, WRITE = "operator.read", "operator.write"


def device_id(tmp_path: Path) -> str:
    return str(json.loads((tmp_path / "host" / "identity.json").read_text())["deviceId"])


async def run(gateway: GatewayProcess, *words: str) -> None:
    """One `openclawd devices` command, while the client goes on."""
    done = await trio.to_thread.run_sync(gateway.command, "devices", *words)
    assert done.returncode == 0, done.stderr


async def test_its_scope_upgrade_gets_a_token_and_comes_back_with_it(
    connected: Connecting, gateway: GatewayProcess
) -> None:
    async with connected(scopes=[READ]) as client:
        assert (await client.hello())["auth"]["scopes"] == [READ]
        outcome: dict[str, Any] = {}

        async def upgrade() -> None:
            outcome.update(await client.upgrade(READ, WRITE))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(upgrade)
            request_id = (await client.report("pending"))["requestId"]
            await run(gateway, "approve", request_id)
        assert outcome == {"status": "approved", "requestId": request_id, "scopes": [READ, WRITE]}
        assert (await client.hello())["auth"]["scopes"] == [READ, WRITE]
        assert "key" in await client.call("sessions.create", {})


async def test_a_rejected_scope_upgrade_leaves_it_as_it_is(
    connected: Connecting, gateway: GatewayProcess
) -> None:
    async with connected(scopes=[READ]) as client:
        await client.hello()
        outcome: dict[str, Any] = {}

        async def upgrade() -> None:
            outcome.update(await client.upgrade(READ, WRITE))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(upgrade)
            await run(gateway, "reject", (await client.report("pending"))["requestId"])
        assert outcome["status"] == "rejected"
        assert (await client.call("health"))["ok"] is True


async def refused_for_now(client: ReferenceClient) -> str:
    """The id of the request that it waits for; it was not told to stop asking."""
    details = (await client.report("refused"))["error"]["details"]
    assert details["code"] == "PAIRING_REQUIRED"
    await client.report("closed")
    assert "paused" not in {report["on"] for report in client.reports}
    return str(details["requestId"])


async def test_it_goes_on_knocking_and_gets_in_by_itself_once_it_is_approved(
    connected: Connecting, gateway: GatewayProcess
) -> None:
    async with connected() as client:
        await client.hello()
    async with connected(platform="darwin") as client:
        await run(gateway, "approve", await refused_for_now(client))
        await client.hello()


async def test_it_stops_knocking_when_it_is_rejected(connected: Connecting, gateway: GatewayProcess) -> None:
    async with connected() as client:
        await client.hello()
    async with connected(platform="darwin") as client:
        await run(gateway, "reject", await refused_for_now(client))
        assert (await client.report("paused"))["detailCode"] == "PAIRING_REQUIRED"


@pytest.mark.parametrize("act", ["rotate", "revoke", "remove"])
async def test_it_is_told_that_its_token_is_void_and_drops_it(
    connected: Connecting, gateway: GatewayProcess, tmp_path: Path, act: str
) -> None:
    async with connected() as client:
        await client.hello()
    async with connected(token=None) as client:
        await client.hello()
        await run(gateway, act, device_id(tmp_path))
        closed = await client.report("closed")
        assert closed["code"] == 4001
        assert closed["reason"].startswith("client invalidated: device ")
        await client.report("token cleared")
        assert (await client.report("paused"))["detailCode"] == "AUTH_DEVICE_TOKEN_MISMATCH"
    async with connected() as client:
        await client.hello()
        await client.report("token stored")
