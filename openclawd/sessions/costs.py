"""What answers cost: for clients that draw it, and for people who ask with `/usage`."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import attrs

from openclawd.protocol.errors import invalid_request
from openclawd.protocol.versions import V4
from openclawd.sessions.addresses import Addresses
from openclawd.sessions.cost_shapes import aggregates, daily_totals, session_usage, total, totals
from openclawd.sessions.days import Span
from openclawd.sessions.history import clipped
from openclawd.sessions.keys import kind_of
from openclawd.sessions.listing import Listing
from openclawd.sessions.settings import settings_of
from openclawd.sessions.transcript import text_of
from openclawd.store.conversations import Conversations
from openclawd.store.records import SessionRecord
from openclawd.store.spending import Day, Point, Report, Spent

# How many sessions are told of one by one, unless asked otherwise; the sums are of all.
_SESSIONS: Final = 50
# A curve on a page is not wider.
_MAX_POINTS: Final = 200
_LOGS: Final = 200
_MAX_LOGS: Final = 1_000
_LOG_CHARS: Final = 2_000


@attrs.frozen(eq=False, repr=False)
class UsageQuery:
    """What `sessions.usage` is asked for."""

    span: Span
    session_key: str | None = None
    agent_id: str | None = None
    limit: int | None = None


class Costs:
    """Reads what was spent. Keys may be spelt in any way; RequestError for what cannot be meant."""

    def __init__(
        self,
        conversations: Conversations,
        listing: Listing,
        addresses: Addresses,
        now_ms: Callable[[], int],
    ) -> None:
        self._conversations = conversations
        self._listing = listing
        self._addresses = addresses
        self._now_ms = now_ms

    async def by_day(self, span: Span, *, generation: int = V4) -> dict[str, Any]:
        """The answer of `usage.cost`."""
        days = span.resolve(self._now_ms())
        usage = await self._conversations.spending.usage(await self._with_data(days))
        return {
            "updatedAt": self._now_ms(),
            # v3 counts one more than it tells of.
            "days": len(days) + (generation < V4),
            "daily": daily_totals(days, usage, every_day=generation >= V4),
            "totals": totals(total(usage)),
        }

    async def by_session(self, query: UsageQuery, *, generation: int = V4) -> dict[str, Any]:
        """The answer of `sessions.usage`; the sums are of all sessions, whatever the limit."""
        days = query.span.resolve(self._now_ms())
        key = None if query.session_key is None else self._addresses.key(query.session_key, query.agent_id)
        report = await self._conversations.spending.report(await self._with_data(days), key)
        if key is None and query.agent_id is not None:
            agent_id = query.agent_id.strip().lower()
            report = _only(report, lambda key: self._addresses.agent_of(key) == agent_id)
        sessions = {session.key: session for session in await self._conversations.sessions()}
        active = dict.fromkeys((*(row.session_key for row in report.usage), *_talked(report)))
        newest_first = sorted(
            active, key=lambda key: sessions[key].updated_at_ms if key in sessions else 0, reverse=True
        )
        split = _split(report, newest_first[: query.limit or _SESSIONS])
        return {
            "updatedAt": self._now_ms(),
            "startDate": days[0].date,
            "endDate": days[-1].date,
            "sessions": [
                self._session(key, sessions.get(key), of_key, generation) for key, of_key in split.items()
            ],
            "totals": totals(total(report.usage)),
            "aggregates": ({"sessionCount": len(active)} if generation >= V4 else {})
            | aggregates(report, self._addresses.agent_of),
        }

    async def curve(self, session_key: str, agent_id: str | None = None) -> dict[str, Any]:
        """The answer of `sessions.usage.timeseries`: the present conversation, answer by answer."""
        session = await self._conversations.session(self._addresses.key(session_key, agent_id))
        if session is None:
            raise invalid_request(f"No transcript found for session: {session_key}")
        points = await self._conversations.spending.conversation(session.session_id)
        return {"sessionId": session.session_id, "points": _cumulative(points)}

    async def log(self, session_key: str, limit: int | None, agent_id: str | None = None) -> dict[str, Any]:
        """The answer of `sessions.usage.logs`: the last messages, and what each cost."""
        key = self._addresses.key(session_key, agent_id)
        transcript = await self._conversations.transcript(
            key, min(limit or _LOGS, _MAX_LOGS), clip=partial(clipped, max_chars=_LOG_CHARS)
        )
        return {"logs": [_log(stored.body) for stored in transcript.messages]}

    async def of_session(self, key: str) -> Spent:
        """What the session with this canonical key cost so far."""
        return total(await self._conversations.spending.usage([Day("", 0, self._now_ms() + 1)], key))

    async def of_days(self, count: int) -> Spent:
        """What the last days cost, all sessions together; days end at midnight in UTC."""
        return total(await self._conversations.spending.usage(Span(days=count).resolve(self._now_ms())))

    async def _with_data(self, days: Sequence[Day]) -> Sequence[Day]:
        """Leave out what lies before there was anything to count."""
        first = await self._conversations.spending.first_ms()
        return [day for day in days if first is not None and day.end_ms > first]

    def _session(
        self, key: str, session: SessionRecord | None, report: Report, generation: int
    ) -> dict[str, Any]:
        row: dict[str, Any] = {"key": key, "agentId": self._addresses.agent_of(key), "channel": "webchat"}
        if kind_of(key) == "direct":
            row |= {
                "chatType": "direct",
                "origin": {"provider": "webchat", "surface": "webchat", "chatType": "direct"},
            }
        if session is not None:
            chosen = self._listing.chosen(key, session)
            row |= {
                "sessionId": session.session_id,
                "updatedAt": session.updated_at_ms,
                "modelProvider": chosen.provider,
                "model": chosen.model,
            }
            if session.label is not None:
                row["label"] = session.label
            if (ref := settings_of(session).model_ref) is not None:
                row |= {"providerOverride": ref.provider, "modelOverride": ref.model}
        if generation >= V4:
            # Former conversations of a key count with it.
            row["scope"] = "family"
        return row | {"usage": session_usage(session.session_id if session else None, report)}


def _talked(report: Report) -> list[str]:
    return [row.session_key for row in report.messages]


def _only(report: Report, wanted: Callable[[str], bool]) -> Report:
    return Report(
        [row for row in report.usage if wanted(row.session_key)],
        [row for row in report.messages if wanted(row.session_key)],
        [row for row in report.latencies if wanted(row.session_key)],
    )


def _split(report: Report, keys: Sequence[str]) -> dict[str, Report]:
    """The report of each of `keys`, in their order."""
    parts: dict[str, Report] = {key: Report([], [], []) for key in keys}
    for name in ("usage", "messages", "latencies"):
        for row in getattr(report, name):
            if row.session_key in parts:
                getattr(parts[row.session_key], name).append(row)
    return parts


def _cumulative(points: Sequence[Point]) -> list[dict[str, Any]]:
    """The curve; neighbours are added up where it has more points than a page can show."""
    tokens, cost = 0, 0.0
    curve: list[dict[str, Any]] = []
    step = max(1, -(-len(points) // _MAX_POINTS))
    for start in range(0, len(points), step):
        group = points[start : start + step]
        counts = {
            "input": sum(point.input for point in group),
            "output": sum(point.output for point in group),
            "cacheRead": sum(point.cache_read for point in group),
            "cacheWrite": sum(point.cache_write for point in group),
        }
        spent = sum(point.cost or 0.0 for point in group)
        tokens, cost = tokens + sum(counts.values()), cost + spent
        curve.append(
            {
                "timestamp": group[-1].at_ms,
                **counts,
                "totalTokens": sum(counts.values()),
                "cost": spent,
                "cumulativeTokens": tokens,
                "cumulativeCost": cost,
            }
        )
    return curve


def _log(message: dict[str, Any]) -> dict[str, Any]:
    row = {
        "timestamp": message["timestamp"],
        "role": message["role"],
        "content": text_of(message)[:_LOG_CHARS],
    }
    usage = message.get("usage")
    if usage is not None:
        row["tokens"] = usage["totalTokens"]
        if "cost" in usage:
            row["cost"] = usage["cost"]["total"]
    return row
