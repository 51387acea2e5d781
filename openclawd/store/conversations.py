"""What was said, and in which sessions: the reading side of the transcript.

Messages stand in the order (run seq, id). A user's message is written when it is accepted, so it shows
while its run still waits, and yet stands behind the answers to everything accepted before it.
"""

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Final

import orjson

from openclawd.store.database import Database
from openclawd.store.records import Glimpse, Message, SessionRecord, Transcript
from openclawd.store.runs import select_unfinished

_SELECT: Final = (
    "SELECT session_key, session_id, label, created_at_ms, updated_at_ms, provider, model,"
    " input_tokens, output_tokens, total_tokens, aborted_last_run FROM sessions"
)

_FIRST_OF_USER: Final = (
    "SELECT body FROM messages WHERE session_id = ? AND shown = 1 AND role = 'user'"
    " ORDER BY run_seq, id LIMIT 1"
)
_LAST: Final = (
    "SELECT body FROM messages WHERE session_id = ? AND shown = 1 ORDER BY run_seq DESC, id DESC LIMIT 1"
)


class Conversations:
    """Sessions and their messages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def transcript(self, session_key: str, limit: int) -> Transcript:
        """The last `limit` messages that are shown, and what is unfinished, at one moment."""

        def job(connection: sqlite3.Connection) -> Transcript:
            session = _session(connection, session_key)
            unfinished = select_unfinished(connection, session_key)
            if session is None:
                return Transcript(None, (), unfinished)
            rows = connection.execute(
                "SELECT body FROM messages WHERE session_id = ? AND shown = 1"
                " ORDER BY run_seq DESC, id DESC LIMIT ?",
                (session.session_id, limit),
            ).fetchall()
            messages = tuple(orjson.loads(row[0]) for row in reversed(rows))
            return Transcript(session.session_id, messages, unfinished)

        return await self._database.read(job)

    async def context(
        self, session_id: str, up_to_seq: int, room: int, cost: Callable[[Message], int]
    ) -> list[Message]:
        """What a run may know: messages of runs up to its own, also hidden ones; the newest that fit.

        Their costs add up to `room` at most; the last message is there whatever it costs.
        """

        def job(connection: sqlite3.Connection) -> list[Message]:
            newest_first: list[Message] = []
            left = room
            for (body,) in connection.execute(
                "SELECT body FROM messages WHERE session_id = ? AND run_seq <= ?"
                " ORDER BY run_seq DESC, id DESC",
                (session_id, up_to_seq),
            ):
                message: Message = orjson.loads(body)
                left -= cost(message)
                if newest_first and left < 0:
                    break
                newest_first.append(message)
            return newest_first[::-1]

        return await self._database.read(job)

    async def session(self, session_key: str) -> SessionRecord | None:
        """The session of a key, if anything was ever said in it."""
        return await self._database.read(lambda connection: _session(connection, session_key))

    async def sessions(self, *, since_ms: int = 0) -> list[SessionRecord]:
        """Sessions changed since then, the newest first."""

        def job(connection: sqlite3.Connection) -> list[SessionRecord]:
            rows = connection.execute(
                f"{_SELECT} WHERE updated_at_ms >= ? ORDER BY updated_at_ms DESC, session_key", (since_ms,)
            ).fetchall()
            return [_record(row) for row in rows]

        return await self._database.read(job)

    async def glimpses(self, session_ids: Iterable[str]) -> dict[str, Glimpse]:
        """The first user message and the last message of each conversation."""
        wanted = tuple(session_ids)

        def job(connection: sqlite3.Connection) -> dict[str, Glimpse]:
            return {
                session_id: Glimpse(
                    _one(connection, _FIRST_OF_USER, session_id),
                    _one(connection, _LAST, session_id),
                )
                for session_id in wanted
            }

        return await self._database.read(job)


def _session(connection: sqlite3.Connection, session_key: str) -> SessionRecord | None:
    row = connection.execute(f"{_SELECT} WHERE session_key = ?", (session_key,)).fetchone()
    return None if row is None else _record(row)


def _record(row: tuple[Any, ...]) -> SessionRecord:
    return SessionRecord(*row)


def _one(connection: sqlite3.Connection, query: str, session_id: str) -> Message | None:
    row = connection.execute(query, (session_id,)).fetchone()
    return None if row is None else orjson.loads(row[0])
