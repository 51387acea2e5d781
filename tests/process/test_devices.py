"""What ends a device's way in, ends its sockets too: rotated, revoked, removed; and who may do that."""

import json
from typing import Any

import pytest

from tests.process.clients import CLI, FROM_AFAR, NODE, PAGE, READ_ONLY, origin
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess
from tests.support.wire_client import Refused, WireClient, wire_client

pytestmark = pytest.mark.process

V4 = (4, 4)
CLERK = ("operator.read", "operator.pairing")


def voided(cause: str, protocol: tuple[int, int]) -> tuple[int, str]:
    """The close of a client whose credential is void."""
    if protocol == V4:
        return (4001, f"client invalidated: {cause}")
    return (1008, f"unauthorized: device token mismatch ({cause})")


async def stored_token(gateway: GatewayProcess, device: Device, **handshake: Any) -> str:
    """A device token, got with the gateway's."""
    async with wire_client(gateway.port) as client:
        hello = await client.connect(token=TOKEN, device=device, client=CLI, **handshake)
    return str(hello["auth"]["deviceToken"])


async def by_token(client: WireClient, device: Device, token: str, **handshake: Any) -> None:
    await client.connect(auth={"deviceToken": token}, device=device, client=CLI, **handshake)


@pytest.mark.parametrize("protocol", [(3, 3), V4])
@pytest.mark.parametrize(
    ("method", "cause"),
    [
        ("device.token.rotate", "device token rotated"),
        ("device.token.revoke", "device token revoked"),
        ("device.pair.remove", "device removed"),
    ],
)
async def test_a_device_is_sent_away_at_once_and_its_token_is_void(
    gateway: GatewayProcess, method: str, cause: str, protocol: tuple[int, int]
) -> None:
    device, other = Device(), Device()
    token = await stored_token(gateway, device)
    bystander_token = await stored_token(gateway, other)
    params = {"deviceId": device.id, "role": "operator"}
    if method == "device.pair.remove":
        del params["role"]
    async with (
        wire_client(gateway.port) as admin,
        wire_client(gateway.port) as tab,
        wire_client(gateway.port) as by_secret,
        wire_client(gateway.port) as bystander,
    ):
        await admin.connect(token=TOKEN)
        await by_token(tab, device, token, protocol=protocol)
        await by_secret.connect(token=TOKEN, device=device, client=CLI, protocol=protocol)
        await by_token(bystander, other, bystander_token)
        await admin.call(method, params)
        assert await tab.closed() == voided(cause, protocol)
        assert await by_secret.closed() == voided(cause, protocol)
        assert (await bystander.call("health"))["ok"] is True
        assert (await admin.call("health"))["ok"] is True
    async with wire_client(gateway.port) as client:
        refusal = await client.refusal(
            auth={"deviceToken": token}, device=device, client=CLI, protocol=protocol
        )
    assert refusal.error["details"]["code"] == "AUTH_DEVICE_TOKEN_MISMATCH"
    assert "device token mismatch" in refusal.close[1]


@pytest.mark.parametrize("protocol", [(3, 3), V4])
async def test_a_device_rotates_its_own_token_and_is_answered_before_it_is_sent_away(
    gateway: GatewayProcess, protocol: tuple[int, int]
) -> None:
    device = Device()
    token = await stored_token(gateway, device)
    async with wire_client(gateway.port) as client:
        await by_token(client, device, token, protocol=protocol)
        rotated = await client.call("device.token.rotate", {"deviceId": device.id, "role": "operator"})
        assert await client.closed() == voided("device token rotated", protocol)
    assert rotated.pop("tokenDelivery", "in-band") == "in-band"
    assert set(rotated) == {"deviceId", "role", "token", "scopes", "rotatedAtMs"}
    assert rotated["token"] != token
    async with wire_client(gateway.port) as client:
        await by_token(client, device, rotated["token"], protocol=protocol)
        row = next(
            row for row in (await client.call("device.pair.list"))["paired"] if row["deviceId"] == device.id
        )
    assert row["tokens"][0]["rotatedAtMs"] == rotated["rotatedAtMs"]


async def test_who_removes_his_own_device_hears_that_it_is_done(gateway: GatewayProcess) -> None:
    device = Device()
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, device=device, client=CLI, protocol=V4)
        assert await client.call("device.pair.remove", {"deviceId": device.id}) == {"deviceId": device.id}
        assert await client.closed() == voided("device removed", V4)


async def test_a_revoked_node_goes_and_the_same_devices_operator_stays(gateway: GatewayProcess) -> None:
    device = Device()
    async with (
        wire_client(gateway.port) as admin,
        wire_client(gateway.port) as operator,
        wire_client(gateway.port) as node,
    ):
        await admin.connect(token=TOKEN)
        await operator.connect(token=TOKEN, device=device, client=NODE)
        async with wire_client(gateway.port) as client:
            refusal = await client.refusal(token=TOKEN, device=device, client=NODE, role="node", scopes=())
        assert refusal.error["details"]["reason"] == "role-upgrade"
        request_id = refusal.error["details"]["requestId"]
        approved = await admin.call("node.pair.approve", {"requestId": request_id})
        assert approved["node"]["nodeId"] == device.id
        resolved = await admin.event("node.pair.resolved", requestId=request_id)
        assert resolved["payload"]["decision"] == "approved"
        await admin.event("device.pair.resolved", requestId=request_id)

        await node.connect(token=TOKEN, device=device, client=NODE, role="node", scopes=())
        await admin.call("device.token.revoke", {"deviceId": device.id, "role": "node"})
        assert await node.closed() == voided("device token revoked", (3, 3))
        assert await admin.call("node.pair.remove", {"nodeId": device.id}) == {"nodeId": device.id}
        assert (await operator.call("health"))["ok"] is True
        nodes = (await admin.call("node.pair.list"))["paired"]
        with pytest.raises(Refused, match="unknown nodeId"):
            await admin.call("node.pair.remove", {"nodeId": device.id})
    assert device.id not in {row["nodeId"] for row in nodes}


async def test_a_node_that_is_not_wanted_is_rejected(gateway: GatewayProcess) -> None:
    device = Device()
    async with wire_client(gateway.port, headers=FROM_AFAR) as client:
        refusal = await client.refusal(token=TOKEN, device=device, client=NODE, role="node", scopes=())
        request_id = refusal.error["details"]["requestId"]
    async with wire_client(gateway.port) as admin:
        await admin.connect(token=TOKEN)
        rejected = await admin.call("node.pair.reject", {"requestId": request_id})
        assert rejected == {"requestId": request_id, "nodeId": device.id}
        with pytest.raises(Refused, match="unknown requestId"):
            await admin.call("node.pair.approve", {"requestId": request_id})


async def test_a_clerk_acts_within_his_scopes_and_learns_no_token(gateway: GatewayProcess) -> None:
    small, large, own = Device(), Device(), Device()
    await stored_token(gateway, small, scopes=READ_ONLY)
    large_token = await stored_token(gateway, large)
    async with wire_client(gateway.port) as clerk:
        await clerk.connect(token=TOKEN, device=own, client=CLI, scopes=CLERK, protocol=V4)
        rotated = await clerk.call("device.token.rotate", {"deviceId": small.id, "role": "operator"})
        assert rotated["tokenDelivery"] == "withheld-cross-device"
        assert "token" not in rotated
        for method in ("device.token.rotate", "device.token.revoke"):
            with pytest.raises(Refused, match="for more than this client holds"):
                await clerk.call(method, {"deviceId": large.id, "role": "operator"})
        with pytest.raises(Refused, match="cannot rename"):
            await clerk.call("device.pair.rename", {"deviceId": large.id, "label": "Mine"})
        with pytest.raises(Refused, match="cannot remove"):
            await clerk.call("device.pair.remove", {"deviceId": large.id})
    async with wire_client(gateway.port) as client:
        await by_token(client, large, large_token)


async def test_a_limited_token_of_a_powerful_device_stays_limited(gateway: GatewayProcess) -> None:
    """The device is approved for everything; what came in is a token for less."""
    device = Device()
    await stored_token(gateway, device)
    narrow = await stored_token(gateway, device, scopes=CLERK)
    async with wire_client(gateway.port) as client:
        refusal = await client.refusal(auth={"deviceToken": narrow}, device=device, client=CLI)
        assert refusal.error["details"]["code"] == "AUTH_DEVICE_TOKEN_MISMATCH"
    async with wire_client(gateway.port) as client:
        await by_token(client, device, narrow, scopes=CLERK)
        wide = {"deviceId": device.id, "role": "operator", "scopes": ["operator.admin"]}
        with pytest.raises(Refused, match="for more than this client holds"):
            await client.call("device.token.rotate", wide)
        with pytest.raises(Refused, match=r"missing scope: operator\.admin"):
            await client.call("config.set", {"raw": "{}"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"deviceId": "x"},
        {"role": "node"},
        {"scopes": ["operator.admin"]},
    ],
)
async def test_there_is_no_token_for_what_was_never_approved(
    gateway: GatewayProcess, wrong: dict[str, object]
) -> None:
    device = Device()
    await stored_token(gateway, device, scopes=READ_ONLY)
    async with wire_client(gateway.port) as admin:
        await admin.connect(token=TOKEN)
        with pytest.raises(Refused, match="INVALID_REQUEST: unknown deviceId/role"):
            await admin.call("device.token.rotate", {"deviceId": device.id, "role": "operator", **wrong})
        if "scopes" not in wrong:
            with pytest.raises(Refused, match="INVALID_REQUEST: unknown deviceId/role"):
                await admin.call("device.token.revoke", {"deviceId": device.id, "role": "operator", **wrong})


async def test_a_new_name_is_told_to_those_who_can_hear_of_it(gateway: GatewayProcess) -> None:
    device = Device()
    token = await stored_token(gateway, device)
    async with wire_client(gateway.port) as v4, wire_client(gateway.port) as v3:
        await v4.connect(token=TOKEN, protocol=V4, client=CLI)
        await v3.connect(token=TOKEN)
        renamed = await v4.call("device.pair.rename", {"deviceId": device.id, "label": "  Kitchen  "})
        assert renamed == {"deviceId": device.id, "label": "Kitchen"}
        assert (await v4.event("device.pair.changed"))["payload"] == {}
        for label in (" ", "x" * 65):
            with pytest.raises(Refused, match="INVALID_REQUEST"):
                await v4.call("device.pair.rename", {"deviceId": device.id, "label": label})
        with pytest.raises(Refused, match="unknown deviceId"):
            await v4.call("device.pair.rename", {"deviceId": "x", "label": "Kitchen"})
        rows = (await v3.call("device.pair.list"))["paired"]
        assert [row["displayName"] for row in rows if row["deviceId"] == device.id] == ["Kitchen"]
        assert "device.pair.changed" not in {frame.get("event") for frame in v3.seen}
    async with wire_client(gateway.port) as client:
        await by_token(client, device, token)


async def test_a_reader_asks_for_more_and_gets_a_token_for_it_once_a_person_agrees(
    gateway: GatewayProcess,
) -> None:
    device = Device()
    wanted = ["operator.read", "operator.write"]
    async with wire_client(gateway.port) as admin, wire_client(gateway.port) as reader:
        await admin.connect(token=TOKEN, protocol=V4, client=CLI)
        await reader.connect(token=TOKEN, device=device, scopes=READ_ONLY, protocol=V4, client=CLI)
        request_id = (await reader.call("device.scopes.requestUpgrade", {"scopes": wanted}))["requestId"]
        again = await reader.call("device.scopes.requestUpgrade", {"scopes": wanted})
        assert again == {"requestId": request_id}
        waiting = await reader.request("device.scopes.waitUpgrade", {"requestId": request_id})
        requested = (await admin.event("device.pair.requested", requestId=request_id))["payload"]
        assert (requested["deviceId"], requested["scopes"]) == (device.id, wanted)

        await admin.call("device.pair.approve", {"requestId": request_id})
        upgrade = await reader.response(waiting)
        assert (upgrade["status"], upgrade["scopes"]) == ("approved", wanted)
        with pytest.raises(Refused, match=r"missing scope: operator\.write"):
            await reader.call("sessions.create", {})
    async with wire_client(gateway.port) as client:
        await by_token(client, device, upgrade["deviceToken"], scopes=tuple(wanted))
        await client.call("sessions.create", {})


async def test_an_upgrade_that_is_rejected_ends_the_wait_and_changes_nothing(gateway: GatewayProcess) -> None:
    device = Device()
    async with wire_client(gateway.port) as admin, wire_client(gateway.port) as reader:
        await admin.connect(token=TOKEN)
        await reader.connect(token=TOKEN, device=device, scopes=READ_ONLY, protocol=V4, client=CLI)
        wanted = {"scopes": ["operator.admin", "operator.read"]}
        request_id = (await reader.call("device.scopes.requestUpgrade", wanted))["requestId"]
        waiting = await reader.request("device.scopes.waitUpgrade", {"requestId": request_id})
        await admin.call("device.pair.reject", {"requestId": request_id})
        assert await reader.response(waiting) == {"status": "rejected", "requestId": request_id}
        late = await reader.call("device.scopes.waitUpgrade", {"requestId": request_id})
        assert late == {"status": "rejected", "requestId": request_id}
        unheard_of = await reader.call("device.scopes.waitUpgrade", {"requestId": "never was"})
        assert unheard_of["status"] == "expired"


async def test_nobody_learns_anothers_upgrade_and_nobody_approves_his_own(gateway: GatewayProcess) -> None:
    async with (
        wire_client(gateway.port) as admin,
        wire_client(gateway.port) as asking,
        wire_client(gateway.port) as thief,
    ):
        await admin.connect(token=TOKEN)
        await asking.connect(token=TOKEN, device=Device(), scopes=CLERK, protocol=V4, client=CLI)
        await thief.connect(token=TOKEN, device=Device(), scopes=CLERK, protocol=V4, client=CLI)
        wanted = {"scopes": [*CLERK, "operator.admin"]}
        request_id = (await asking.call("device.scopes.requestUpgrade", wanted))["requestId"]
        for clerk in (asking, thief):
            with pytest.raises(Refused, match="cannot approve"):
                await clerk.call("device.pair.approve", {"requestId": request_id})
        await admin.call("device.pair.approve", {"requestId": request_id})
        stolen = await thief.call("device.scopes.waitUpgrade", {"requestId": request_id})
        assert stolen == {"status": "expired", "requestId": request_id}


async def test_what_has_no_device_or_asks_for_less_than_it_has_is_told_so(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as bare, wire_client(gateway.port) as client:
        await bare.connect(token=TOKEN)
        with pytest.raises(Refused, match="only a paired device") as refused:
            await bare.call("device.scopes.requestUpgrade", {"scopes": ["operator.admin"]})
        assert refused.value.error["details"]["code"] == "DEVICE_IDENTITY_REQUIRED"
        await client.connect(token=TOKEN, device=Device(), scopes=READ_ONLY, client=CLI)
        for scopes in ([], ["operator.pairing"], ["operator.read"] * 2, [f"s{n}" for n in range(9)]):
            with pytest.raises(Refused, match="scopes"):
                await client.call("device.scopes.requestUpgrade", {"scopes": scopes})


async def test_the_command_line_manages_devices_also_without_any_token(gateway: GatewayProcess) -> None:
    device = Device()
    token = await stored_token(gateway, device)
    short = device.id[:8]
    assert gateway.command("devices", "rename", short, "Kitchen").returncode == 0
    rotated = gateway.command("devices", "rotate", short)
    fresh = rotated.stdout.splitlines()[-1]
    assert "Kitchen" in rotated.stdout
    async with wire_client(gateway.port) as client:
        await client.refusal(auth={"deviceToken": token}, device=device, client=CLI)
    async with wire_client(gateway.port) as client:
        await by_token(client, device, fresh, protocol=V4)
        assert gateway.command("devices", "revoke", short).returncode == 0
        assert await client.closed() == voided("device token revoked", V4)
    assert gateway.command("devices", "remove", short).stdout == f"Removed: Kitchen ({device.id[:12]})\n"
    listed = gateway.command("devices", "list", "--json")
    assert device.id not in {row["deviceId"] for row in json.loads(listed.stdout)["paired"]}


async def test_a_page_is_known_by_where_it_comes_from_to_whom_approves_it(gateway: GatewayProcess) -> None:
    device = Device()
    headers = (*origin(f"http://127.0.0.1:{gateway.port}"), *FROM_AFAR)
    async with wire_client(gateway.port, headers=headers) as page:
        await page.refusal(token=TOKEN, device=device, client=PAGE)
    listed = json.loads(gateway.command("devices", "list", "--json").stdout)["pending"]
    (request,) = [row for row in listed if row["deviceId"] == device.id]
    assert request["browserOrigin"] == f"http://127.0.0.1:{gateway.port}"


async def test_the_log_says_what_was_done_to_a_device_and_never_a_token(gateway: GatewayProcess) -> None:
    device = Device()
    token = await stored_token(gateway, device)
    async with wire_client(gateway.port) as admin:
        conn = (await admin.connect(token=TOKEN))["server"]["connId"]
        params = {"deviceId": device.id, "role": "operator"}
        rotated = (await admin.call("device.token.rotate", params))["token"]
        await admin.call("device.token.revoke", params)
        await admin.call("device.pair.rename", {"deviceId": device.id, "label": "Kitchen"})
        await admin.call("device.pair.remove", {"deviceId": device.id})
    for act in ("device token rotated", "device token revoked", "device renamed", "device removed"):
        assert len(gateway.decisions(act, conn=conn, device=device.id)) == 1
    logged = json.dumps(gateway.log_lines)
    assert token not in logged
    assert rotated not in logged
