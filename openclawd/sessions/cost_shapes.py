"""What was spent, added up in the shapes of `usage.cost` and `sessions.usage` (protocol.md 6.2)."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import reduce
from itertools import groupby
from operator import add, attrgetter
from typing import Any, Final, TypeVar

from openclawd.store.spending import Day, Latency, Messages, Report, Spent, Usage

K = TypeVar("K", bound=Hashable)

_NOTHING: Final = Spent()
# The channel of everything that is said here.
_CHANNEL: Final = "webchat"


def totals(spent: Spent) -> dict[str, Any]:
    """The sums that stand in every answer about costs."""
    return {
        "input": spent.input,
        "output": spent.output,
        "cacheRead": spent.cache_read,
        "cacheWrite": spent.cache_write,
        "totalTokens": spent.tokens,
        "totalCost": spent.cost,
        "inputCost": spent.input_cost,
        "outputCost": spent.output_cost,
        "cacheReadCost": spent.cache_read_cost,
        "cacheWriteCost": spent.cache_write_cost,
        "missingCostEntries": spent.unpriced,
    }


def total(usage: Iterable[Usage]) -> Spent:
    """Everything together."""
    return reduce(add, (row.spent for row in usage), _NOTHING)


def by(usage: Iterable[Usage], key: Callable[[Usage], K]) -> dict[K, Spent]:
    """The sums for each value of `key`, in the order in which it first comes."""
    sums: dict[K, Spent] = {}
    for row in usage:
        sums[key(row)] = sums.get(key(row), _NOTHING) + row.spent
    return sums


def daily_totals(days: Sequence[Day], usage: Sequence[Usage], *, every_day: bool) -> list[dict[str, Any]]:
    """`daily` of `usage.cost`: v4 tells of every day, v3 of those on which something was spent."""
    spent = by(usage, attrgetter("date"))
    return [
        {"date": day.date, **totals(spent.get(day.date, _NOTHING))}
        for day in days
        if every_day or day.date in spent
    ]


def message_counts(messages: Iterable[Messages]) -> dict[str, int]:
    """How many were said by whom; no agent calls tools here."""
    rows = list(messages)
    user, assistant = sum(row.user for row in rows), sum(row.assistant for row in rows)
    return {
        "total": user + assistant,
        "user": user,
        "assistant": assistant,
        "toolCalls": 0,
        "toolResults": 0,
        "errors": sum(row.errors for row in rows),
    }


def latency(rows: Iterable[Latency]) -> dict[str, Any] | None:
    """How long answers took: nearest-rank percentile, milliseconds; None without any answer."""
    took = sorted(row.took_ms for row in rows)
    if not took:
        return None
    return {
        "count": len(took),
        "avgMs": round(sum(took) / len(took)),
        "p95Ms": took[-(-len(took) * 95 // 100) - 1],
        "minMs": took[0],
        "maxMs": took[-1],
    }


def daily_latency(rows: Sequence[Latency]) -> list[dict[str, Any]]:
    """The same for each day that has answers."""
    return [
        {"date": date, **(latency(of_day) or {})}
        for date, of_day in groupby(sorted(rows, key=attrgetter("date")), attrgetter("date"))
    ]


def by_model(usage: Sequence[Usage]) -> list[dict[str, Any]]:
    """The dearest first, then the one with the most tokens."""
    sums = by(usage, lambda row: (row.provider, row.model))
    return [
        {"provider": provider, "model": model, "count": spent.answers, "totals": totals(spent)}
        for (provider, model), spent in _dearest_first(sums)
    ]


def model_daily(usage: Sequence[Usage]) -> list[dict[str, Any]]:
    """What each model cost on each day."""
    return [
        {
            "date": date,
            "provider": provider,
            "model": model,
            "tokens": spent.tokens,
            "cost": spent.cost,
            "count": spent.answers,
        }
        for (date, provider, model), spent in by(
            usage, lambda row: (row.date, row.provider, row.model)
        ).items()
    ]


def session_usage(session_id: str | None, report: Report) -> dict[str, Any]:
    """`usage` of one session."""
    spent = by(report.usage, attrgetter("date"))
    dates = sorted({*spent, *(row.date for row in report.messages)})
    usage: dict[str, Any] = {
        "activityDates": dates,
        "dailyBreakdown": [
            {"date": date, "tokens": day.tokens, "cost": day.cost} for date, day in spent.items()
        ],
        "dailyMessageCounts": [{"date": row.date, **message_counts([row])} for row in report.messages],
        "dailyLatency": daily_latency(report.latencies),
        "dailyModelUsage": model_daily(report.usage),
        "messageCounts": message_counts(report.messages),
        "modelUsage": by_model(report.usage),
    }
    if session_id is not None:
        usage["sessionId"] = session_id
    if (took := latency(report.latencies)) is not None:
        usage["latency"] = took
    return usage | totals(total(report.usage))


def aggregates(report: Report, agent_of: Callable[[str], str]) -> dict[str, Any]:
    """`aggregates` of `sessions.usage`."""
    usage = report.usage
    everything = total(usage)
    spent = by(usage, attrgetter("date"))
    counts: dict[str, list[Messages]] = {}
    for row in report.messages:
        counts.setdefault(row.date, []).append(row)
    told: dict[str, Any] = {
        "messages": message_counts(report.messages),
        "tools": {"totalCalls": 0, "uniqueTools": 0, "tools": []},
        "byModel": by_model(usage),
        "byProvider": [
            {"provider": provider, "count": part.answers, "totals": totals(part)}
            for provider, part in _dearest_first(by(usage, attrgetter("provider")))
        ],
        "byAgent": [
            {"agentId": agent_id, "totals": totals(part)}
            for agent_id, part in _dearest_first(by(usage, lambda row: agent_of(row.session_key)))
        ],
        "byChannel": [{"channel": _CHANNEL, "totals": totals(everything)}] if usage else [],
        "dailyLatency": daily_latency(report.latencies),
        "modelDaily": model_daily(usage),
        "daily": [
            {
                "date": date,
                "tokens": spent.get(date, _NOTHING).tokens,
                "cost": spent.get(date, _NOTHING).cost,
                "messages": message_counts(counts.get(date, ()))["total"],
                "toolCalls": 0,
                "errors": message_counts(counts.get(date, ()))["errors"],
            }
            for date in sorted({*spent, *counts})
        ],
    }
    if (took := latency(report.latencies)) is not None:
        told["latency"] = took
    return told


def _dearest_first(sums: dict[K, Spent]) -> list[tuple[K, Spent]]:
    return sorted(sums.items(), key=lambda item: (-item[1].cost, -item[1].tokens))
