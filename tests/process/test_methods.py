"""The methods: stock's shapes, stock's errors, and who may call what.

The shapes were written down from a stock v3 gateway's answers. A gateway may tell more than these, not less.
"""

import json
import socket
from collections.abc import Generator
from typing import Any, Final
from uuid import uuid4

import pytest

from tests.process.chats import MAIN, send
from tests.process.clients import NODE, READ_ONLY
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.provider_process import ProviderProcess, provider_process
from tests.support.shapes import misfits
from tests.support.wire_client import ALL_SCOPES, Refused, WireClient, wire_client

pytestmark = pytest.mark.process

NONE: Final = type(None)
SESSIONS = {"path": str, "count": int, "recent": [{"key": str, "updatedAt": int, "age": int}]}
HEARTBEAT = {
    "enabled": bool,
    "every": str,
    "everyMs": (int, NONE),
    "prompt": str,
    "target": str,
    "ackMaxChars": int,
}
HEALTH = {
    "ok": True,
    "ts": int,
    "durationMs": int,
    "channels": {},
    "channelOrder": [],
    "channelLabels": {},
    "heartbeatSeconds": int,
    "defaultAgentId": "main",
    "agents": [{"agentId": str, "isDefault": bool, "heartbeat": HEARTBEAT, "sessions": SESSIONS}],
    "sessions": SESSIONS,
}
STATUS_SESSION = {
    "agentId": str,
    "key": str,
    "kind": str,
    "sessionId": str,
    "updatedAt": int,
    "age": int,
    "totalTokens": (int, NONE),
    "totalTokensFresh": bool,
    "remainingTokens": (int, NONE),
    "percentUsed": (int, NONE),
    "model": str,
    "contextTokens": (int, NONE),
    "flags": [str],
}
STATUS = {
    "heartbeat": {
        "defaultAgentId": "main",
        "agents": [{"agentId": str, "enabled": bool, "every": str, "everyMs": (int, NONE)}],
    },
    "channelSummary": [],
    "queuedSystemEvents": [],
    "sessions": {
        "paths": [str],
        "count": int,
        "defaults": {"model": str, "contextTokens": (int, NONE)},
        "recent": [STATUS_SESSION],
        "byAgent": [{"agentId": "main", "path": str, "count": int, "recent": [STATUS_SESSION]}],
    },
}
SESSION_ROW = {
    "key": str,
    "kind": ("direct", "group", "global", "unknown"),
    "updatedAt": (int, NONE),
    "sessionId": str,
    "totalTokensFresh": bool,
    "modelProvider": str,
    "model": str,
}
MESSAGE = {"role": ("user", "assistant"), "content": [{"type": "text", "text": str}], "timestamp": int}
CONFIG_GET = {
    "path": str,
    "exists": bool,
    "raw": (str, NONE),
    "parsed": dict,
    "resolved": dict,
    "valid": True,
    "config": dict,
    "hash": str,
    "issues": [],
    "warnings": [],
    "legacyIssues": [],
}
CHANNELS = {
    "ts": int,
    "channelOrder": [],
    "channelLabels": {},
    "channelDetailLabels": {},
    "channelSystemImages": {},
    "channelMeta": [],
    "channels": {},
    "channelAccounts": {},
    "channelDefaultAccountId": {},
}
SHAPES: Final[list[tuple[str, dict[str, Any] | None, Any]]] = [
    ("health", None, HEALTH),
    ("health", {"probe": True}, HEALTH),
    ("status", {}, STATUS),
    ("system-presence", {}, [{"ts": int, "text?": str, "mode?": str, "reason?": str, "host?": str}]),
    (
        "sessions.list",
        {"includeGlobal": True, "includeUnknown": False, "activeMinutes": 120, "limit": 120},
        {
            "ts": int,
            "path": str,
            "count": int,
            "defaults": {"modelProvider": str, "model": str, "contextTokens": (int, NONE)},
            "sessions": [SESSION_ROW],
        },
    ),
    (
        "sessions.list",
        {"includeDerivedTitles": True, "includeLastMessage": True},
        {"sessions": [SESSION_ROW | {"derivedTitle": str, "lastMessagePreview": str}]},
    ),
    (
        "agents.list",
        {},
        {
            "defaultId": "main",
            "mainKey": "main",
            "scope": "per-sender",
            "agents": [{"id": str, "name?": str}],
        },
    ),
    ("agent.identity.get", {"sessionKey": MAIN}, {"agentId": "main", "name": "Assistant", "avatar": "A"}),
    ("agent.identity.get", {}, {"agentId": "main", "name": "Assistant", "avatar": "A"}),
    (
        "models.list",
        {},
        {"models": [{"id": str, "name": str, "provider": str, "reasoning?": bool, "input?": [str]}]},
    ),
    (
        "tools.catalog",
        {"includePlugins": True},
        {"agentId": "main", "profiles": [{"id": str, "label": str}], "groups": [{"id": str, "tools": list}]},
    ),
    ("node.list", {}, {"ts": int, "nodes": [{"nodeId": str, "paired": bool, "connected": bool}]}),
    ("device.pair.list", {}, {"pending": [dict], "paired": [dict]}),
    ("config.get", {}, CONFIG_GET),
    (
        "logs.tail",
        {"limit": 2},
        {"file": str, "cursor": int, "size": int, "lines": [str], "truncated": bool, "reset": False},
    ),
    ("channels.status", {"probe": False, "timeoutMs": 8000}, CHANNELS),
    ("cron.status", {}, {"enabled": bool, "storePath": str, "jobs": int, "nextWakeAtMs": (int, NONE)}),
    ("last-heartbeat", {}, NONE),
    (
        "chat.history",
        {"sessionKey": MAIN, "limit": 10},
        {"sessionKey": MAIN, "sessionId": str, "messages": [MESSAGE], "thinkingLevel": str},
    ),
    (
        "chat.history",
        {"sessionKey": "never-used"},
        {"sessionKey": "never-used", "messages": [], "thinkingLevel": str},
    ),
    ("chat.abort", {"sessionKey": MAIN}, {"ok": True, "aborted": False, "runIds": []}),
    ("chat.abort", {"sessionKey": MAIN, "runId": "unknown"}, {"ok": True, "aborted": False, "runIds": []}),
]
# What is promised, each with the scope that it needs (None: whoever is connected).
SCOPES: Final[dict[str, str | None]] = {
    "health": None,
    "status": "operator.read",
    "system-presence": "operator.read",
    "chat.send": "operator.write",
    "chat.history": "operator.read",
    "chat.abort": "operator.write",
    "sessions.list": "operator.read",
    "agents.list": "operator.read",
    "agent.identity.get": "operator.read",
    "models.list": "operator.read",
    "tools.catalog": "operator.read",
    "node.list": "operator.read",
    "device.pair.list": "operator.pairing",
    "device.pair.approve": "operator.pairing",
    "device.pair.reject": "operator.pairing",
    "device.pair.remove": "operator.pairing",
    "device.pair.rename": "operator.pairing",
    "device.token.rotate": "operator.pairing",
    "device.token.revoke": "operator.pairing",
    "node.pair.list": "operator.pairing",
    "node.pair.approve": "operator.pairing",
    "node.pair.reject": "operator.pairing",
    "node.pair.remove": "operator.pairing",
    "config.get": "operator.read",
    "logs.tail": "operator.read",
    "channels.status": "operator.read",
    "cron.status": "operator.read",
    "last-heartbeat": "operator.read",
    "system-event": "operator.admin",
    "config.set": "operator.admin",
    "config.schema": "operator.read",
    "config.schema.lookup": "operator.read",
    "cron.list": "operator.read",
    "commands.list": "operator.read",
    "update.status": "operator.admin",
    "update.run": "operator.admin",
    "openclawd.update.status": "operator.admin",
    "gateway.identity.get": "operator.read",
    "gateway.restart.preflight": "operator.read",
    "gateway.restart.request": "operator.admin",
    "agents.files.list": "operator.read",
    "agents.files.get": "operator.read",
}
# Stock takes any member here, and has words of its own for what it misses.
OWN_WORDS: Final = {"system-event": "text required"}
# Of stock's methods, some that nobody has built here yet.
ABSENT: Final = ("cron.add", "skills.status", "talk.config", "wizard.start", "no.such.method", "HEALTH")


@pytest.fixture(scope="module")
def provider() -> Generator[ProviderProcess, None, None]:
    with provider_process() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(provider: ProviderProcess) -> Generator[GatewayProcess, None, None]:
    with gateway_process(provider.config()) as running:
        yield running


async def error_of(client: WireClient, method: str, params: object = None) -> dict[str, Any]:
    """The error of a call that must fail."""
    try:
        answer = await client.call(method, params)
    except Refused as refused:
        return refused.error
    raise AssertionError(f"{method} answered {answer!r}")


async def refusal_of(client: WireClient, method: str) -> str | None:
    """Why `method` does not take a param that no method has; None if it takes any."""
    try:
        await client.call(method, {"noSuchParam": 1})
    except Refused as refused:
        return str(refused.error["message"])
    return None


async def a_conversation(client: WireClient) -> None:
    """So that there is something to list."""
    run_id = str(uuid4())
    await send(client, run_id, "hello there")
    await client.event("chat", runId=run_id, state="final")


# --- shapes


@pytest.mark.parametrize(("method", "params", "shape"), SHAPES, ids=[method for method, _, _ in SHAPES])
async def test_the_answer_has_stocks_shape(
    gateway: GatewayProcess, method: str, params: dict[str, Any] | None, shape: Any
) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, device=Device())
        if method in {"sessions.list", "status", "chat.history", "health"}:
            await a_conversation(client)
        answer = await client.call(method, params)
    assert misfits(answer, shape) == []


async def test_presence_is_a_bare_array_with_the_gateway_in_it(gateway: GatewayProcess) -> None:
    device = Device()
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, device=device)
        entries = await client.call("system-presence")
    own = [entry for entry in entries if entry.get("mode") == "gateway"]
    assert misfits(own, [{"reason": "self", "host": str, "version": str, "platform": str, "ts": int}]) == []
    here = [entry for entry in entries if entry.get("deviceId") == device.id]
    assert (
        misfits(here, [{"mode": "backend", "version": "1.0.0", "platform": "linux", "roles": ["operator"]}])
        == []
    )


async def test_the_models_are_those_of_the_config(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        models = (await client.call("models.list"))["models"]
    assert misfits(models[:1], [{"id": "fake-model", "name": "Fake", "provider": "fake"}]) == []


async def test_config_get_shows_no_secret(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        answer = await client.call("config.get")
    assert "sk-canary" not in json.dumps(answer)
    assert answer["parsed"]["models"]["providers"]["fake"]["apiKey"] == "__OPENCLAW_REDACTED__"
    assert "__OPENCLAW_REDACTED__" in answer["raw"]


async def test_logs_tail_goes_on_from_its_cursor(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        first = await client.call("logs.tail", {"limit": 5000})
        assert [json.loads(line)["message"] for line in first["lines"]]
        again = await client.call("logs.tail", {"cursor": first["cursor"]})
        assert again["lines"] == []
        async with wire_client(gateway.port) as other:
            conn = (await other.connect(token=TOKEN))["server"]["connId"]
        more = await client.call("logs.tail", {"cursor": again["cursor"]})
    lines = [json.loads(line) for line in more["lines"]]
    assert [line["message"] for line in lines if line.get("conn") == conn][:1] == ["admitted"]


# --- what there is, and who may call it


async def test_the_hello_lists_exactly_the_methods_that_answer(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        hello = await client.connect(token=TOKEN)
        listed = hello["features"]["methods"]
        assert len(set(listed)) == len(listed)
        assert set(SCOPES) <= set(listed)
        for method in listed:
            # Refused for its params at most, so that nothing happens.
            refusal = await refusal_of(client, method)
            in_stocks_words = (None, OWN_WORDS.get(method))
            assert refusal in in_stocks_words or refusal.startswith(f"invalid {method} params: ")
        for method in ABSENT:
            assert method not in listed
            assert await error_of(client, method) == {
                "code": "INVALID_REQUEST",
                "message": f"unknown method: {method}",
            }


async def test_the_hello_lists_the_events_that_come(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        hello = await client.connect(token=TOKEN)
    assert set(hello["features"]["events"]) == {
        "connect.challenge",
        "agent",
        "chat",
        "session.message",
        "sessions.changed",
        "presence",
        "tick",
        "shutdown",
        "health",
        "device.pair.requested",
        "device.pair.resolved",
        "device.pair.changed",
        "node.pair.resolved",
        "update.available",
        "openclawd.update",
    }


@pytest.mark.parametrize("version", [3, 4])
async def test_each_method_needs_its_scope_and_says_which(gateway: GatewayProcess, version: int) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, device=Device(), scopes=(), protocol=(version, version))
        for method, scope in SCOPES.items():
            if scope is None:
                assert await client.call(method)
                continue
            error = await error_of(client, method, {})
            if version == 3:
                assert error == {"code": "INVALID_REQUEST", "message": f"missing scope: {scope}"}
            else:
                assert error == {
                    "code": "FORBIDDEN",
                    "message": f"missing scope: {scope}",
                    "details": {"code": "MISSING_SCOPE", "missingScope": scope, "requiredScopes": [scope]},
                }


@pytest.mark.parametrize("held", [scope for scope in ALL_SCOPES if scope != "operator.admin"])
async def test_a_scope_opens_its_own_methods_only_and_write_implies_read(
    gateway: GatewayProcess, held: str
) -> None:
    opened = {held} | ({"operator.read"} if held == "operator.write" else set())
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, device=Device(), scopes=(held,))
        for method, scope in SCOPES.items():
            refusal = await refusal_of(client, method)
            missing = refusal is not None and refusal.startswith("missing scope: ")
            assert missing == (scope is not None and scope not in opened), method


async def test_an_unknown_method_is_for_admins_to_know_about(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, device=Device(), scopes=READ_ONLY)
        error = await error_of(client, "no.such.method")
    assert error == {"code": "INVALID_REQUEST", "message": "missing scope: operator.admin"}


async def test_a_node_may_call_no_operators_methods_and_is_sent_away_at_the_eleventh(
    gateway: GatewayProcess,
) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, device=Device(), client=NODE, role="node", scopes=())
        assert (await client.call("health"))["ok"]
        for _ in range(10):
            error = await error_of(client, "status")
            assert error == {"code": "INVALID_REQUEST", "message": "unauthorized role: node"}
        assert (await client.call("health"))["ok"], "a call that is allowed starts the count again"
        for _ in range(11):
            await client.request("status")
        assert await client.closed() == (1008, "repeated unauthorized calls")
        answers = [frame for frame in client.seen if frame["type"] == "res"]
        assert [frame["error"]["message"] for frame in answers] == ["unauthorized role: node"] * 11


@pytest.mark.parametrize("version", [3, 4])
async def test_status_tells_no_paths_and_no_keys_to_others_than_admins(
    gateway: GatewayProcess, version: int
) -> None:
    async with wire_client(gateway.port) as client:
        hello = await client.connect(
            token=TOKEN, device=Device(), scopes=("operator.write",), protocol=(version, version)
        )
        await a_conversation(client)
        status = await client.call("status")
        health = await client.call("health", {"probe": True})
    for told in (hello, status, health):
        assert str(gateway.state) not in json.dumps(told)
    assert misfits(status, STATUS | {"sessions": {"paths": [], "recent": [], "count": int}}) == []
    assert MAIN not in json.dumps(status)


# --- bad params, bad frames


@pytest.mark.parametrize(
    ("method", "params", "v3", "v4"),
    [
        (
            "chat.send",
            {"sessionKey": "main"},
            "must have required property 'message'; must have required property 'idempotencyKey'",
            "must have required property 'message'",
        ),
        ("chat.history", {"sessionKey": "main", "bogus": 1}, "at root: unexpected property 'bogus'", None),
        ("chat.history", {"sessionKey": ""}, "at /sessionKey: must NOT have fewer than 1 characters", None),
        ("chat.history", {"sessionKey": 5}, "at /sessionKey: must be string", None),
        ("chat.history", {"sessionKey": "main", "limit": 0}, "at /limit: must be >= 1", None),
        ("chat.history", {"sessionKey": "main", "limit": 1001}, "at /limit: must be <= 1000", None),
        ("chat.history", {"sessionKey": "main", "limit": 1.5}, "at /limit: must be integer", None),
        ("chat.history", {"sessionKey": "main", "limit": True}, "at /limit: must be integer", None),
        ("chat.history", [], "at root: must be object", None),
        ("chat.history", "main", "at root: must be object", None),
        ("sessions.list", {"includeGlobal": "yes"}, "at /includeGlobal: must be boolean", None),
        ("logs.tail", {"cursor": -1}, "at /cursor: must be >= 0", None),
        ("device.pair.approve", {}, "must have required property 'requestId'", None),
        ("agents.list", {"x": 1}, "at root: unexpected property 'x'", None),
    ],
)
async def test_params_of_the_wrong_shape_are_named(
    gateway: GatewayProcess, method: str, params: object, v3: str, v4: str | None
) -> None:
    for version, text in ((3, v3), (4, v4 or v3)):
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN, protocol=(version, version))
            error = await error_of(client, method, params)
        assert error == {"code": "INVALID_REQUEST", "message": f"invalid {method} params: {text}"}


async def test_absent_and_null_params_are_no_params(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        for frame in (
            {"type": "req", "id": "absent", "method": "agents.list"},
            {"type": "req", "id": "null", "method": "agents.list", "params": None},
        ):
            await client.send(frame)
            assert (await client.response(str(frame["id"])))["defaultId"] == "main"


@pytest.mark.parametrize("key", ["agent:", "agent::x", "agent:main:"])
async def test_a_malformed_session_key_is_refused(gateway: GatewayProcess, key: str) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        error = await error_of(client, "chat.history", {"sessionKey": key})
    assert error["code"] == "INVALID_REQUEST"
    assert key in error["message"]


async def test_an_unknown_agent_is_named(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        error = await error_of(client, "agent.identity.get", {"agentId": "nobody"})
    assert (error["code"], "nobody" in error["message"]) == ("INVALID_REQUEST", True)


@pytest.mark.parametrize(
    ("frame", "answered"),
    [
        ('{"type":"req","id":"a","method":"health","extra":1}', "a"),
        ('{"type":"req","id":"","method":"health"}', "invalid"),
        ('{"type":"req","id":"b"}', "b"),
        ('{"type":"event","event":"x","id":"c"}', "c"),
        ('{"type":"req","id":7,"method":"health"}', "invalid"),
        ("[]", "invalid"),
        ("42", "invalid"),
    ],
)
async def test_a_malformed_frame_is_answered_and_the_socket_stays_open(
    gateway: GatewayProcess, frame: str, answered: str
) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await client.send(frame)
        try:
            await client.response(answered)
        except Refused as refused:
            error = refused.error
        assert error["code"] == "INVALID_REQUEST"
        assert error["message"].startswith("invalid request frame: ")
        assert (await client.call("health"))["ok"]


async def test_what_is_not_json_is_ignored_after_the_hello(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await client.send("{never json")
        assert (await client.call("health"))["ok"]
        assert [frame for frame in client.seen if frame["type"] == "res"] == []


async def test_a_second_connect_is_refused_and_changes_nothing(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        error = await error_of(client, "connect", {})
        assert error == {
            "code": "INVALID_REQUEST",
            "message": "connect is only valid as the first request",
        }
        assert (await client.call("health"))["ok"]


async def test_a_message_above_64_kib_is_read_from_a_client(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        error = await error_of(client, "chat.history", {"sessionKey": "main", "x" * 1_000_000: 1})
        assert error["message"].startswith("invalid chat.history params: at root: unexpected property ")


async def test_a_message_above_25_mib_is_closed_with_1009(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await client.send("x" * 26_214_401)
        assert await client.closed() == (1009, "")


# --- side by side


async def test_requests_that_arrive_together_are_all_answered_by_their_ids(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        methods = ["health", "status", "agents.list", "sessions.list", "chat.history", "logs.tail"] * 30
        params = {"chat.history": {"sessionKey": "main"}}
        ids = [await client.request(method, params.get(method)) for method in methods]
        for request_id in ids:
            assert await client.response(request_id)


async def test_a_slow_request_holds_back_no_other_of_the_same_client(provider: ProviderProcess) -> None:
    """models.list asks an Ollama that never answers; everything behind it is answered meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        with gateway_process(provider.config(), environment={"OLLAMA_HOST": address}) as gateway:
            async with wire_client(gateway.port) as client:
                await client.connect(token=TOKEN)
                slow = await client.request("models.list")
                for method in ("health", "agents.list", "sessions.list"):
                    assert await client.call(method)
                quick = [frame["id"] for frame in client.seen if frame["type"] == "res"]
                assert slow not in quick
                assert (await client.response(slow))["models"]


# --- events


async def test_who_arrives_soon_hears_how_the_gateway_is(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        event = await client.event("health")
    assert misfits(event["payload"], HEALTH) == []
    assert misfits(event, {"seq": int, "stateVersion": {"presence": int, "health": int}}) == []


async def test_who_leaves_is_missed_by_the_others(gateway: GatewayProcess) -> None:
    device = Device()
    async with wire_client(gateway.port) as stays:
        await stays.connect(token=TOKEN)
        async with wire_client(gateway.port) as leaves:
            await leaves.connect(token=TOKEN, device=device)
            entries = await stays.call("system-presence")
            assert [entry for entry in entries if entry.get("deviceId") == device.id]
        event = await stays.event("presence")
    assert misfits(event, {"seq": int, "stateVersion": {"presence": int, "health": int}}) == []
    assert isinstance(event["payload"]["presence"], list)


async def test_chat_and_health_are_for_readers_only(gateway: GatewayProcess) -> None:
    """Stock v3 tells everybody; here a client without scopes hears nothing of conversations."""
    async with wire_client(gateway.port) as deaf, wire_client(gateway.port) as client:
        await deaf.connect(token=TOKEN, device=Device(), scopes=())
        await client.connect(token=TOKEN)
        await a_conversation(client)
        await deaf.call("health")
        heard = {frame["event"] for frame in deaf.seen if frame["type"] == "event"}
    assert heard & {"chat", "agent", "presence", "health"} == set()


async def test_the_seq_of_broadcasts_has_no_gaps_for_an_admin(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, "seq", "count with me")
        frames = [*client.seen, await client.next_frame()]
        while frames[-1].get("payload", {}).get("state") != "final":
            frames.append(await client.next_frame())
    numbers = [frame["seq"] for frame in frames if "seq" in frame]
    assert len(numbers) > 3
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
