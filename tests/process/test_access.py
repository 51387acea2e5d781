"""Settings that count at once in a running gateway: a new token, SIGHUP, `config set`."""

import hashlib
import json
import os
import pty
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.process.clients import BACKEND, READ_ONLY
from tests.support.device import Device
from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.wire_client import WireClient, wire_client

pytestmark = pytest.mark.process

OLD = "5f0c9a7be21d48638c04d1f7a96e3b52c8e07d14fb6a9235"
NEW = "e2b7406d9c81fa355d3e8b0c67a2f914d05b6e7c8a31f29d"
CONFIG = f"""{{
  // mine
  gateway: {{ auth: {{ token: "{OLD}" }} }}, // since June
}}
"""
AUTH_CHANGED_V4 = (4001, "gateway auth changed")
AUTH_CHANGED_V3 = (1008, "gateway auth changed")
PATIENCE_S = 15.0


def config_file(gateway: GatewayProcess) -> Path:
    return gateway.state / "openclaw.json"


async def logged(gateway: GatewayProcess, message: str) -> None:
    """Wait until the log says it."""
    with trio.fail_after(PATIENCE_S):
        while True:
            if gateway.decisions(message):
                return
            await trio.sleep(0.02)


async def is_alive(client: WireClient) -> bool:
    return bool(await client.call("health"))


async def can_enter(gateway: GatewayProcess, **handshake: Any) -> bool:
    async with wire_client(gateway.port) as client:
        return bool(await client.connect(client=BACKEND, **handshake))


# --- gateway token rotate


async def test_a_rotated_token_sends_its_holders_away_and_nobody_else() -> None:
    with gateway_process(CONFIG) as gateway:
        device = Device()
        async with wire_client(gateway.port) as client:
            hello = await client.connect(token=OLD, device=device)
        device_token = {"deviceToken": hello["auth"]["deviceToken"]}
        async with (
            wire_client(gateway.port) as by_token,
            wire_client(gateway.port) as by_token_v3,
            wire_client(gateway.port) as by_device,
        ):
            await by_token.connect(token=OLD, client=BACKEND, protocol=(4, 4))
            await by_token_v3.connect(token=OLD, client=BACKEND)
            await by_device.connect(auth=device_token, device=device)
            ran = await trio.to_thread.run_sync(lambda: gateway.command("gateway", "token", "rotate"))
            assert (ran.returncode, ran.stderr) == (0, "")
            assert await by_token.closed() == AUTH_CHANGED_V4
            assert await by_token_v3.closed() == AUTH_CHANGED_V3
            assert await is_alive(by_device)
        token = re.findall(r"#token=([0-9a-f]{48})\n", ran.stdout)[0]
        assert config_file(gateway).read_text() == CONFIG.replace(OLD, token)
        assert await can_enter(gateway, token=token)
        assert await can_enter(gateway, auth=device_token, device=device)
        async with wire_client(gateway.port) as client:
            assert (await client.refusal(token=OLD)).error["details"]["code"] == "AUTH_TOKEN_MISMATCH"
        # The command on this machine and the dashboard know it at once, and nothing else does.
        assert gateway.command("health", "--port", str(gateway.port)).returncode == 0
        assert f"#token={token}" in gateway.command("dashboard").stdout
        assert token not in gateway.output + gateway.printed + json.dumps(gateway.log_lines)


async def test_a_token_is_rotated_over_the_wire_without_telling_it() -> None:
    with gateway_process(CONFIG) as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token=OLD, client=BACKEND, protocol=(4, 4))
            answer = await client.call("gateway.token.rotate", {})
            assert (answer["ok"], answer["applied"]) == (True, ["gateway.auth.token"])
            assert not re.search(r"[0-9a-f]{48}", json.dumps(answer))
            assert await client.closed() == AUTH_CHANGED_V4
        assert OLD not in config_file(gateway).read_text()


@pytest.mark.parametrize("flag", ["--token", "--token-file"])
def test_a_token_of_the_command_line_is_not_rotated(flag: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(NEW)
    with gateway_process(CONFIG, start=False) as gateway:
        gateway.start(flag, NEW if flag == "--token" else str(file))
        ran = gateway.command("gateway", "token", "rotate")
        assert (ran.returncode, f"given with {flag} when" in ran.stderr) == (1, True)
        assert config_file(gateway).read_text() == CONFIG


def test_a_stopped_gateway_starts_with_the_rotated_token() -> None:
    with gateway_process(CONFIG) as gateway:
        gateway.stop()
        ran = gateway.command("gateway", "token", "rotate", "--json")
        found = json.loads(ran.stdout)
        assert (ran.returncode, found["live"]) == (0, False)
        gateway.start()
        token = found["url"].partition("#token=")[2]
        assert gateway.command("health", "--port", str(gateway.port), "--token", token).returncode == 0


# --- reload


async def test_a_hang_up_without_a_terminal_makes_the_file_count() -> None:
    with gateway_process(CONFIG) as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token=OLD, client=BACKEND, protocol=(4, 4))
            config_file(gateway).write_text(CONFIG.replace(OLD, NEW))
            assert gateway.process is not None
            gateway.process.send_signal(signal.SIGHUP)
            assert await client.closed() == AUTH_CHANGED_V4
        assert await can_enter(gateway, token=NEW)
        config_file(gateway).write_text("{gateway: {auth: ")
        gateway.process.send_signal(signal.SIGHUP)
        await logged(gateway, "config not applied")
        assert await can_enter(gateway, token=NEW)


def test_a_terminal_that_goes_ends_the_gateway() -> None:
    with gateway_process(CONFIG, start=False) as gateway:
        ours, theirs = pty.openpty()
        gateway.start(terminal=theirs)
        os.close(theirs)
        os.close(ours)
        assert gateway.process is not None
        assert gateway.process.wait(timeout=PATIENCE_S) == 0
        assert gateway.decisions("stopping", reason="SIGHUP") != []


async def test_config_set_counts_at_once_and_says_what_does_not() -> None:
    with gateway_process(CONFIG) as gateway:
        ran = gateway.command("config", "set", "gateway.auth.rateLimit.maxAttempts", "3")
        assert "The running gateway goes by it." in ran.stdout
        limits = json.loads(gateway.command("gateway", "limits", "--json").stdout)
        assert limits["rules"] == {"tries": 3, "refillMs": 300_000, "exemptLoopback": True}
        ran = gateway.command("config", "set", "gateway.reload.mode", "hot")
        assert "The running gateway goes by it." in ran.stdout
        ran = gateway.command("config", "set", "gateway.controlUi.basePath", "ui")
        assert "until it restarts: gateway.controlUi.basePath" in ran.stdout
        # What the command line decided does not wait for anything.
        ran = gateway.command("config", "set", "gateway.port", "19999", "--json")
        assert json.loads(ran.stdout)["reloaded"]["restartRequired"] == ["gateway.controlUi.basePath"]
        ran = gateway.command("config", "set", "gateway.port", "19998")
        assert "started with --port, which counts in place of the file" in ran.stdout


async def test_who_changes_the_token_over_the_wire_is_answered_before_he_has_to_go() -> None:
    with gateway_process(CONFIG) as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token=OLD, client=BACKEND, protocol=(4, 4))
            current = await client.call("config.get")
            answer = await client.call(
                "config.set", {"raw": CONFIG.replace(OLD, NEW), "baseHash": current["hash"]}
            )
            assert (answer["ok"], answer["restartRequired"]) == (True, False)
            assert await client.closed() == AUTH_CHANGED_V4
        assert await can_enter(gateway, token=NEW)


async def test_who_is_being_decided_about_when_the_token_changes_does_not_get_in() -> None:
    # A password waits for its answer once others were wrong; it is changed meanwhile.
    config = {"gateway": {"auth": {"password": "summer"}}}
    with gateway_process(config) as gateway:
        async with trio.open_nursery() as nursery:
            for wrong in ("one", "two", "three", "four"):
                nursery.start_soon(_is_refused, gateway, wrong)
            await trio.sleep(0.1)
            async with wire_client(gateway.port) as late:
                await late.event("connect.challenge")
                request = await late.request("connect", _connect("summer"))
                await trio.sleep(0.1)
                config_file(gateway).write_text('{"gateway": {"auth": {"password": "winter"}}}')
                assert gateway.command("gateway", "reload").returncode == 0
                await late.closed()
            answers = [frame for frame in late.seen if frame.get("id") == request]
            assert [frame["ok"] for frame in answers] == [False]
            nursery.cancel_scope.cancel()


async def _is_refused(gateway: GatewayProcess, password: str) -> None:
    async with wire_client(gateway.port) as client:
        await client.refusal(auth={"password": password})


def _connect(password: str) -> dict[str, Any]:
    return {
        "minProtocol": 4,
        "maxProtocol": 4,
        "client": BACKEND,
        "role": "operator",
        "scopes": ["operator.admin"],
        "caps": [],
        "auth": {"password": password},
    }


# --- what a reader of the configuration may know


async def test_a_reader_is_told_no_hash_that_a_weak_secret_could_be_tried_out_with() -> None:
    raw = '{"gateway": {"auth": {"password": "summer"}}}'
    shown = raw.replace("summer", "__OPENCLAW_REDACTED__")
    expected = [hashlib.sha256(text.encode()).hexdigest() for text in (raw, shown)]
    with gateway_process(raw) as gateway:
        found = []
        for scopes in (("operator.admin",), READ_ONLY):
            async with wire_client(gateway.port) as client:
                auth = {"password": "summer"}
                hello = await client.connect(auth=auth, scopes=scopes, client=BACKEND, protocol=(4, 4))
                current = await client.call("config.get")
            assert current["hash"] == current["appliedConfigHash"] == current["configRevisionHash"]
            assert current["hash"] == hello["snapshot"]["appliedConfigHash"]
            found.append(current["hash"])
        assert found == expected
