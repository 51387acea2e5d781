"""Which sessions there are, a page at a time, and which one somebody means."""

import sqlite3
from collections.abc import Callable, Sequence

import attrs
import orjson

from openclawd.store.database import Database
from openclawd.store.records import Message, RunRecord, SessionRecord
from openclawd.store.run_rows import every_unfinished
from openclawd.store.session_record import SELECT_SESSIONS, session_record


@attrs.frozen(eq=False, repr=False)
class Listed:
    """A session, what is under way in it, and what its conversation cost so far.

    `cost_usd` is None when the price of any answer is unknown, or there was none yet. `last` is the last
    message, where it was asked for.
    """

    session: SessionRecord
    unfinished: tuple[RunRecord, ...] = ()
    cost_usd: float | None = None
    last: Message | None = None


@attrs.frozen(eq=False, repr=False)
class Page:
    """Some of the sessions that were asked for, in order, and how many there are."""

    rows: tuple[Listed, ...]
    total: int


class Directory:
    """Reads the table of sessions; a page costs no reading of messages, but for the last one if asked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self,
        matches: Callable[[SessionRecord], bool],
        *,
        since_ms: int = 0,
        by_interaction: bool = False,
        offset: int = 0,
        limit: int | None = None,
        with_last: bool = False,
    ) -> Page:
        """Sessions changed since then that match, the newest first; `matches` runs on the store's thread."""
        order = "last_interaction_at_ms" if by_interaction else "updated_at_ms"

        def job(connection: sqlite3.Connection) -> Page:
            rows = connection.execute(
                f"{SELECT_SESSIONS} WHERE updated_at_ms >= ? ORDER BY {order} DESC, session_key", (since_ms,)
            )
            found = [session for session in map(session_record, rows) if matches(session)]
            shown = found[offset:] if limit is None else found[offset : offset + limit]
            return Page(tuple(_listed(connection, shown, with_last=with_last)), len(found))

        return await self._database.read(job)

    async def one(self, session_key: str) -> Listed | None:
        """One session as a page has it."""

        def job(connection: sqlite3.Connection) -> Listed | None:
            row = connection.execute(f"{SELECT_SESSIONS} WHERE session_key = ?", (session_key,)).fetchone()
            if row is None:
                return None
            (listed,) = _listed(connection, [session_record(row)], with_last=True)
            return listed

        return await self._database.read(job)

    async def by_label(self, label: str) -> list[SessionRecord]:
        """The session of that label, if there is one."""
        return await self._select("label = ?", label)

    async def by_id(self, session_id: str, *, prefix: bool = False) -> list[SessionRecord]:
        """The session whose conversation has this id; with `prefix` those whose ids begin so."""
        condition = "substr(session_id, 1, length(?1)) = ?1" if prefix else "session_id = ?"
        return await self._select(condition, session_id)

    async def _select(self, condition: str, value: str) -> list[SessionRecord]:
        def job(connection: sqlite3.Connection) -> list[SessionRecord]:
            rows = connection.execute(
                f"{SELECT_SESSIONS} WHERE {condition} ORDER BY updated_at_ms DESC, session_key", (value,)
            )
            return list(map(session_record, rows))

        return await self._database.read(job)


def _listed(
    connection: sqlite3.Connection, sessions: Sequence[SessionRecord], *, with_last: bool
) -> list[Listed]:
    unfinished: dict[str, list[RunRecord]] = {}
    for run in every_unfinished(connection):
        unfinished.setdefault(run.session_key, []).append(run)
    return [
        Listed(
            session,
            tuple(unfinished.get(session.key, ())),
            _cost(connection, session.session_id),
            _last(connection, session.session_id) if with_last else None,
        )
        for session in sessions
    ]


def _cost(connection: sqlite3.Connection, session_id: str) -> float | None:
    # Without a price all four are NULL, and so is their sum: it is then missing from the second count.
    answers, priced, cost = connection.execute(
        "SELECT COUNT(*), COUNT(input_cost), SUM(input_cost + output_cost + cache_read_cost"
        " + cache_write_cost) FROM usage WHERE session_id = ?",
        (session_id,),
    ).fetchone()
    return cost if answers == priced else None


def _last(connection: sqlite3.Connection, session_id: str) -> Message | None:
    row = connection.execute(
        "SELECT body FROM messages WHERE session_id = ? AND shown = 1 ORDER BY run_seq DESC, id DESC LIMIT 1",
        (session_id,),
    ).fetchone()
    return None if row is None else orjson.loads(row[0])
