"""What answers cost: the table of usage and the counts of messages, added up a day at a time.

Days are given as spans of milliseconds, as only the caller knows whose midnight is meant. What belongs to a
session is found by its key, so that former conversations count, and deleted ones.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import attrs

from openclawd.store.database import Database

# Percentiles are taken of that many answers of a day, the latest; a person reads them, not a bank.
MAX_LATENCIES: Final = 1_000

_SUMS: Final = (
    "COUNT(*), SUM(input), SUM(output), SUM(cache_read), SUM(cache_write), TOTAL(input_cost),"
    " TOTAL(output_cost), TOTAL(cache_read_cost), TOTAL(cache_write_cost), COUNT(*) - COUNT(input_cost)"
)


@attrs.frozen(eq=False, repr=False)
class Day:
    """One day somewhere: from `start_ms` on, before `end_ms`."""

    date: str
    start_ms: int
    end_ms: int


@attrs.frozen(eq=False, repr=False)
class Spent:
    """Answers, tokens and US dollars; `unpriced` answers are in none of the costs."""

    answers: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    input_cost: float = 0.0
    output_cost: float = 0.0
    cache_read_cost: float = 0.0
    cache_write_cost: float = 0.0
    unpriced: int = 0

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.input + self.output + self.cache_read + self.cache_write

    @property
    def cost(self) -> float:
        """All that is known of it."""
        return self.input_cost + self.output_cost + self.cache_read_cost + self.cache_write_cost

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(*(a + b for a, b in zip(attrs.astuple(self), attrs.astuple(other), strict=True)))


@attrs.frozen(eq=False, repr=False)
class Usage:
    """What one model cost one session on one day."""

    date: str
    session_key: str
    provider: str
    model: str
    spent: Spent


@attrs.frozen(eq=False, repr=False)
class Messages:
    """How many messages a session got on one day."""

    date: str
    session_key: str
    user: int
    assistant: int
    errors: int


@attrs.frozen(eq=False, repr=False)
class Latency:
    """How long an answer of a session took on one day, in milliseconds."""

    date: str
    session_key: str
    took_ms: int


@attrs.frozen(eq=False, repr=False)
class Report:
    """Everything about some days, by day and session."""

    usage: Sequence[Usage]
    messages: Sequence[Messages]
    latencies: Sequence[Latency]


@attrs.frozen(eq=False, repr=False)
class Point:
    """One answer of a conversation and its price, if that is known."""

    at_ms: int
    input: int
    output: int
    cache_read: int
    cache_write: int
    cost: float | None


class Spending:
    """Reads what was spent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def usage(self, days: Sequence[Day], session_key: str | None = None) -> list[Usage]:
        """What the answers of those days cost, of one session or of all."""
        return await self._database.read(lambda connection: _usage(connection, days, session_key))

    async def report(self, days: Sequence[Day], session_key: str | None = None) -> Report:
        """The same with the counts of messages and with how long the answers took."""

        def job(connection: sqlite3.Connection) -> Report:
            return Report(
                _usage(connection, days, session_key),
                _messages(connection, days, session_key),
                _latencies(connection, days, session_key),
            )

        return await self._database.read(job)

    async def first_ms(self) -> int | None:
        """When the first message was said, or answer counted."""

        def job(connection: sqlite3.Connection) -> int | None:
            (first,) = connection.execute(
                "SELECT MIN(at_ms) FROM (SELECT MIN(at_ms) AS at_ms FROM usage"
                " UNION ALL SELECT MIN(at_ms) FROM messages)"
            ).fetchone()
            return None if first is None else int(first)

        return await self._database.read(job)

    async def conversation(self, session_id: str) -> list[Point]:
        """The answers of one conversation, oldest first."""

        def job(connection: sqlite3.Connection) -> list[Point]:
            rows = connection.execute(
                "SELECT at_ms, input, output, cache_read, cache_write, input_cost + output_cost"
                " + cache_read_cost + cache_write_cost FROM usage WHERE session_id = ?"
                " ORDER BY at_ms, message_id",
                (session_id,),
            )
            return [Point(*row) for row in rows]

        return await self._database.read(job)


def _usage(connection: sqlite3.Connection, days: Sequence[Day], key: str | None) -> list[Usage]:
    return [
        Usage(day.date, session_key, provider, model, Spent(*sums))
        for day in days
        for session_key, provider, model, *sums in _rows(
            connection,
            f"SELECT session_key, provider, model, {_SUMS} FROM usage"  # noqa: S608
            " WHERE at_ms >= :start AND at_ms < :end AND (:key IS NULL OR session_key = :key)"
            " GROUP BY session_key, provider, model",
            day,
            key,
        )
    ]


def _messages(connection: sqlite3.Connection, days: Sequence[Day], key: str | None) -> list[Messages]:
    keys = dict(
        connection.execute(
            "SELECT session_id, session_key FROM sessions"
            " UNION SELECT session_id, session_key FROM former_conversations"
        )
    )
    return [
        Messages(day.date, keys[session_id], *counts)
        for day in days
        for session_id, *counts in _rows(
            connection,
            "SELECT session_id, SUM(role = 'user'), SUM(role = 'assistant'), SUM(failed) FROM messages"
            " WHERE at_ms >= :start AND at_ms < :end GROUP BY session_id",
            day,
            None,
        )
        if session_id in keys and key in {None, keys[session_id]}
    ]


def _latencies(connection: sqlite3.Connection, days: Sequence[Day], key: str | None) -> list[Latency]:
    return [
        Latency(day.date, *row)
        for day in days
        for row in _rows(
            connection,
            "SELECT session_key, took_ms FROM usage WHERE at_ms >= :start AND at_ms < :end"
            " AND (:key IS NULL OR session_key = :key) AND took_ms IS NOT NULL"
            " ORDER BY at_ms DESC LIMIT :most",
            day,
            key,
        )
    ]


def _rows(connection: sqlite3.Connection, query: str, day: Day, key: str | None) -> list[Any]:
    named = {"start": day.start_ms, "end": day.end_ms, "key": key, "most": MAX_LATENCIES}
    return connection.execute(query, named).fetchall()
