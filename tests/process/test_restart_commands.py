"""`openclawd gateway restart`, `stop` and `check`, and what clients ask of a restart, on a real gateway."""

import json
import socket
import sys
import sysconfig
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.wire_client import Refused, WireClient, wire_client

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]

ROOT = Path(__file__).parents[2]
V3 = (3, 3)
V4 = (4, 4)
NOTHING_UNDER_WAY = {
    "safe": True,
    "counts": {
        "queueSize": 0,
        "pendingReplies": 0,
        "embeddedRuns": 0,
        "cronRuns": 0,
        "backgroundExecSessions": 0,
        "rootRequests": 0,
        "activeTasks": 0,
        "totalActive": 0,
    },
    "blockers": [],
    "summary": "nothing is under way",
}


def pid_of(gateway: GatewayProcess) -> int:
    assert gateway.process is not None
    return gateway.process.pid


@asynccontextmanager
async def admitted(gateway: GatewayProcess, protocol: tuple[int, int] = V3) -> AsyncIterator[WireClient]:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, protocol=protocol)
        yield client


def status(gateway: GatewayProcess) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gateway.command("gateway", "status", "--json").stdout)
    return found


@pytest.fixture
def gateway() -> Iterator[GatewayProcess]:
    with gateway_process() as running:
        yield running


@pytest.fixture
def linked(tmp_path: Path) -> Iterator[tuple[GatewayProcess, Path]]:
    """A gateway whose program is a link, as after an installation with versions."""
    link = tmp_path / "current"
    link.symlink_to(sys.executable)

    class Linked(GatewayProcess):
        program: Sequence[str] = (str(link), "-m", "openclawd")

    libraries = f"{ROOT}:{sysconfig.get_path('purelib')}"
    gateway = Linked(tmp_path / "state", "", {"PYTHONPATH": libraries})
    try:
        gateway.start()
        yield gateway, link
    finally:
        gateway.kill()


def test_a_restart_keeps_the_process_and_tells_of_the_gap(gateway: GatewayProcess) -> None:
    ended = gateway.command("gateway", "restart", "--json")

    told = json.loads(ended.stdout)
    assert (ended.returncode, told["generation"], told["pid"]) == (0, 2, pid_of(gateway))
    found = status(gateway)
    assert (found["pid"], found["generation"], found["lifecycle"]) == (pid_of(gateway), 2, "ready")
    assert found["lastRestart"] == told["lastRestart"]
    assert found["lastRestart"]["reason"] == "openclawd gateway restart"
    shown = gateway.command("gateway", "status").stdout
    assert "restarted" in shown
    assert gateway.command("doctor").stdout.count("ok      restart ") == 1


def test_with_a_broken_config_it_serves_on_and_says_why(gateway: GatewayProcess) -> None:
    (gateway.state / "openclaw.json").write_text('{"gateway": {"port": "high"}}')

    ended = gateway.command("gateway", "restart")

    assert ended.returncode == 1
    assert "gateway.port" in ended.stderr
    assert ended.stderr.endswith("openclawd gateway check\n")
    found = status(gateway)
    assert (found["generation"], found["lifecycle"]) == (1, "ready")
    assert "gateway.port" in found["restartProblem"]
    assert gateway.decisions("restart cancelled")


def test_a_port_that_somebody_else_has_is_not_moved_to(gateway: GatewayProcess) -> None:
    gateway.stop()
    config = gateway.state / "openclaw.json"
    config.write_text(json.dumps({"gateway": {"port": gateway.port, "auth": {"token": TOKEN}}}))
    # Without --port, which goes before the file.
    gateway.start(shell='set -- "$1" "$2" "$3" "$4"')
    with socket.create_server(("127.0.0.1", 0)) as other:
        busy = other.getsockname()[1]
        config.write_text(json.dumps({"gateway": {"port": busy, "auth": {"token": TOKEN}}}))
        ended = gateway.command("gateway", "restart")
        assert (ended.returncode, status(gateway)["generation"]) == (1, 1)
        assert f"Port {busy} on 127.0.0.1 is in use" in ended.stderr
        assert ended.stderr.endswith("openclawd gateway check\n")
        checked = gateway.command("gateway", "check")
        assert (checked.returncode, f"Port {busy} on 127.0.0.1 is in use" in checked.stdout) == (75, True)
        found = status(gateway)
        assert (found["lifecycle"], found["restartRequiredFor"]) == ("ready", ["gateway.port"])
        assert time.time() - found["restartProblemAtMs"] / 1000 < 60
    assert gateway.command("gateway", "restart").returncode == 0
    assert status(gateway)["port"] == busy


def test_a_program_that_does_not_start_is_not_executed(linked: tuple[GatewayProcess, Path]) -> None:
    gateway, link = linked
    gateway.program = (sys.executable, "-m", "openclawd")  # for the commands
    for broken in ("/bin/false", "/bin/true", "/does/not/exist"):
        link.unlink()
        link.symlink_to(broken)
        ended = gateway.command("gateway", "restart")
        assert (ended.returncode, status(gateway)["generation"]) == (1, 1)
        assert str(link) in ended.stderr

    link.unlink()
    link.symlink_to(sys.executable)
    assert gateway.command("gateway", "restart").returncode == 0
    assert status(gateway)["generation"] == 2


async def test_a_program_that_is_replaced_behind_its_check_is_not_executed_either(
    linked: tuple[GatewayProcess, Path],
) -> None:
    gateway, link = linked
    gateway.program = (sys.executable, "-m", "openclawd")  # for the commands
    async with admitted(gateway) as client:
        base = (await client.call("config.get", {}))["hash"]
        raw = '{"session": {"mainKey": "home"}}'
        wanted = {"raw": raw, "baseHash": base, "restartDelayMs": 3_000}
        assert (await client.call("config.patch", wanted))["restart"]["ok"]
        link.unlink()
        link.symlink_to("/bin/false")
        with trio.fail_after(45):
            while not gateway.decisions("restart cancelled"):  # noqa: ASYNC110  it is another process
                await trio.sleep(0.05)
        await client.call("health")
        found = status(gateway)
        assert (found["generation"], found["lifecycle"]) == (1, "ready")
        assert found["restartProblem"] == f"{link} ends with exit code 1"
    link.unlink()
    link.symlink_to(sys.executable)
    assert gateway.command("gateway", "restart").returncode == 0
    assert status(gateway)["generation"] == 2


def test_a_secret_on_the_command_line_counts_after_a_restart_and_is_not_seen() -> None:
    with gateway_process(start=False) as gateway:
        gateway.start("--auth", "password", "--password", "on-the-command-line")

        assert gateway.command("gateway", "restart").returncode == 0

        asked = ("gateway", "status", "--port", str(gateway.port), "--password", "on-the-command-line")
        assert gateway.command(*asked).returncode == 0
        for file in ("cmdline", "environ"):
            assert b"on-the-command-line" not in Path(f"/proc/{pid_of(gateway)}/{file}").read_bytes()


def test_the_check_beside_a_gateway_that_runs_leaves_it_alone(gateway: GatewayProcess) -> None:
    before = (gateway.state / "openclawd" / "gateway.lock").read_bytes()

    ended = gateway.command("gateway", "--port", str(gateway.port), "check", "--json")

    assert (ended.returncode, json.loads(ended.stdout)["ok"]) == (0, True)
    assert (gateway.state / "openclawd" / "gateway.lock").read_bytes() == before
    assert status(gateway)["pid"] == pid_of(gateway)


def test_stop_ends_the_gateway_well_and_waits_until_it_has_ended(gateway: GatewayProcess) -> None:
    process = gateway.process
    assert process is not None

    ended = gateway.command("gateway", "stop")

    assert (ended.returncode, ended.stdout) == (0, f"The gateway has stopped (process {process.pid}).\n")
    assert process.wait(timeout=5) == 0
    assert gateway.command("gateway", "stop").stdout.startswith("No gateway is running")
    assert gateway.command("gateway", "restart").returncode == 1


@pytest.mark.parametrize(("protocol", "signal"), [(V3, "SIGUSR1"), (V4, "SIGUSR2")], ids=["v3", "v4"])
async def test_a_client_asks_for_a_restart_in_stocks_shape(
    gateway: GatewayProcess, protocol: tuple[int, int], signal: str
) -> None:
    async with admitted(gateway, protocol) as client:
        assert await client.call("gateway.restart.preflight") == NOTHING_UNDER_WAY
        answer = await client.call("gateway.restart.request", {"reason": " a test "})
        assert await client.closed() == (1012, "service restart")

    assert answer == {
        "ok": True,
        "status": "scheduled",
        "preflight": NOTHING_UNDER_WAY,
        "restart": {
            "ok": True,
            "pid": pid_of(gateway),
            "signal": signal,
            "delayMs": 0,
            "reason": "a test",
            "mode": "emit",
            "coalesced": False,
            "cooldownMsApplied": 0,
        },
    }
    async with admitted(gateway, protocol) as client:
        found = (await client.call("status"))["openclawd"]
        assert (found["generation"], found["lastRestart"]["reason"]) == (2, "a test")


async def test_a_refused_restart_is_unavailable_with_the_reason(gateway: GatewayProcess) -> None:
    (gateway.state / "openclaw.json").write_text("{")
    async with admitted(gateway) as client:
        with pytest.raises(Refused) as refused:
            await client.call("gateway.restart.request", {})

        assert refused.value.error["code"] == "UNAVAILABLE"
        assert "config: " in refused.value.error["message"]
        assert (await client.call("status"))["openclawd"]["generation"] == 1


async def test_a_restart_that_names_the_owner_of_stocks_lock_is_for_another_gateway(
    gateway: GatewayProcess,
) -> None:
    target = {"pid": pid_of(gateway), "ownerId": "x", "port": gateway.port}
    async with admitted(gateway) as client:
        with pytest.raises(Refused) as refused:
            await client.call("gateway.restart.request", {"target": target})

    assert refused.value.error["code"] == "INVALID_REQUEST"
