"""What was said, and in which sessions: the reading side of the transcript.

Messages stand in the order (run seq, id). A user's message is written when it is accepted, so it shows
while its run still waits, and yet stands behind the answers to everything accepted before it.
"""

import sqlite3
from collections.abc import Callable

import orjson

from openclawd.store.administration import Administration
from openclawd.store.appending import place
from openclawd.store.database import Database
from openclawd.store.directory import Directory
from openclawd.store.messages import Messages
from openclawd.store.records import (
    Attachment,
    Message,
    SessionRecord,
    StoredMessage,
    Transcript,
)
from openclawd.store.run_rows import select_unfinished
from openclawd.store.session_record import SELECT_SESSIONS, find_session, session_record
from openclawd.store.spending import Spending
from openclawd.store.system_events import SystemEventRows


def _whole(message: Message) -> Message:
    return message


class Conversations:
    """Sessions and their messages."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.messages = Messages(database)
        self.directory = Directory(database)
        self.administration = Administration(database)
        self.spending = Spending(database)
        self.system_events = SystemEventRows(database)

    async def transcript(
        self, session_key: str, limit: int, *, offset: int = 0, clip: Callable[[Message], Message] = _whole
    ) -> Transcript:
        """Shown messages and what is unfinished, at one moment: the last `limit`, but for the newest
        `offset`. `clip` makes of each what is kept of it, so that not all of them are held whole at once.
        """

        def job(connection: sqlite3.Connection) -> Transcript:
            session = find_session(connection, session_key)
            unfinished = select_unfinished(connection, session_key)
            if session is None:
                return Transcript(None, (), 0, unfinished)
            newest_first = [
                StoredMessage(id_, place(run_seq, role), clip(orjson.loads(body)))
                for id_, run_seq, role, body in connection.execute(
                    "SELECT id, run_seq, role, body FROM messages WHERE session_id = ? AND shown = 1"
                    " ORDER BY run_seq DESC, id DESC LIMIT ? OFFSET ?",
                    (session.session_id, limit, offset),
                )
            ]
            total, last_id = connection.execute(
                "SELECT COUNT(*), COALESCE(MAX(id), 0) FROM messages WHERE session_id = ? AND shown = 1",
                (session.session_id,),
            ).fetchone()
            return Transcript(session.session_id, tuple(newest_first[::-1]), total, unfinished, last_id)

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

    async def attachment(self, session_id: str, attachment_id: str) -> Attachment | None:
        """A file of a conversation."""

        def job(connection: sqlite3.Connection) -> Attachment | None:
            row = connection.execute(
                "SELECT attachment_id, media_type, file_name, data FROM attachments"
                " WHERE session_id = ? AND attachment_id = ?",
                (session_id, attachment_id),
            ).fetchone()
            return None if row is None else Attachment(*row)

        return await self._database.read(job)

    async def session(self, session_key: str) -> SessionRecord | None:
        """The session of a key, if anything was ever said in it."""
        return await self._database.read(lambda connection: find_session(connection, session_key))

    async def sessions(self, *, since_ms: int = 0) -> list[SessionRecord]:
        """Sessions changed since then, the newest first."""

        def job(connection: sqlite3.Connection) -> list[SessionRecord]:
            rows = connection.execute(
                f"{SELECT_SESSIONS} WHERE updated_at_ms >= ? ORDER BY updated_at_ms DESC, session_key",
                (since_ms,),
            ).fetchall()
            return [session_record(row) for row in rows]

        return await self._database.read(job)
