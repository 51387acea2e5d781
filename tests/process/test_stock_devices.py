"""A state directory that a stock gateway paired devices in, and one whose records were damaged."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.process.clients import CLI
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.wire_client import wire_client

pytestmark = pytest.mark.process

OLD_TOKEN = "7kWz0fYxq1n3Qd8sVb5uJtRpLhMcAe2GiOjXyZrTuVw"


def stock_entry(device: Device, token: str) -> dict[str, Any]:
    now_ms = int(time.time() * 1000)
    scopes = ["operator.admin", "operator.read", "operator.write", "operator.approvals", "operator.pairing"]
    tokens = {"operator": {"token": token, "role": "operator", "scopes": scopes, "createdAtMs": now_ms}}
    return {
        "deviceId": device.id,
        "publicKey": device.public_key,
        "platform": "linux",
        "clientId": "cli",
        "clientMode": "cli",
        "role": "operator",
        "roles": ["operator"],
        "scopes": scopes,
        "tokens": tokens,
        "createdAtMs": now_ms,
        "approvedAtMs": now_ms,
    }


def write_paired(gateway: GatewayProcess, text: str) -> Path:
    file = gateway.state / "devices" / "paired.json"
    file.parent.mkdir()
    file.write_text(text)
    return file


async def get_in(gateway: GatewayProcess, device: Device) -> None:
    async with wire_client(gateway.port) as client:
        hello = await client.connect(auth={"deviceToken": OLD_TOKEN}, device=device, client=CLI)
    assert hello["auth"]["deviceToken"] == OLD_TOKEN


async def test_a_device_paired_with_stock_gets_in_with_its_old_token() -> None:
    device, damaged = Device(), Device()
    with gateway_process(start=False) as gateway:
        entries = {device.id: stock_entry(device, OLD_TOKEN), damaged.id: {"deviceId": damaged.id}}
        file = write_paired(gateway, json.dumps(entries))
        before = file.read_bytes()
        gateway.start()
        await get_in(gateway, device)

        (told,) = gateway.decisions("stock devices taken over")
        assert told["devices"] == 1
        (warned,) = gateway.decisions("stock device unreadable")
        assert warned["device"] == damaged.id
        assert file.read_bytes() == before
        assert OLD_TOKEN not in json.dumps(gateway.log_lines)
        assert gateway.stop() == 0
        for found in (gateway.state / "openclawd").rglob("*"):
            assert not found.is_file() or OLD_TOKEN.encode() not in found.read_bytes()


async def test_a_device_that_was_removed_here_does_not_come_back_from_stocks_file() -> None:
    device = Device()
    with gateway_process(start=False) as gateway:
        write_paired(gateway, json.dumps({device.id: stock_entry(device, OLD_TOKEN)}))
        gateway.start()
        await get_in(gateway, device)
        assert gateway.command("devices", "remove", device.id).returncode == 0
        gateway.kill()
        gateway.start()
        async with wire_client(gateway.port) as client:
            refusal = await client.refusal(auth={"deviceToken": OLD_TOKEN}, device=device, client=CLI)
        assert refusal.error["details"]["code"] == "AUTH_DEVICE_TOKEN_MISMATCH"


async def test_a_file_that_is_no_list_of_devices_holds_nothing_up_and_may_be_mended() -> None:
    device = Device()
    with gateway_process(start=False) as gateway:
        file = write_paired(gateway, "{")
        gateway.start()
        (warned,) = gateway.decisions("stock devices not taken over")
        assert warned["file"] == str(file)
        gateway.stop()
        file.write_text(json.dumps({device.id: stock_entry(device, OLD_TOKEN)}))
        gateway.start()
        await get_in(gateway, device)


async def test_damaged_records_cost_only_themselves_and_their_owner_gets_rid_of_them() -> None:
    device = Device()
    with gateway_process() as gateway:
        async with wire_client(gateway.port) as client:
            hello = await client.connect(token=TOKEN, device=device, client=CLI)
        token = hello["auth"]["deviceToken"]
        gateway.stop()
        with closing(sqlite3.connect(gateway.state / "openclawd" / "openclawd.sqlite3")) as file, file:
            rows = [("broken-json", '{"deviceId":'), ("broken-bytes", b"\xff\x00"), ("broken-shape", "[]")]
            file.executemany("INSERT INTO devices (device_id, document) VALUES (?, ?)", rows)
            file.execute("INSERT INTO device_requests (request_id, document) VALUES ('r', 'nonsense')")

        gateway.start()
        async with wire_client(gateway.port) as client:
            await client.connect(auth={"deviceToken": token}, device=device, client=CLI)
        assert {line["device"] for line in gateway.decisions("device record unreadable")} == {
            "broken-json",
            "broken-bytes",
            "broken-shape",
        }
        listed = gateway.command("devices", "list")
        assert "broken-bytes" in listed.stdout
        assert gateway.command("devices", "remove", "broken-json").returncode == 0
        left = json.loads(gateway.command("devices", "list", "--json").stdout)
        assert {row["deviceId"] for row in left["unreadable"]} == {"broken-bytes", "broken-shape"}
        reset = json.loads(gateway.command("devices", "reset", "--yes", "--json").stdout)
        assert reset == {"removed": 3, "rejected": 0}
        assert json.loads(gateway.command("devices", "list", "--json").stdout) == {
            "pending": [],
            "paired": [],
        }
