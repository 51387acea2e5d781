"""Rows of sessions.list, status and health."""

from pathlib import Path

from openclawd.sessions.registry import SessionsQuery
from tests.sessions.stage import KEY, Stage, stage


async def talk(held: Stage, *keys: str) -> None:
    for key in keys:
        await held.send(f"hello {key}", f"run-{key}", key=key)
        await held.ended(f"run-{key}")


async def keys(held: Stage, query: SessionsQuery) -> list[str]:
    return [row["key"] for row in await held.sessions.list(query)]


async def test_a_row_is_stocks(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await talk(held, "main")
        (row,) = await held.sessions.list(
            SessionsQuery(include_derived_titles=True, include_last_message=True)
        )
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
