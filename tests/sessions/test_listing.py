"""Rows of sessions.list, status and health."""

from pathlib import Path

import trio

from openclawd.agents.model import Completion, Emit
from openclawd.protocol.versions import V3
from openclawd.sessions.registry import SessionsQuery
from tests.sessions.shelf import Shelf
from tests.sessions.stage import KEY, Stage, stage


async def hang(_question: str, _emit: Emit) -> Completion:
    await trio.sleep_forever()
    raise AssertionError("never ends")


async def talk(held: Stage, *keys: str) -> None:
    for key in keys:
        await held.send(f"hello {key}", f"run-{key}", key=key)
        await held.ended(f"run-{key}")


async def keys(held: Stage, query: SessionsQuery) -> list[str]:
    return [row["key"] for row in (await held.sessions.list(query)).rows]


async def test_a_row_is_stocks(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await talk(held, "main")
        page = await held.sessions.list(
            SessionsQuery(include_derived_titles=True, include_last_message=True), generation=V3
        )
    (row,) = page.rows
    assert row | {"updatedAt": 0, "sessionId": ""} == {
        "key": KEY,
        "kind": "direct",
        "chatType": "direct",
        "origin": {"provider": "webchat", "surface": "webchat", "chatType": "direct"},
        "updatedAt": 0,
        "sessionId": "",
        "abortedLastRun": False,
        "inputTokens": 10,
        "outputTokens": 3,
        "totalTokens": 12,
        "totalTokensFresh": True,
        "modelProvider": "scripted",
        "model": "model-1",
        "contextTokens": 8000,
        "deliveryContext": {"channel": "webchat"},
        "lastChannel": "webchat",
        "derivedTitle": "hello main",
        "lastMessagePreview": "you said hello main",
    }


async def test_a_row_of_v4_tells_of_the_last_run_and_of_what_was_chosen(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf()) as held:
        await talk(held, "main")
        await held.sessions.admin.patch(
            "main", {"model": "clever", "thinkingLevel": "low", "pinned": True, "unread": False}
        )
        (row,) = (await held.sessions.list(SessionsQuery())).rows
    assert row["endedAt"] - row["startedAt"] == row["runtimeMs"] > 0
    wanted = {
        "agentId": "main",
        "isMain": True,
        "archived": False,
        "pinned": True,
        "unread": False,
        "status": "done",
        "lastRunId": "run-main",
        "hasActiveRun": False,
        "activeRunIds": [],
        "model": "clever",
        "modelOverrideSource": "user",
        "thinkingLevel": "low",
        "thinkingOptions": ["off", "low", "medium", "high"],
        "effectiveResponseUsage": "off",
    }
    assert {name: row.get(name) for name in wanted} == wanted


async def test_a_row_tells_of_what_is_under_way(tmp_path: Path) -> None:
    async with stage(tmp_path, serving=False) as held:
        await held.send("hello", "run-1")
        row = await held.sessions.describe("main")
    assert row is not None
    assert (row["status"], row["lastRunId"], row["activeRunIds"]) == ("queued", "run-1", ["run-1"])
    assert row["derivedTitle"] == "hello"


async def test_a_run_that_took_too_long_is_a_timeout(tmp_path: Path) -> None:
    async with stage(tmp_path, hang, timeout_ms=10) as held:
        await talk(held, "main")
        row = await held.sessions.describe("main")
    assert row is not None
    assert (row["status"], row["abortedLastRun"]) == ("timeout", True)


async def test_pages_follow_each_other_to_the_end(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await talk(held, "one", "two", "three")
        first = await held.sessions.list(SessionsQuery(limit=2))
        rest = await held.sessions.list(SessionsQuery(limit=2, offset=first.next_offset or 0))
    assert (first.total, first.next_offset) == (3, 2)
    assert ([row["key"] for row in rest.rows], rest.next_offset) == (["agent:main:one"], None)


async def test_an_archived_session_is_listed_only_when_asked_for(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await talk(held, "old", "new")
        await held.sessions.admin.patch("old", {"archived": True})
        assert await keys(held, SessionsQuery()) == ["agent:main:new"]
        assert await keys(held, SessionsQuery(archived=True)) == ["agent:main:old"]
        assert len(await keys(held, SessionsQuery(archived="all"))) == 2


async def test_a_session_is_found_by_how_it_begins_whatever_the_case(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("Über die Brücken von Paris", "run-1", key="a")
        await held.send("something else", "run-2", key="b")
        assert await keys(held, SessionsQuery(search="brücken")) == ["agent:main:a"]
        assert await keys(held, SessionsQuery(search="ÜBER")) == ["agent:main:a"]


async def test_the_newest_stands_first_and_limit_cuts(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await talk(held, "one", "two", "three")
        assert await keys(held, SessionsQuery(limit=2)) == ["agent:main:three", "agent:main:two"]


async def test_sessions_are_found_by_words_agent_and_age(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await talk(held, "garden", "agent:ops:main", "global")
        assert await keys(held, SessionsQuery(search=" GARD ")) == ["agent:main:garden"]
        assert await keys(held, SessionsQuery(agent_id="ops")) == ["agent:ops:main"]
        assert await keys(held, SessionsQuery(include_global=True)) == [
            "global",
            "agent:ops:main",
            "agent:main:garden",
        ]
        assert await keys(held, SessionsQuery(label="none")) == []
        held.now_ms += 10 * 60_000
        assert await keys(held, SessionsQuery(active_minutes=5)) == []
        assert len(await keys(held, SessionsQuery(active_minutes=2**63))) == 2


async def test_status_and_health_count_and_show_the_latest(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await talk(held, *(f"room-{number}" for number in range(7)), "agent:ops:main")
        status = await held.sessions.status("main")
        summary = await held.sessions.summary()
    assert status.count == 7
    first = status.recent[0]
    assert (first["key"], first["agentId"], first["percentUsed"]) == ("agent:main:room-6", "main", 0)
    assert (summary.count, len(summary.recent)) == (8, 5)
    assert summary.recent[0].keys() == {"key", "updatedAt", "age"}
