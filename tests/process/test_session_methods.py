"""Administration of sessions, their costs, and the commands that choose for them, over the wire."""

from collections.abc import Generator
from typing import Any

import pytest

from tests.process.chats import history, said, send, story, text_of
from tests.process.clients import READ_ONLY
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.provider_process import ProviderProcess, provider_process
from tests.support.shapes import misfits
from tests.support.wire_client import Refused, WireClient, wire_client

pytestmark = pytest.mark.process

GENERATIONS = pytest.mark.parametrize("generation", [3, 4])
NO_COST = {
    **dict.fromkeys(
        ("totalCost", "inputCost", "outputCost", "cacheReadCost", "cacheWriteCost"), (int, float)
    ),
    **dict.fromkeys(("input", "output", "cacheRead", "cacheWrite", "totalTokens", "missingCostEntries"), int),
}


@pytest.fixture(scope="module")
def provider() -> Generator[ProviderProcess, None, None]:
    with provider_process() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(provider: ProviderProcess) -> Generator[GatewayProcess, None, None]:
    with gateway_process(provider.config()) as running:
        yield running


async def connect(client: WireClient, generation: int) -> None:
    await client.connect(token=TOKEN, protocol=(generation, generation), device=Device())


async def chat(client: WireClient, run_id: str, message: str, session: str) -> dict[str, Any]:
    """The terminal chat event of a message."""
    await send(client, run_id, message, session)
    return dict((await story(client, run_id))[-1]["payload"])


# --- patch


@GENERATIONS
async def test_a_patch_answers_with_the_entry_and_the_model(gateway: GatewayProcess, generation: int) -> None:
    label = f"Patched {generation}"
    async with wire_client(gateway.port) as client:
        await connect(client, generation)
        params = {
            "key": f"patched-{generation}",
            "label": label,
            "responseUsage": "full",
            "model": "fake-model",
        }
        answer = await client.call("sessions.patch", params)
        row = await client.call("sessions.list", {"label": label})
    assert answer["ok"] is True
    assert answer["key"] == f"agent:main:patched-{generation}"
    assert answer["path"].endswith(".sqlite3")
    chosen = {"label": label, "responseUsage": "full", "modelProvider": "fake", "model": "fake-model"}
    assert misfits(answer["entry"], chosen | {"sessionId": str, "updatedAt": int}) == []
    assert answer["resolved"].items() >= {"modelProvider": "fake", "model": "fake-model"}.items()
    assert ("thinkingLevels" in answer["resolved"]) is (generation == 4)
    assert [(found["key"], found["responseUsage"]) for found in row["sessions"]] == [(answer["key"], "full")]


@GENERATIONS
@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"thinkingLevel": "bogus"}, "invalid thinkingLevel (use "),
        ({"responseUsage": "lots"}, "invalid responseUsage (use off|tokens|full|on)"),
        ({"model": "nowhere/nothing"}, "There is no provider 'nowhere'"),
        ({"execHost": "gateway"}, "execHost cannot be set: "),
        ({"label": ""}, "invalid sessions.patch params: at /label: must NOT have fewer than 1 characters"),
        ({"bogus": 1}, "invalid sessions.patch params: at root: unexpected property 'bogus'"),
    ],
)
async def test_a_patch_that_cannot_be_kept_is_refused_in_words(
    gateway: GatewayProcess, generation: int, wanted: dict[str, Any], words: str
) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, generation)
        with pytest.raises(Refused) as refused:
            await client.call("sessions.patch", {"key": "refused", **wanted})
        listed = await client.call("sessions.list", {"search": "refused"})
    assert refused.value.error["code"] == "INVALID_REQUEST"
    assert refused.value.error["message"].startswith(words)
    assert listed["sessions"] == []


async def test_a_label_may_be_longer_in_v4(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as older, wire_client(gateway.port) as newer:
        await connect(older, 3)
        await connect(newer, 4)
        with pytest.raises(Refused, match="too long"):
            await older.call("sessions.patch", {"key": "long", "label": "x" * 65})
        answer = await newer.call("sessions.patch", {"key": "long", "label": "x" * 512})
    assert answer["entry"]["label"] == "x" * 512


async def test_who_may_only_read_changes_nothing(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, device=Device(), scopes=READ_ONLY)
        for method in ("patch", "reset", "delete", "compact"):
            with pytest.raises(Refused, match=r"missing scope: operator\.admin"):
                await client.call(f"sessions.{method}", {"key": "main"})


async def test_who_subscribed_hears_of_every_change(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, 4)
        await client.call("sessions.subscribe", {})
        for method, more, reason in (
            ("patch", {"label": "Told"}, "patch"),
            ("reset", {}, "reset"),
            ("delete", {}, "delete"),
        ):
            await client.call(f"sessions.{method}", {"key": "told", **more})
            changed = await client.event("sessions.changed", sessionKey="agent:main:told", reason=reason)
            assert ("session" in changed["payload"]) is (reason != "delete")


# --- reset, delete, compact


@GENERATIONS
async def test_a_reset_begins_a_conversation_and_keeps_the_choices(
    gateway: GatewayProcess, generation: int
) -> None:
    key = f"reset-{generation}"
    async with wire_client(gateway.port) as client:
        await connect(client, generation)
        await chat(client, f"run {key}", "hello", key)
        await client.call("sessions.patch", {"key": key, "verboseLevel": "on"})
        answer = await client.call("sessions.reset", {"key": key, "reason": "new"})
        assert await history(client, key) == []
    assert answer.keys() == {"ok", "key", "entry", *(["resolved"] if generation == 4 else [])}
    wanted = {"verboseLevel": "on", "inputTokens": 0, "totalTokens": 0, "totalTokensFresh": True}
    assert misfits(answer["entry"], wanted) == []


@GENERATIONS
async def test_a_delete_says_whether_there_was_anything(gateway: GatewayProcess, generation: int) -> None:
    key = f"agent:main:deleted-{generation}"
    async with wire_client(gateway.port) as client:
        await connect(client, generation)
        await client.call("sessions.patch", {"key": key, "label": key})
        answers = [await client.call("sessions.delete", {"key": key}) for _ in range(2)]
        with pytest.raises(Refused) as refused:
            await client.call("sessions.delete", {"key": "main"})
    assert answers == [
        {"ok": True, "key": key, "deleted": deleted, "archived": []} for deleted in (True, False)
    ]
    assert refused.value.error["message"] == "Cannot delete the main session (agent:main:main)."


async def test_compact_cuts_in_v3_and_has_it_summed_up_in_v4(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as older, wire_client(gateway.port) as newer:
        await connect(older, 3)
        await connect(newer, 4)
        for number in range(3):
            await chat(older, f"compact-{number}", f"word {number}", "compact")
        key = {"ok": True, "key": "agent:main:compact"}
        assert await older.call("sessions.compact", {"key": "compact"}) == {
            **key,
            "compacted": False,
            "kept": 6,
        }
        cut = {**key, "compacted": True, "kept": 2}
        assert await older.call("sessions.compact", {"key": "compact", "maxLines": 2}) == cut
        assert said(await history(older, "compact"))[0] == ("user", "word 2")
        assert await newer.call("sessions.compact", {"key": "compact"}) == {**key, "compacted": True}
        nothing = await newer.call("sessions.compact", {"key": "nothing"})
    assert (nothing["compacted"], nothing["reason"]) == (False, "no sessionId")


# --- list, resolve, preview


async def test_a_list_has_pages_in_v4_and_none_in_v3(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as older, wire_client(gateway.port) as newer:
        await connect(older, 3)
        await connect(newer, 4)
        for name in ("one", "two", "three"):
            await newer.call("sessions.patch", {"key": f"paged-{name}", "label": f"Paged {name}"})
        whole = await older.call("sessions.list", {"search": "paged"})
        page = await newer.call("sessions.list", {"search": "paged", "limit": 2})
        rest = await newer.call("sessions.list", {"search": "paged", "limit": 2, "offset": 2})
    assert whole.keys() == {"ts", "path", "count", "defaults", "sessions"}
    assert whole["count"] == 3
    assert {"thinkingLevels", "agentId", "status"}.isdisjoint(whole["sessions"][0])
    shape = {"count": 2, "totalCount": 3, "limitApplied": 2, "offset": 0, "nextOffset": 2, "hasMore": True}
    assert misfits(page, shape | {"owners": []}) == []
    assert misfits(page["defaults"], {"thinkingDefault": str, "thinkingOptions": list}) == []
    assert (rest["nextOffset"], rest["hasMore"]) == (None, False)
    assert [row["label"] for row in (*page["sessions"], *rest["sessions"])] == [
        "Paged three",
        "Paged two",
        "Paged one",
    ]


@GENERATIONS
async def test_a_session_is_resolved_by_what_is_known_of_it(gateway: GatewayProcess, generation: int) -> None:
    key, label = f"agent:main:resolved-{generation}", f"Resolved {generation}"
    async with wire_client(gateway.port) as client:
        await connect(client, generation)
        patched = await client.call("sessions.patch", {"key": key, "label": label})
        for known in (
            {"key": f"resolved-{generation}"},
            {"label": label},
            {"sessionId": patched["entry"]["sessionId"]},
        ):
            answer = await client.call("sessions.resolve", known)
            named = {"agentId": "main", "displayName": label} if generation == 4 else {}
            assert answer == {"ok": True, "key": key, **named}
        with pytest.raises(Refused) as refused:
            await client.call("sessions.resolve", {"key": "nowhere"})
        if generation == 4:
            missing = {"key": "nowhere", "allowMissing": True}
            assert await client.call("sessions.resolve", missing) == {"ok": False}
    assert refused.value.error["message"] == "No session found: nowhere"


@GENERATIONS
async def test_a_preview_has_the_last_words(gateway: GatewayProcess, generation: int) -> None:
    key = f"preview-{generation}"
    async with wire_client(gateway.port) as client:
        await connect(client, generation)
        await chat(client, f"run {key}", "hello", key)
        answer = await client.call("sessions.preview", {"keys": [key, "nowhere"]})
    assert [(row["key"], row["status"]) for row in answer["previews"]] == [
        (key, "ok"),
        ("nowhere", "missing"),
    ]
    assert answer["previews"][0]["items"] == [
        {"role": "user", "text": "hello"},
        {"role": "assistant", "text": "You said: hello"},
    ]


# --- usage


@GENERATIONS
async def test_costs_are_told_by_day(gateway: GatewayProcess, generation: int) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, generation)
        await chat(client, f"cost-{generation}", "hello", "cost")
        answer = await client.call("usage.cost", {"days": 7, "whatever": True})
        status = await client.call("usage.status", {})
    assert status == {"updatedAt": status["updatedAt"], "providers": []}
    assert answer["days"] == (7 if generation == 4 else 8)
    assert len(answer["daily"]) == (7 if generation == 4 else 1)
    assert misfits(answer["totals"], NO_COST) == []
    assert misfits(answer["daily"][-1], {"date": str, **NO_COST}) == []
    assert answer["totals"]["totalTokens"] > 0


@GENERATIONS
async def test_usage_is_told_by_session(gateway: GatewayProcess, generation: int) -> None:
    key = f"agent:main:usage-{generation}"
    async with wire_client(gateway.port) as client:
        await connect(client, generation)
        await chat(client, f"usage-{generation}", "hello", key)
        answer = await client.call("sessions.usage", {"key": key})
        curve = await client.call("sessions.usage.timeseries", {"key": key})
        log = await client.call("sessions.usage.logs", {"key": key, "limit": 1})
        with pytest.raises(Refused, match="No transcript found for session: nowhere"):
            await client.call("sessions.usage.timeseries", {"key": "nowhere"})
        with pytest.raises(Refused, match="is later than endDate"):
            await client.call("sessions.usage", {"startDate": "2026-02-02", "endDate": "2026-02-01"})
    (row,) = answer["sessions"]
    assert misfits(row, {"key": key, "agentId": "main", "chatType": "direct", "channel": "webchat"}) == []
    assert misfits(row["usage"], NO_COST | {"messageCounts": dict, "modelUsage": list}) == []
    assert answer["aggregates"]["messages"]["total"] == 2
    assert answer["aggregates"]["byModel"][0]["model"] == "fake-model"
    assert curve["points"][-1]["cumulativeTokens"] == row["usage"]["totalTokens"]
    assert [(entry["role"], entry["content"]) for entry in log["logs"]] == [("assistant", "You said: hello")]


# --- commands


async def test_a_command_chooses_and_is_answered_at_once(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, 4)
        chosen = await chat(client, "command-1", "/model fake-model", "commands")
        who = await chat(client, "command-2", "/whoami", "commands")
        usage = await chat(client, "command-3", "/usage tokens", "commands")
        listed = await client.call("sessions.list", {"search": "commands"})
    assert text_of(chosen["message"]) == "Model: `fake/fake-model`, from the next message on."
    assert "Role: operator" in text_of(who["message"])
    assert "protocol v4" in text_of(who["message"])
    assert text_of(usage["message"]) == "Usage shown with answers: tokens"
    (row,) = listed["sessions"]
    assert (row["modelOverrideSource"], row["effectiveResponseUsage"]) == ("user", "tokens")


async def test_what_was_chosen_outlives_the_gateway(provider: ProviderProcess) -> None:
    with gateway_process(provider.config()) as running:
        async with wire_client(running.port) as client:
            await connect(client, 4)
            await client.call("sessions.patch", {"key": "kept", "label": "Kept", "pinned": True})
        running.stop()
        running.start()
        async with wire_client(running.port) as client:
            await connect(client, 4)
            (row,) = (await client.call("sessions.list", {"label": "Kept"}))["sessions"]
    assert row["pinned"] is True
