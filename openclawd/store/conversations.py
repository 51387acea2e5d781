"""What was said, and in which sessions: the reading side of the transcript.

Messages stand in the order (run seq, id). A user's message is written when it is accepted, so it shows
while its run still waits, and yet stands behind the answers to everything accepted before it.
"""

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs
import orjson

from openclawd.store.database import Database
from openclawd.store.records import (
    Attachment,
    Glimpse,
    Message,
    SessionRecord,
    StoredMessage,
    Transcript,
)
from openclawd.store.runs import select_unfinished

_SELECT: Final = (
    "SELECT session_key, session_id, label, created_at_ms, updated_at_ms, provider, model,"
    " input_tokens, output_tokens, total_tokens, aborted_last_run, settings FROM sessions"
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

    async def transcript(self, session_key: str, limit: int, *, offset: int = 0) -> Transcript:
        """Shown messages and what is unfinished, at one moment: the last `limit`, but for the newest
        `offset`.
        """

        def job(connection: sqlite3.Connection) -> Transcript:
            session = _session(connection, session_key)
            unfinished = select_unfinished(connection, session_key)
            if session is None:
                return Transcript(None, (), 0, unfinished)
            rows = connection.execute(
                "SELECT id, body FROM messages WHERE session_id = ? AND shown = 1"
                " ORDER BY run_seq DESC, id DESC LIMIT ? OFFSET ?",
                (session.session_id, limit, offset),
            ).fetchall()
            (total,) = connection.execute(
                "SELECT COUNT(*) FROM messages WHERE session_id = ? AND shown = 1", (session.session_id,)
            ).fetchone()
            messages = tuple(StoredMessage(row[0], orjson.loads(row[1])) for row in reversed(rows))
            return Transcript(session.session_id, messages, total, unfinished)

        return await self._database.read(job)

    async def context(
        self, session_id: str, up_to_seq: int, room: int, cost: Callable[[Message], int]
    ) -> list[Message]:
        """What a run may know: messages of runs up to its own, also hidden ones; the newest that fit.

        Nothing from before the last compaction. Their costs add up to `room` at most; the last message is
        there whatever it costs.
        """

        def job(connection: sqlite3.Connection) -> list[Message]:
            newest_first: list[Message] = []
            left = room
            for (body,) in connection.execute(
                "SELECT body FROM messages WHERE session_id = :id AND run_seq <= :seq AND (run_seq, id) >="
                " (SELECT m.run_seq, m.id FROM messages AS m JOIN sessions AS s ON m.id = s.context_from"
                "  WHERE s.session_id = :id UNION ALL SELECT 0, 0 LIMIT 1)"
                " ORDER BY run_seq DESC, id DESC",
                {"id": session_id, "seq": up_to_seq},
            ):
                message: Message = orjson.loads(body)
                left -= cost(message)
                if newest_first and left < 0:
                    break
                newest_first.append(message)
            return newest_first[::-1]

        return await self._database.read(job)

    async def attachment(self, session_key: str, attachment_id: str) -> Attachment | None:
        """A file of the session's conversation."""

        def job(connection: sqlite3.Connection) -> Attachment | None:
            row = connection.execute(
                "SELECT attachment_id, media_type, file_name, data FROM attachments JOIN sessions"
                " USING (session_id) WHERE session_key = ? AND attachment_id = ?",
                (session_key, attachment_id),
            ).fetchone()
            return None if row is None else Attachment(*row)

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
    *columns, settings = row
    record = SessionRecord(*columns)
    return attrs.evolve(record, settings=orjson.loads(settings))


def _one(connection: sqlite3.Connection, query: str, session_id: str) -> Message | None:
    row = connection.execute(query, (session_id,)).fetchone()
    return None if row is None else orjson.loads(row[0])
