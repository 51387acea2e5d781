"""Backups of a running gateway, and what comes back from them: by command, and by itself."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.process.chats import send, settled_history
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.wire_client import wire_client

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]


def database(gateway: GatewayProcess) -> Path:
    return gateway.state / "openclawd" / "openclawd.sqlite3"


def folder_of(gateway: GatewayProcess) -> Path:
    return gateway.state / "openclawd" / "backups"


def done(ran: subprocess.CompletedProcess[str]) -> Any:
    """What a command answered with --json."""
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


async def say(gateway: GatewayProcess, text: str) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, text, text)
        await settled_history(client)


async def said(gateway: GatewayProcess) -> list[str]:
    """What people said in the main session."""
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        rows = await settled_history(client)
    return [row["content"][0]["text"] for row in rows if row["role"] == "user"]


async def pair(gateway: GatewayProcess, device: Device) -> str:
    async with wire_client(gateway.port) as client:
        hello = await client.connect(token=TOKEN, device=device)
    return str(hello["auth"]["deviceToken"])


async def test_what_a_backup_of_a_running_gateway_holds_comes_back_with_its_devices() -> None:
    device = Device()
    with gateway_process() as gateway:
        token = await pair(gateway, device)
        await say(gateway, "before")
        made = done(gateway.command("backup", "--json"))
        await say(gateway, "after")
        refused = gateway.command("restore", "latest")
        assert refused.returncode == 75
        assert refused.stderr.splitlines()[-1] == "Stop it first: openclawd gateway stop"
        gateway.stop()
        (listed,) = done(gateway.command("backup", "list", "--json"))["backups"]
        assert listed["file"] == made["file"]
        restored = done(gateway.command("restore", "latest", "--json"))
        assert restored["restored"] == ["openclawd.sqlite3"]
        (kept,) = restored["kept"]
        gateway.start()
        assert await said(gateway) == ["before"]
        async with wire_client(gateway.port) as client:
            await client.connect(auth={"deviceToken": token}, device=device)
        gateway.stop()
        os.replace(kept, database(gateway))  # noqa: PTH105 - what was there before is all there
        gateway.start()
        assert await said(gateway) == ["before", "after"]


async def test_a_backup_moves_to_another_machine_as_one_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.tar.gz"
    with gateway_process({"ui": {"assistant": {"name": "Ida"}}}) as gateway:
        await say(gateway, "hello")
        assert done(gateway.command("gateway", "call", "gateway.identity.get"))
        done(gateway.command("backup", "--to", str(file), "--json"))
        again = gateway.command("backup", "--to", str(file))
        assert (again.returncode, "there is a file of that name" in again.stderr) == (1, True)
    with gateway_process(start=False) as other:
        restored = done(other.command("restore", str(file), "--json"))
        assert set(restored["restored"]) == {
            "openclawd.sqlite3",
            "openclaw.json",
            "openclawd/identity.pem",
        }
        assert restored["kept"] == []
        other.start()
        assert await said(other) == ["hello"]
        assert json.loads((other.state / "openclaw.json").read_text())["ui"]["assistant"]["name"] == "Ida"


def spoil(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(os.urandom(4096))


async def test_a_damaged_database_is_replaced_by_the_last_backup_and_that_is_told_everywhere() -> None:
    with gateway_process() as gateway:
        await say(gateway, "before")
        done(gateway.command("backup", "--json"))
        await say(gateway, "after")
        gateway.kill()
        spoil(database(gateway))
        gateway.start()
        kept_messages = await said(gateway)
        # Whether the second can be read is for SQLite to say: the page that was spoilt is that of the schema.
        assert kept_messages in (["before"], ["before", "after"])
        (line,) = gateway.decisions(
            "the state database was damaged; its last backup took its place, and what could be read of it"
        )
        assert line["level"] == "error"
        (kept,) = database(gateway).parent.glob("openclawd.sqlite3.damaged-*Z")
        health = done(gateway.command("health", "--json"))
        (told,) = health["stateWarnings"]
        assert "was damaged" in told
        assert str(gateway.state) not in told
        doctor = json.loads(gateway.command("doctor", "--json").stdout)
        (finding,) = (each for each in doctor["findings"] if each["name"] == "state")
        assert finding["verdict"] == "note"
        assert str(kept) in finding["cure"]
        (noted,) = (
            each
            for each in json.loads(gateway.command("status", "--json").stdout)["warnings"]
            if each["name"] == "state"
        )
        assert noted["said"] == finding["said"]
        gateway.stop()
        assert "was damaged" in gateway.command("status").stdout, "also while it does not run"


async def test_without_a_backup_a_damaged_database_ends_the_start_in_words() -> None:
    with gateway_process() as gateway:
        gateway.kill()
        spoil(database(gateway))
        gateway.start(wait=False)
        assert gateway.process is not None
        assert gateway.process.wait(timeout=20) == 1
        assert "the state database is damaged" in gateway.output
        assert "openclawd restore FILE" in gateway.output


def kill_in_the_middle(gateway: GatewayProcess) -> None:
    """A backup, once it has begun to copy."""
    command = subprocess.Popen([*gateway.program, "backup"], env=gateway._env(), stdout=subprocess.DEVNULL)
    while command.poll() is None and not list(folder_of(gateway).glob(".making-*/database")):
        pass
    command.send_signal(signal.SIGKILL)
    command.wait(timeout=10)


async def test_a_backup_that_is_killed_leaves_nothing_that_is_taken_for_one() -> None:
    with gateway_process() as gateway:
        await say(gateway, "hello")
        for _ in range(3):
            kill_in_the_middle(gateway)
        done(gateway.command("backup", "--json"))
        left = [each.name for each in folder_of(gateway).iterdir()]
        assert [name for name in left if not name.startswith("openclawd-")] == []
        gateway.stop()
        assert done(gateway.command("restore", "latest", "--json"))["ok"]
