"""The configuration of a gateway that runs: changed by hand, by clients, by commands, and broken (R7)."""

import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.process.clients import BACKEND
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.wire_client import Refused, WireClient, wire_client

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]

PATIENCE_S = 15.0
CONFIG = f"""{{
  // mine
  gateway: {{ auth: {{ token: "{TOKEN}" }}, reload: {{ debounceMs: 50 }} }}, // since June
  agents: {{ list: [{{ id: "main", name: "Ann" }}] }},
}}
"""
BROKEN = ["", "{gateway: {prot: 1}}"]


def file_of(gateway: GatewayProcess) -> Path:
    return gateway.state / "openclaw.json"


def is_at(gateway: GatewayProcess, generation: int) -> bool:
    return bool(gateway.decisions("ready", generation=generation))


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    with trio.fail_after(PATIENCE_S):
        while True:
            if await condition():
                return
            await trio.sleep(0.05)


async def names(client: WireClient) -> list[str]:
    return [agent["name"] for agent in (await client.call("agents.list", {}))["agents"]]


async def warnings(client: WireClient) -> list[str]:
    found: list[str] = (await client.call("health", {"probe": True})).get("configWarnings", [])
    return found


async def admitted(client: WireClient, protocol: int = 4) -> WireClient:
    await client.connect(token=TOKEN, client=BACKEND, protocol=(protocol, protocol))
    return client


async def patch(client: WireClient, raw: str, **more: object) -> Any:
    base = (await client.call("config.get", {}))["hash"]
    return await client.call("config.patch", {"raw": raw, "baseHash": base, **more})


async def is_written(client: WireClient, name: str) -> bool:
    """Whether it was, or somebody else was faster."""
    try:
        await patch(client, f"{{env: {{{name}: 'x'}}}}")
    except Refused as refused:
        if "config changed since last load" not in str(refused):
            raise
        return False
    return True


async def test_what_is_changed_by_hand_counts_without_a_word_and_a_slip_changes_nothing() -> None:
    with gateway_process(CONFIG) as gateway:
        async with wire_client(gateway.port) as client:
            await admitted(client)
            file_of(gateway).write_text(CONFIG.replace("Ann", "Bob"))

            async def bob() -> bool:
                return await names(client) == ["Bob"]

            async def warned() -> bool:
                return bool(await warnings(client))

            async def mended() -> bool:
                return not await warned()

            await until(bob)
            for broken in BROKEN:
                file_of(gateway).write_text(broken)
                await until(warned)
                assert await names(client) == ["Bob"]
                assert file_of(gateway).read_text() == broken
                file_of(gateway).write_text(CONFIG.replace("Ann", "Bob"))
                await until(mended)
        assert len(gateway.decisions("config not applied")) == len(BROKEN)
        assert is_at(gateway, 1)
        assert not is_at(gateway, 2)


async def test_a_gateway_starts_with_the_last_good_file_and_says_so() -> None:
    with gateway_process(CONFIG) as gateway:
        kept = gateway.state / "openclawd" / "config.last-good.json"

        async def is_kept() -> bool:
            return kept.exists()

        await until(is_kept)
        gateway.stop()
        for broken in BROKEN:
            file_of(gateway).write_text(broken)
            gateway.start()
            async with wire_client(gateway.port) as client:
                await admitted(client)
                (warning,) = await warnings(client)
                assert "the last good one is in force" in warning
                assert await names(client) == ["Ann"]
            status = gateway.command("status", "--json")
            assert json.loads(status.stdout)["configWarnings"] == [warning]
            assert file_of(gateway).read_text() == broken
            gateway.kill()
        kept.unlink()
        gateway.start(wait=False)
        assert gateway.process is not None
        assert gateway.process.wait(timeout=PATIENCE_S) == 78


async def test_a_patch_counts_at_once_and_restarts_only_for_what_needs_it() -> None:
    with gateway_process(CONFIG) as gateway:
        pid = gateway.process.pid if gateway.process is not None else 0
        async with wire_client(gateway.port) as client:
            await admitted(client)
            answer = await patch(client, "{agents: {list: [{id: 'main', name: 'Eve'}]}}")
            assert (answer["changedPaths"], answer.get("restart")) == (["agents.list.0.name"], None)
            assert await names(client) == ["Eve"]
            answer = await patch(client, "{agents: {list: [{id: 'main', name: 'Eve'}]}}")
            assert answer["noop"] is True
            await patch(client, "{ui: {prefs: {theme: 'dark'}}}")
            with pytest.raises(Refused, match="rate limit exceeded for config") as refused:
                await patch(client, "{session: null}")
            assert refused.value.error["retryable"] is True
        async with wire_client(gateway.port) as client:
            await admitted(client)
            answer = await patch(client, "{session: {mainKey: 'home'}}", note="done")
            assert answer["restart"]["ok"] is True
            assert answer["sentinel"]["payload"]["message"] == "done"
            assert (await client.closed())[0] == 1012
        async with wire_client(gateway.port) as client:
            await admitted(client)
            assert client.hello["snapshot"]["sessionDefaults"]["mainKey"] == "home"
        assert gateway.process is not None
        assert (gateway.process.pid, gateway.process.poll()) == (pid, None)
        text = file_of(gateway).read_text()
        assert "// mine" in text
        assert "// since June" in text


async def test_what_needs_a_restart_is_restarted_for_once() -> None:
    with gateway_process(CONFIG) as gateway:
        file_of(gateway).write_text(CONFIG.replace("gateway: {", "gateway: { controlUi: {basePath: '/ui'},"))

        async def restarted() -> bool:
            return is_at(gateway, 2)

        await until(restarted)
        async with wire_client(gateway.port) as client:
            await admitted(client)
        assert gateway.decisions("ready", generation=2)[0]["after"] == "changed: gateway.controlUi.basePath"
        # And nothing of it is left to restart for.
        await trio.sleep(1.5)
        assert not is_at(gateway, 3)


async def test_a_file_that_is_broken_while_a_restart_is_due_does_not_stop_the_next_generation() -> None:
    with gateway_process(CONFIG) as gateway:
        async with wire_client(gateway.port) as client:
            await admitted(client)
            await patch(client, "{session: {mainKey: 'home'}}", restartDelayMs=300)
            file_of(gateway).write_text("{gateway: {auth: ")
            assert (await client.closed())[0] == 1012
        async with wire_client(gateway.port) as client:
            await admitted(client)
            assert client.hello["snapshot"]["sessionDefaults"]["mainKey"] == "home"
            assert await warnings(client)
        assert file_of(gateway).read_text() == "{gateway: {auth: "


async def test_a_port_that_is_taken_when_the_restart_has_begun_is_not_moved_to() -> None:
    with gateway_process(start=False) as gateway, socket.create_server(("127.0.0.1", 0)) as other:
        config = {"gateway": {"port": gateway.port, "auth": {"token": TOKEN}}}
        file_of(gateway).write_text(json.dumps(config))
        # Without --port, which goes before the file.
        gateway.start(shell='set -- "$1" "$2" "$3" "$4"')
        async with wire_client(gateway.port) as client:
            await admitted(client)
            await client.call("gateway.restart.request", {"reason": "a test"})
            # At the worst time: the next generation is checked, and nothing is asked of it any more.
            await client.event("shutdown")
            config["gateway"]["port"] = other.getsockname()[1]
            file_of(gateway).write_text(json.dumps(config))
        async with wire_client(gateway.port) as client:
            await admitted(client)
            assert any("in use" in each for each in await warnings(client))


async def test_commands_and_clients_that_write_at_once_lose_nothing() -> None:
    with gateway_process(CONFIG) as gateway:
        async with wire_client(gateway.port) as client:
            await admitted(client)

            async def command(name: str) -> None:
                ran = await trio.to_thread.run_sync(
                    lambda: gateway.command("config", "set", f"env.{name}", "x")
                )
                assert ran.returncode == 0, ran.stderr

            async with trio.open_nursery() as nursery:
                for name in ("A1", "A2", "A3", "A4"):
                    nursery.start_soon(command, name)
                written = {name for name in ("B1", "B2", "B3") if await is_written(client, name)}
            found = (await client.call("config.get", {}))["parsed"]["env"]
            assert {"A1", "A2", "A3", "A4", *written} == found.keys()
