"""What answers cost, day by day and session by session."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from openclawd.agents.model import Completion, Emit, ModelError, ModelErrorKind, Usage
from openclawd.protocol.errors import RequestError
from openclawd.protocol.versions import V3
from openclawd.sessions.costs import UsageQuery
from openclawd.sessions.days import Span
from tests.sessions.shelf import Shelf
from tests.sessions.stage import Stage, stage

DAY_MS = 86_400_000
NOON_MS = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp() * 1000)
NOTHING = {
    **dict.fromkeys(("input", "output", "cacheRead", "cacheWrite", "totalTokens", "missingCostEntries"), 0),
    **dict.fromkeys(("totalCost", "inputCost", "outputCost", "cacheReadCost", "cacheWriteCost"), 0.0),
}


async def million(_question: str, _emit: Emit) -> Completion:
    return Completion("stop", Usage(input=1_000_000, output=100_000, cache_read=2_000_000))


async def fails(_question: str, _emit: Emit) -> Completion:
    raise ModelError(ModelErrorKind.REFUSED, "no")


async def say(held: Stage, run_id: str, key: str = "main", *, model: str | None = None) -> None:
    if model is not None:
        await held.sessions.admin.patch(key, {"model": model})
    await held.send("hello", run_id, key=key)
    await held.ended(run_id)


async def two_days(held: Stage) -> None:
    """A priced answer on the 20th, an unpriced one two days later, in another session."""
    held.now_ms = NOON_MS
    await say(held, "run-1", model="clever")
    held.now_ms = NOON_MS + 2 * DAY_MS
    await say(held, "run-2", key="room")


async def test_every_day_of_v4_has_a_row_and_v3_those_with_answers(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf(million)) as held:
        await two_days(held)
        told = await held.sessions.costs.by_day(Span(days=4))
        v3 = await held.sessions.costs.by_day(Span(days=4), generation=V3)
    assert (told["days"], v3["days"]) == (4, 5)
    assert [row["date"] for row in told["daily"]] == ["2026-11-19", "2026-11-20", "2026-11-21", "2026-11-22"]
    assert told["daily"][0] == {"date": "2026-11-19", **NOTHING}
    assert [row["date"] for row in v3["daily"]] == ["2026-11-20", "2026-11-22"]
    assert told["daily"][1] == {
        "date": "2026-11-20",
        "input": 1_000_000,
        "output": 100_000,
        "cacheRead": 2_000_000,
        "cacheWrite": 0,
        "totalTokens": 3_100_000,
        "totalCost": pytest.approx(5.1),
        "inputCost": pytest.approx(3.0),
        "outputCost": pytest.approx(1.5),
        "cacheReadCost": pytest.approx(0.6),
        "cacheWriteCost": 0.0,
        "missingCostEntries": 0,
    }
    assert told["totals"] == v3["totals"]
    assert (told["totals"]["totalTokens"], told["totals"]["missingCostEntries"]) == (6_200_000, 1)
    assert told["totals"]["totalCost"] == pytest.approx(5.1)


async def test_a_day_is_the_askers(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf(million)) as held:
        held.now_ms = NOON_MS
        await say(held, "run-1")
        east = Span(days=1, mode="specific", utc_offset="UTC+13")
        daily = (await held.sessions.costs.by_day(east))["daily"]
    assert [(row["date"], row["totalTokens"]) for row in daily] == [("2026-11-21", 3_100_000)]


async def test_nothing_spent_is_no_error(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        told = await held.sessions.costs.by_day(Span(), generation=V3)
        usage = await held.sessions.costs.by_session(UsageQuery(Span()), generation=V3)
    assert (told["daily"], told["totals"]) == ([], NOTHING)
    assert (usage["sessions"], usage["totals"]) == ([], NOTHING)
    assert usage["aggregates"] == {
        "messages": dict.fromkeys(("total", "user", "assistant", "toolCalls", "toolResults", "errors"), 0),
        "tools": {"totalCalls": 0, "uniqueTools": 0, "tools": []},
        **{
            name: []
            for name in (
                *("byModel", "byProvider", "byAgent", "byChannel"),
                *("dailyLatency", "modelDaily", "daily"),
            )
        },
    }


async def test_sums_are_made_by_model_provider_agent_and_day(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf(million)) as held:
        await two_days(held)
        await say(held, "run-3", key="agent:ops:main")
        told = await held.sessions.costs.by_session(UsageQuery(Span()))
    sums: dict[str, Any] = told["aggregates"]
    assert [(row["model"], row["count"], row["totals"]["totalTokens"]) for row in sums["byModel"]] == [
        ("clever", 1, 3_100_000),
        ("plain", 2, 6_200_000),
    ]
    assert [(row["provider"], row["count"]) for row in sums["byProvider"]] == [("scripted", 3)]
    assert [(row["agentId"], row["totals"]["totalTokens"]) for row in sums["byAgent"]] == [
        ("main", 6_200_000),
        ("ops", 3_100_000),
    ]
    assert [(row["date"], row["tokens"], row["messages"]) for row in sums["daily"]] == [
        ("2026-11-20", 3_100_000, 2),
        ("2026-11-22", 6_200_000, 4),
    ]
    assert [(row["date"], row["model"], row["count"]) for row in sums["modelDaily"]] == [
        ("2026-11-20", "clever", 1),
        ("2026-11-22", "plain", 2),
    ]
    assert sums["latency"]["count"] == 3
    assert sums["messages"]["total"] == 6
    assert (sums["sessionCount"], len(told["sessions"])) == (3, 3)


async def test_a_session_tells_what_it_cost_and_the_limit_cuts_rows_not_sums(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf(million)) as held:
        await two_days(held)
        told = await held.sessions.costs.by_session(UsageQuery(Span(), limit=1))
        one = await held.sessions.costs.by_session(UsageQuery(Span(), session_key="main"))
    (row,) = told["sessions"]
    assert (row["key"], row["model"], row["usage"]["totalTokens"]) == ("agent:main:room", "plain", 3_100_000)
    assert told["totals"]["totalTokens"] == 6_200_000
    (only,) = one["sessions"]
    usage = only["usage"]
    assert (only["key"], only["providerOverride"], only["modelOverride"]) == (
        "agent:main:main",
        "scripted",
        "clever",
    )
    assert (usage["activityDates"], usage["latency"]["count"]) == (["2026-11-20"], 1)
    assert usage["dailyBreakdown"] == [
        {"date": "2026-11-20", "tokens": 3_100_000, "cost": pytest.approx(5.1)}
    ]
    assert one["totals"]["totalCost"] == pytest.approx(5.1)


async def test_an_agent_is_asked_for_alone(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf(million)) as held:
        await say(held, "run-1")
        await say(held, "run-2", key="agent:ops:main")
        told = await held.sessions.costs.by_session(UsageQuery(Span(), agent_id="OPS"))
    assert [row["key"] for row in told["sessions"]] == ["agent:ops:main"]
    assert told["totals"]["totalTokens"] == 3_100_000


async def test_what_was_spent_stays_spent(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf(million)) as held:
        await say(held, "run-1", key="room")
        await held.sessions.admin.reset("room")
        await say(held, "run-2", key="room")
        family = await held.sessions.costs.by_session(UsageQuery(Span(), session_key="room"))
        await held.sessions.admin.delete("room")
        gone = await held.sessions.costs.by_session(UsageQuery(Span()))
    assert family["totals"]["totalTokens"] == gone["totals"]["totalTokens"] == 6_200_000
    assert [row["key"] for row in gone["sessions"]] == ["agent:main:room"]


async def test_failures_are_counted(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf(fails)) as held:
        await say(held, "run-1")
        told = await held.sessions.costs.by_session(UsageQuery(Span()))
    assert told["aggregates"]["messages"]["errors"] == 1
    assert told["aggregates"]["daily"][0]["errors"] == 1


async def test_a_curve_grows_answer_by_answer(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf(million)) as held:
        await say(held, "run-1", model="clever")
        await say(held, "run-2")
        told = await held.sessions.costs.curve("main")
        with pytest.raises(RequestError, match="No transcript found for session: nowhere"):
            await held.sessions.costs.curve("nowhere")
    assert [point["cumulativeTokens"] for point in told["points"]] == [3_100_000, 6_200_000]
    assert [point["cumulativeCost"] for point in told["points"]] == [pytest.approx(5.1), pytest.approx(10.2)]


async def test_a_long_curve_is_thinned_out_without_losing_a_token(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        session = await held.sessions.admin.patch("main", {"label": "x"})
        rows = [
            (number, "agent:main:main", session.session_id, number, 1, "p", "m", 1, 1, 0, 0)
            for number in range(1, 1_002)
        ]
        await held.database.write(
            lambda connection: connection.executemany(
                "INSERT INTO usage (message_id, session_key, session_id, at_ms, took_ms, provider, model,"
                " input, output, cache_read, cache_write) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
        )
        points = (await held.sessions.costs.curve("main"))["points"]
    assert len(points) <= 200
    assert points[-1]["cumulativeTokens"] == sum(point["totalTokens"] for point in points) == 2_002
    assert points[-1]["timestamp"] == 1_001


async def test_the_log_has_the_last_messages_and_their_price(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf(million)) as held:
        await say(held, "run-1", model="clever")
        logs = (await held.sessions.costs.log("main", 5))["logs"]
        assert await held.sessions.costs.log("nowhere", None) == {"logs": []}
    assert [row["role"] for row in logs] == ["user", "assistant"]
    assert logs[0].keys() == {"timestamp", "role", "content"}
    assert (logs[1]["tokens"], logs[1]["cost"]) == (3_100_000, pytest.approx(5.1))
