"""Devices: paired silently on this machine, by a person from elsewhere, and then known by their tokens."""

import json
import sqlite3

import pytest

from tests.process.clients import CLI, FROM_AFAR, NODE, PAGE, READ_ONLY, origin
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.shapes import misfits
from tests.support.wire_client import Refused, wire_client

pytestmark = pytest.mark.process

REQUEST = {
    "requestId": str,
    "deviceId": str,
    "publicKey": str,
    "platform": "linux",
    "clientId": "gateway-client",
    "clientMode": "backend",
    "role": "operator",
    "roles": ["operator"],
    "scopes": [str],
    "silent": False,
    "isRepair": False,
    "ts": int,
}
PAIRED = {
    "deviceId": str,
    "publicKey": str,
    "platform": "linux",
    "clientId": "gateway-client",
    "clientMode": "backend",
    "role": "operator",
    "roles": ["operator"],
    "scopes": [str],
    "createdAtMs": int,
    "approvedAtMs": int,
}
RESOLVED = {"requestId": str, "deviceId": str, "decision": str, "ts": int}


async def test_a_local_device_with_the_token_is_paired_silently_and_gets_a_device_token(
    gateway: GatewayProcess,
) -> None:
    device = Device()
    async with wire_client(gateway.port) as admin, wire_client(gateway.port) as client:
        await admin.connect(token=TOKEN)
        hello = await client.connect(token=TOKEN, device=device, scopes=READ_ONLY)
        event = await admin.event("device.pair.resolved", deviceId=device.id)
        listed = await admin.call("device.pair.list")
    assert misfits(hello["auth"], {"deviceToken": str, "role": "operator", "issuedAtMs": int}) == []
    assert hello["auth"]["scopes"] == ["operator.read"]
    assert misfits(event["payload"], RESOLVED | {"decision": "approved"}) == []
    paired = [row for row in listed["paired"] if row["deviceId"] == device.id]
    token = {"role": "operator", "scopes": [str], "createdAtMs": int, "lastUsedAtMs?": int}
    assert misfits(paired, [PAIRED | {"tokens": [token]}]) == []
    assert hello["auth"]["deviceToken"] not in json.dumps(listed)


async def test_the_device_token_alone_lets_its_device_in_again(gateway: GatewayProcess) -> None:
    device = Device()
    async with wire_client(gateway.port) as client:
        first = await client.connect(token=TOKEN, device=device)
    token = first["auth"]["deviceToken"]
    # Stock pages send a stored device token as `auth.token`, stock programs as `auth.deviceToken`.
    for auth in ({"deviceToken": token}, {"token": token}):
        async with wire_client(gateway.port) as client:
            hello = await client.connect(auth=auth, device=device)
        assert hello["auth"]["deviceToken"] == token
        conn = hello["server"]["connId"]
        assert len(gateway.decisions("admitted", conn=conn, credential="device-token")) == 1


async def test_a_device_token_is_worth_nothing_without_its_device(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        hello = await client.connect(token=TOKEN, device=Device())
    stolen = hello["auth"]["deviceToken"]
    async with wire_client(gateway.port) as client:
        refusal = await client.refusal(auth={"deviceToken": stolen}, device=Device())
    assert refusal.error["details"]["code"] == "AUTH_DEVICE_TOKEN_MISMATCH"
    assert "device token mismatch" in refusal.close[1], "clients look for these words to drop a stale token"
    async with wire_client(gateway.port) as client:
        refusal = await client.refusal(auth={"deviceToken": stolen})
    assert refusal.error["code"] == "NOT_PAIRED"


async def test_a_signature_alone_never_admits(gateway: GatewayProcess) -> None:
    device = Device()
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, device=device)
    async with wire_client(gateway.port) as client:
        refusal = await client.refusal(device=device)
    assert refusal.error["details"]["code"] == "AUTH_TOKEN_MISSING"


async def test_a_device_from_elsewhere_waits_until_a_person_approves_it(gateway: GatewayProcess) -> None:
    device = Device()
    async with wire_client(gateway.port) as admin:
        await admin.connect(token=TOKEN)
        async with wire_client(gateway.port, headers=FROM_AFAR) as client:
            refusal = await client.refusal(token=TOKEN, device=device)
        request_id = refusal.error["details"]["requestId"]
        assert refusal.error == {
            "code": "NOT_PAIRED",
            "message": "pairing required",
            "details": {"code": "PAIRING_REQUIRED", "requestId": request_id, "reason": "not-paired"},
        }
        assert refusal.close == (1008, "pairing required")
        requested = await admin.event("device.pair.requested", requestId=request_id)
        pending = (await admin.call("device.pair.list"))["pending"]
        assert misfits(requested["payload"], REQUEST | {"deviceId": device.id}) == []
        assert [row for row in pending if row["requestId"] == request_id] == [requested["payload"]]

        approved = await admin.call("device.pair.approve", {"requestId": request_id})
        assert misfits(approved, {"requestId": request_id, "device": PAIRED | {"deviceId": device.id}}) == []
        resolved = await admin.event("device.pair.resolved", requestId=request_id)
        assert misfits(resolved["payload"], RESOLVED | {"decision": "approved", "deviceId": device.id}) == []

    async with wire_client(gateway.port, headers=FROM_AFAR) as client:
        hello = await client.connect(token=TOKEN, device=device)
    token = hello["auth"]["deviceToken"]
    async with wire_client(gateway.port, headers=FROM_AFAR) as client:
        await client.connect(auth={"deviceToken": token}, device=device)


async def test_asking_again_is_the_same_request_and_is_told_once(gateway: GatewayProcess) -> None:
    device = Device()
    ids = set()
    async with wire_client(gateway.port) as admin:
        await admin.connect(token=TOKEN)
        for _ in range(3):
            async with wire_client(gateway.port, headers=FROM_AFAR) as client:
                refusal = await client.refusal(token=TOKEN, device=device)
            ids.add(refusal.error["details"]["requestId"])
        pending = (await admin.call("device.pair.list"))["pending"]
        told = [frame for frame in admin.seen if frame.get("event") == "device.pair.requested"]
    assert len(ids) == 1
    assert len([row for row in pending if row["deviceId"] == device.id]) == 1
    assert len([frame for frame in told if frame["payload"]["deviceId"] == device.id]) == 1


async def test_a_rejected_device_stays_out_and_hears_of_it_when_it_comes_again(
    gateway: GatewayProcess,
) -> None:
    device = Device()
    async with wire_client(gateway.port) as admin:
        await admin.connect(token=TOKEN)
        async with wire_client(gateway.port, headers=FROM_AFAR) as client:
            first = (await client.refusal(token=TOKEN, device=device)).error["details"]["requestId"]
        rejected = await admin.call("device.pair.reject", {"requestId": first})
        assert rejected == {"requestId": first, "deviceId": device.id}
        resolved = await admin.event("device.pair.resolved", requestId=first)
        assert resolved["payload"]["decision"] == "rejected"
        for method in ("device.pair.approve", "device.pair.reject"):
            with pytest.raises(Refused, match="unknown requestId"):
                await admin.call(method, {"requestId": first})
    for _ in range(2):
        async with wire_client(gateway.port, headers=FROM_AFAR) as client:
            told = (await client.refusal(token=TOKEN, device=device, protocol=(4, 4))).error["details"]
        assert (told["requestId"], told["pauseReconnect"], told["retryable"]) == (first, True, False)
    listed = json.loads(gateway.command("devices", "list", "--json").stdout)
    assert device.id not in {row["deviceId"] for row in listed["pending"]}


async def test_a_v4_client_is_told_what_it_waits_for(gateway: GatewayProcess) -> None:
    device = Device()
    async with wire_client(gateway.port, headers=FROM_AFAR) as client:
        refusal = await client.refusal(token=TOKEN, device=device, protocol=(4, 4), scopes=READ_ONLY)
    request_id = refusal.error["details"]["requestId"]
    assert refusal.error["message"] == "pairing required: device is not approved yet"
    assert (
        misfits(
            refusal.error["details"],
            {
                "code": "PAIRING_REQUIRED",
                "reason": "not-paired",
                "remediationHint": str,
                "recommendedNextStep": "wait_then_retry",
                "retryable": True,
                "pauseReconnect": False,
                "deviceId": device.id,
                "requestedRole": "operator",
                "requestedScopes": ["operator.read"],
            },
        )
        == []
    )
    words = f"pairing required: device is not approved yet (requestId: {request_id})"
    assert refusal.close == (1008, words)


async def test_more_scopes_from_elsewhere_need_another_approval(gateway: GatewayProcess) -> None:
    device = Device()
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, device=device, scopes=READ_ONLY)
    async with wire_client(gateway.port, headers=FROM_AFAR) as client:
        refusal = await client.refusal(token=TOKEN, device=device)
    assert refusal.error["details"]["reason"] == "scope-upgrade"
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, device=device)


async def test_another_role_or_another_platform_is_never_approved_silently(gateway: GatewayProcess) -> None:
    device = Device()
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, device=device, client=CLI)
    async with wire_client(gateway.port) as client:
        refusal = await client.refusal(token=TOKEN, device=device, client=CLI, role="node")
    assert refusal.error["details"]["reason"] == "role-upgrade"
    async with wire_client(gateway.port) as client:
        refusal = await client.refusal(token=TOKEN, device=device, client=CLI | {"platform": "darwin"})
    assert refusal.error["details"]["reason"] == "metadata-upgrade"


async def test_a_page_of_another_program_on_this_machine_is_not_paired_silently(
    gateway: GatewayProcess,
) -> None:
    """A browser that runs somebody's page under a program's id is not the owner's act."""
    headers = origin(f"http://127.0.0.1:{gateway.port}")
    async with wire_client(gateway.port, headers=headers) as client:
        refusal = await client.refusal(token=TOKEN, device=Device())
    assert refusal.error["details"]["reason"] == "not-paired"


async def test_pairing_needs_its_scope(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, device=Device(), scopes=READ_ONLY)
        for method in ("device.pair.list", "device.pair.approve", "device.pair.reject"):
            with pytest.raises(Refused, match=r"missing scope: operator\.pairing"):
                await client.call(method, {})


async def test_a_node_is_paired_and_listed(gateway: GatewayProcess) -> None:
    node = Device()
    async with wire_client(gateway.port) as client, wire_client(gateway.port) as admin:
        hello = await client.connect(token=TOKEN, device=node, client=NODE, role="node", scopes=())
        assert hello["auth"]["role"] == "node"
        await admin.connect(token=TOKEN)
        nodes = (await admin.call("node.list"))["nodes"]
        pairings = await admin.call("node.pair.list")
    row = next(row for row in nodes if row["nodeId"] == node.id)
    assert misfits(row, {"caps": [], "commands": [], "paired": True, "connected": True}) == []
    paired = next(row for row in pairings["paired"] if row["nodeId"] == node.id)
    assert paired["clientMode"] == "node"
    assert "token" not in paired


async def test_a_device_that_asks_to_be_a_node_waits_among_the_nodes(gateway: GatewayProcess) -> None:
    device = Device()
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, device=device, client=CLI)
    async with wire_client(gateway.port) as client:
        refusal = await client.refusal(token=TOKEN, device=device, client=CLI, role="node")
    async with wire_client(gateway.port) as admin:
        await admin.connect(token=TOKEN)
        (waiting,) = [
            row for row in (await admin.call("node.pair.list"))["pending"] if row["nodeId"] == device.id
        ]
    assert waiting["requestId"] == refusal.error["details"]["requestId"]


async def test_a_removed_device_is_sent_away_and_its_token_is_void(gateway: GatewayProcess) -> None:
    device = Device()
    headers = origin(f"http://127.0.0.1:{gateway.port}")
    async with wire_client(gateway.port, headers=headers) as page, wire_client(gateway.port) as admin:
        token = (await page.connect(token=TOKEN, device=device, client=PAGE))["auth"]["deviceToken"]
        await admin.connect(token=TOKEN)
        assert await admin.call("device.pair.remove", {"deviceId": device.id}) == {"deviceId": device.id}
        assert await page.closed() == (1008, "unauthorized: device token mismatch (device removed)")
        with pytest.raises(Refused, match="unknown deviceId"):
            await admin.call("device.pair.remove", {"deviceId": device.id})
    async with wire_client(gateway.port, headers=headers) as page:
        refusal = await page.refusal(auth={"deviceToken": token}, device=device, client=PAGE)
    assert refusal.error["details"]["code"] == "AUTH_DEVICE_TOKEN_MISMATCH"


async def test_nobody_approves_or_removes_more_than_he_holds(gateway: GatewayProcess) -> None:
    device, admin_device = Device(), Device()
    async with wire_client(gateway.port, headers=FROM_AFAR) as client:
        request_id = (await client.refusal(token=TOKEN, device=device)).error["details"]["requestId"]
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, device=admin_device)
    async with wire_client(gateway.port) as clerk:
        await clerk.connect(token=TOKEN, scopes=("operator.pairing",))
        with pytest.raises(Refused, match="cannot approve scopes"):
            await clerk.call("device.pair.approve", {"requestId": request_id})
        with pytest.raises(Refused, match="cannot remove"):
            await clerk.call("device.pair.remove", {"deviceId": admin_device.id})


async def test_devices_and_their_tokens_survive_a_restart_and_no_token_is_on_disk() -> None:
    device = Device()
    with gateway_process() as gateway:
        headers = origin(f"http://127.0.0.1:{gateway.port}")
        async with wire_client(gateway.port, headers=headers) as client:
            hello = await client.connect(token=TOKEN, device=device, client=PAGE)
        token = hello["auth"]["deviceToken"]
        async with wire_client(gateway.port, headers=FROM_AFAR) as client:
            waiting = (await client.refusal(token=TOKEN, device=Device())).error["details"]["requestId"]
        assert gateway.stop() == 0
        with sqlite3.connect(gateway.state / "openclawd" / "openclawd.sqlite3") as database:
            dump = "\n".join(database.iterdump())
        database.close()
        assert device.id in dump
        assert token not in dump

        gateway.start()
        async with wire_client(gateway.port, headers=headers) as client:
            await client.connect(auth={"deviceToken": token}, device=device, client=PAGE)
            pending = (await client.call("device.pair.list"))["pending"]
        assert [row["requestId"] for row in pending] == [waiting]


async def test_the_command_line_lists_approves_and_rejects(gateway: GatewayProcess) -> None:
    wanted, unwanted = Device(), Device()
    requests = {}
    for device in (wanted, unwanted):
        async with wire_client(gateway.port, headers=FROM_AFAR) as client:
            refusal = await client.refusal(token=TOKEN, device=device)
        requests[device] = refusal.error["details"]["requestId"]
    listed = gateway.command("devices", "list", "--json")
    assert {row["requestId"] for row in json.loads(listed.stdout)["pending"]} >= set(requests.values())
    assert gateway.command("devices", "approve", requests[wanted]).returncode == 0
    assert gateway.command("devices", "reject", requests[unwanted]).returncode == 0
    async with wire_client(gateway.port, headers=FROM_AFAR) as client:
        await client.connect(token=TOKEN, device=wanted)
    async with wire_client(gateway.port, headers=FROM_AFAR) as client:
        await client.refusal(token=TOKEN, device=unwanted)
