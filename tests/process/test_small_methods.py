"""The smaller methods on a real gateway: stock's shapes in both generations, and what they do.

A v4 client's answers are held against the published contract as they come in.
"""

import hashlib
import json
from collections.abc import Generator
from typing import Any, Final

import pytest

from tests.process.chats import MAIN, send
from tests.process.clients import READ_ONLY
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.provider_process import ProviderProcess, provider_process
from tests.support.shapes import misfits
from tests.support.wire_client import Refused, WireClient, wire_client

pytestmark = pytest.mark.process

V3: Final = (3, 3)
V4: Final = (4, 4)
BOTH: Final = pytest.mark.parametrize("protocol", [V3, V4], ids=["v3", "v4"])
NONE: Final = type(None)

LINE: Final = "Node: x (1.2.3.4) · app 1 · last input 3s ago · mode ui · reason test"
NO_JOBS: Final = {"jobs": [], "total": 0, "offset": 0, "hasMore": False, "nextOffset": None}
FILE_NAMES: Final = ["AGENTS", "SOUL", "TOOLS", "IDENTITY", "USER", "HEARTBEAT", "BOOTSTRAP", "MEMORY"]


@pytest.fixture(scope="module")
def provider() -> Generator[ProviderProcess, None, None]:
    with provider_process() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(provider: ProviderProcess) -> Generator[GatewayProcess, None, None]:
    with gateway_process(provider.config()) as running:
        yield running


async def refusal(client: WireClient, method: str, params: object) -> dict[str, Any]:
    with pytest.raises(Refused) as refused:
        await client.call(method, params)
    return refused.value.error


# --- system-event


@BOTH
async def test_where_a_user_is_goes_to_everybody(gateway: GatewayProcess, protocol: tuple[int, int]) -> None:
    async with wire_client(gateway.port) as client, wire_client(gateway.port) as watcher:
        await client.connect(token=TOKEN)
        await watcher.connect(token=TOKEN, device=Device(), protocol=protocol, scopes=READ_ONLY)
        host = f"host-{protocol[0]}"
        assert await client.call("system-event", {"text": LINE.replace("x (", f"{host} (")}) == {"ok": True}
        entry = None
        while entry is None:
            event = await watcher.event("presence")
            entry = next((each for each in event["payload"]["presence"] if each["host"] == host), None)
    shape = {"ip": "1.2.3.4", "version": "1", "lastInputSeconds": 3, "mode": "ui", "reason": "test"}
    assert misfits(entry, {**shape, "ts": int, "text": str}) == []
    assert misfits(event, {"seq": int, "stateVersion": {"presence": int, "health": int}}) == []


async def test_what_happened_is_told_to_the_model_of_the_main_session_once(
    gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        text = "the backup of tonight is done"
        assert await client.call("system-event", {"text": text, "tags": ["x"], "any": {}}) == {"ok": True}
        assert (await client.call("status"))["queuedSystemEvents"] == [text]
        for run_id in ("told", "told-no-more"):
            await send(client, run_id, f"message {run_id}")
            await client.event("chat", runId=run_id, state="final")
        assert (await client.call("status"))["queuedSystemEvents"] == []
        history = await client.call("chat.history", {"sessionKey": MAIN})
    assert text not in json.dumps(history)
    asked = [json.dumps(request, ensure_ascii=False) for request in provider.chats]
    (told,) = [request for request in asked if text in request]
    assert "System: [" in told
    assert "message told" in told


@pytest.mark.parametrize("params", [{}, {"text": " "}, {"text": 5}, [], None])
async def test_an_event_needs_a_text(gateway: GatewayProcess, params: object) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        error = await refusal(client, "system-event", params)
    assert error == {"code": "INVALID_REQUEST", "message": "text required"}


@BOTH
async def test_a_wake_up_waits_for_the_next_turn(gateway: GatewayProcess, protocol: tuple[int, int]) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, protocol=protocol, scopes=("operator.read", "operator.write"))
        text = f"the washing is done, {protocol}"
        assert await client.call("wake", {"mode": "next-heartbeat", "text": text}) == {"ok": True}
        assert text in (await client.call("status"))["queuedSystemEvents"]
        error = await refusal(client, "wake", {"mode": "now", "text": text})
        assert error["code"] == "UNAVAILABLE"
        assert "next-heartbeat" in error["message"]


# --- small answers


@BOTH
async def test_there_are_no_jobs(gateway: GatewayProcess, protocol: tuple[int, int]) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, protocol=protocol)
        # What v4 clients want to see of a page beside it.
        revision = {"snapshotRevision": "0"} if protocol == V4 else {}
        assert await client.call("cron.list", {}) == {**NO_JOBS, **revision, "limit": 50}
        wanted = {"includeDisabled": True, "limit": 7, "offset": 3, "sortBy": "name", "sortDir": "desc"}
        assert await client.call("cron.list", wanted) == {**NO_JOBS, **revision, "limit": 7}
        error = await refusal(client, "cron.list", {"limit": 201})
    assert error["message"] == "invalid cron.list params: at /limit: must be <= 200"


@BOTH
async def test_nothing_is_known_of_versions_before_anybody_looked(
    gateway: GatewayProcess, protocol: tuple[int, int]
) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, protocol=protocol)
        status = await client.call("update.status")
        assert status == {
            "sentinel": None,
            "updateAvailable": None,
            "effectiveChannel": "stable",
            "schedule": {"channel": "stable", "autoEnabled": False},
        }


@BOTH
async def test_every_command_that_is_listed_answers(
    gateway: GatewayProcess, protocol: tuple[int, int]
) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, protocol=protocol, device=Device())
        commands = (await client.call("commands.list", {"scope": "text"}))["commands"]
        row = {"name": str, "textAliases": [str], "description": str, "source": "native", "acceptsArgs": bool}
        assert misfits(commands, [row]) == []
        names = [command["name"] for command in commands]
        assert {"new", "stop", "model", "models", "think", "usage", "status", "whoami", "help"} <= set(names)
        bare = (await client.call("commands.list", {"includeArgs": False}))["commands"]
        assert not any("args" in command for command in bare)
        assert (await client.call("commands.list", {"scope": "native"}))["commands"] == []
        run_id = f"help-{protocol[0]}"
        await send(client, run_id, "/help")
        help_text = json.dumps(await client.event("chat", runId=run_id, state="final"))
    assert all(f"/{name}" in help_text for name in names)


@BOTH
async def test_the_gateway_has_an_identity_that_outlives_it(protocol: tuple[int, int]) -> None:
    with gateway_process() as gateway:
        answers = []
        for _ in range(2):
            async with wire_client(gateway.port) as client:
                await client.connect(token=TOKEN, protocol=protocol)
                answers.append(await client.call("gateway.identity.get", {}))
            gateway.stop()
            gateway.start()
        private = (gateway.state / "openclawd" / "identity.pem").read_text()
    assert answers[0] == answers[1]
    assert misfits(answers[0], {"deviceId": str, "publicKey": str}) == []
    assert len(answers[0]["deviceId"]) == 64
    assert private.splitlines()[1] not in json.dumps(answers)


# --- agents


async def test_agents_have_stocks_rows_in_each_generation(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as v3, wire_client(gateway.port) as v4:
        await v3.connect(token=TOKEN)
        await v4.connect(token=TOKEN, protocol=V4, device=Device())
        old, new = await v3.call("agents.list", {}), await v4.call("agents.list", {})
    assert old == {
        "defaultId": "main",
        "mainKey": "main",
        "scope": "per-sender",
        "agents": [{"id": "main"}],
    }
    assert (new["ownership"], new["selectionRequired"]) == ("sole", False)
    (row,) = new["agents"]
    assert row["workspace"] == str(gateway.state / "workspace")
    assert row["model"] == {"primary": "fake/fake-model"}
    assert [level["id"] for level in row["thinkingLevels"]] == row["thinkingOptions"]
    assert row["thinkingDefault"] in row["thinkingOptions"]


async def test_the_files_of_an_agent_are_listed_and_read(gateway: GatewayProcess) -> None:
    workspace = gateway.state / "workspace"
    workspace.mkdir()
    (workspace / "SOUL.md").write_text("kind")
    (workspace / "USER.md").symlink_to(gateway.state / "openclaw.json")
    async with wire_client(gateway.port) as v3, wire_client(gateway.port) as v4:
        await v3.connect(token=TOKEN, scopes=READ_ONLY)
        await v4.connect(token=TOKEN, protocol=V4, device=Device())
        old = await v3.call("agents.files.list", {"agentId": "main"})
        new = await v4.call("agents.files.list", {"agentId": "main"})
        soul = await v3.call("agents.files.get", {"agentId": "main", "name": "SOUL.md"})
        missing = await v4.call("agents.files.get", {"agentId": "main", "name": "IDENTITY.md"})
        link = await refusal(v3, "agents.files.get", {"agentId": "main", "name": "USER.md"})
        other = await refusal(v3, "agents.files.get", {"agentId": "main", "name": "x.md"})
        up = await refusal(v3, "agents.files.get", {"agentId": "main", "name": "../openclaw.json"})
        stranger = await refusal(v3, "agents.files.list", {"agentId": "nobody"})
    assert [file["name"] for file in old["files"]] == [f"{name}.md" for name in FILE_NAMES]
    assert [file["name"] for file in old["files"] if not file["missing"]] == ["SOUL.md"]
    assert [file["name"][:-3] for file in new["files"]] == ["AGENTS", "SOUL", "USER", "BOOTSTRAP", "MEMORY"]
    assert [file.get("expectedAbsent") for file in new["files"]] == [False, None, True, False, True]
    shape = {"name": "SOUL.md", "missing": False, "size": 4, "updatedAtMs": int, "content": "kind"}
    assert misfits(soul, {"agentId": "main", "workspace": str(workspace), "file": shape}) == []
    assert missing["file"] == {
        "name": "IDENTITY.md",
        "path": str(workspace / "IDENTITY.md"),
        "missing": True,
        "expectedAbsent": True,
    }
    assert link["message"] == 'unsafe workspace file "USER.md"'
    assert other["message"] == 'unsupported file "x.md"'
    assert up["message"] == 'unsupported file "../openclaw.json"'
    assert stranger["message"] == 'unknown agent id "nobody"'


# --- config


def main_key(hello: dict[str, Any]) -> str:
    return str(hello["snapshot"]["sessionDefaults"]["mainKey"])


@BOTH
async def test_a_config_that_was_shown_and_sent_back_keeps_its_secrets(
    provider: ProviderProcess, protocol: tuple[int, int]
) -> None:
    with gateway_process(provider.config()) as gateway:
        file = gateway.state / "openclaw.json"
        before = file.read_text()
        edit = '{"session": {"mainKey": "den"}, // at home\n'
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN, protocol=protocol, device=Device())
            shown = await client.call("config.get")
            raw = shown["raw"].replace("{", edit, 1)
            answer = await client.call("config.set", {"raw": raw, "baseHash": shown["hash"]})
            again = await client.call("config.get")
        assert "sk-canary" in before
        written = file.read_text()
        async with wire_client(gateway.port) as client:
            assert main_key(await client.connect(token=TOKEN)) == "main"
        gateway.stop()
        gateway.start()
        async with wire_client(gateway.port) as client:
            assert main_key(await client.connect(token=TOKEN)) == "den"
    assert written == before.replace("{", edit, 1)
    assert "sk-canary" not in json.dumps([answer, again])
    assert misfits(answer, {"ok": True, "path": str(file), "config": dict, "restartRequired": True}) == []
    assert answer["config"]["session"] == {"mainKey": "den"}
    assert again["hash"] == answer["hash"] == hashlib.sha256(written.encode()).hexdigest()
    if protocol == V4:
        assert (again["configRevisionHash"], again["appliedConfigHash"]) == (again["hash"], shown["hash"])


async def test_a_config_is_replaced_only_by_who_has_seen_it_and_only_by_one_that_works() -> None:
    text = "{ gateway: { auth: { token: 'x' } } }"
    with gateway_process(text) as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token="x", device=Device())
            base = (await client.call("config.get"))["hash"]
            no_hash = await refusal(client, "config.set", {"raw": "{}"})
            stale = await refusal(client, "config.set", {"raw": "{}", "baseHash": "nope"})
            wrong = await refusal(
                client, "config.set", {"raw": "{ gateway: { prot: 1, bind: 'moon' } }", "baseHash": base}
            )
            broken = await refusal(client, "config.set", {"raw": "{ gateway: ", "baseHash": base})
            empty = await refusal(client, "config.set", {"raw": "", "baseHash": base})
            unsafe = await refusal(
                client,
                "config.set",
                {"raw": "{ gateway: { bind: 'lan', auth: { mode: 'none' } } }", "baseHash": base},
            )
            away = {"raw": "{ gateway: { bind: 'custom', customBindHost: '203.0.113.9' } }", "baseHash": base}
            elsewhere = await refusal(client, "config.set", away)
        assert (gateway.state / "openclaw.json").read_text() == text
    assert no_hash["message"] == "config base hash required; re-run config.get and retry"
    assert stale["message"] == "config changed since last load; re-run config.get and retry"
    assert {issue["path"] for issue in wrong["details"]["issues"]} == {"gateway.prot", "gateway.bind"}
    assert wrong["message"].startswith("invalid config: line 1: gateway.prot: no such key")
    assert broken["message"].startswith("invalid config: ")
    assert empty["message"].startswith("invalid config.set params: ")
    assert "without auth" in unsafe["message"]
    assert "203.0.113.9 is not an address of this machine" in elsewhere["message"]


async def test_a_file_that_was_broken_by_hand_is_shown_with_what_is_wrong() -> None:
    with gateway_process("{}") as gateway:
        (gateway.state / "openclaw.json").write_text("{ gateway: { port: 'many' } }")
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            shown = await client.call("config.get")
            assert shown["valid"] is False
            assert [issue["path"] for issue in shown["issues"]] == ["gateway.port"]
            await client.call("config.set", {"raw": "{}", "baseHash": shown["hash"]})
            assert (await client.call("config.get"))["valid"] is True


@BOTH
async def test_the_schema_comes_with_hints_and_can_be_looked_into(
    gateway: GatewayProcess, protocol: tuple[int, int]
) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, protocol=protocol, device=Device())
        answer = await client.call("config.schema", {})
        found = await client.call("config.schema.lookup", {"path": "gateway.auth"})
        unknown = await refusal(client, "config.schema.lookup", {"path": "gateway.nope"})
        odd = await refusal(client, "config.schema.lookup", {"path": "a b"})
    assert misfits(answer, {"schema": dict, "uiHints": dict, "version": str, "generatedAt": str}) == []
    assert answer["schema"]["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert answer["uiHints"]["gateway.auth.token"]["sensitive"] is True
    assert [child["key"] for child in found["children"]][:3] == ["mode", "token", "password"]
    assert unknown["message"] == "config schema path not found"
    assert odd["message"].startswith("invalid config.schema.lookup params: at /path: ")


async def test_only_an_administrator_changes_anything(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, scopes=("operator.write",), device=Device())
        for method in ("config.set", "system-event", "update.status"):
            assert (await refusal(client, method, {}))["message"] == "missing scope: operator.admin"
