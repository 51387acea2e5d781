"""Single messages of a transcript: by their number, by the run they belong to, or what came since."""

import re
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import attrs
import orjson

from openclawd.store.appending import place
from openclawd.store.database import Database
from openclawd.store.records import RunRecord, StoredMessage

# At most what the store can count to.
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_COLUMNS: Final = "m.id, m.run_seq, m.role, m.body"
_OF_SESSION: Final = "FROM messages AS m JOIN sessions AS s USING (session_id) WHERE s.session_key = ?"


@attrs.frozen(eq=False, repr=False)
class Found:
    """A message of a conversation. `newer` counts the shown ones behind it."""

    message: StoredMessage
    session_id: str
    shown: bool = attrs.field(converter=bool)
    newer: int


class Messages:
    """The messages of all sessions, one by one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, session_key: str, message_id: str) -> Found | None:
        """A message of the session's present conversation, shown or not, by its id in decimal digits."""
        if not _NUMBER.fullmatch(message_id):
            return None

        def job(connection: sqlite3.Connection) -> Found | None:
            row = connection.execute(
                f"SELECT m.session_id, m.shown, {_COLUMNS} {_OF_SESSION} AND m.id = ?",
                (session_key, int(message_id)),
            ).fetchone()
            if row is None:
                return None
            session_id, shown, id_, run_seq, *_ = row
            (newer,) = connection.execute(
                "SELECT COUNT(*) FROM messages WHERE session_id = ? AND shown = 1 AND (run_seq, id) > (?, ?)",
                (session_id, run_seq, id_),
            ).fetchone()
            return Found(_stored(row[2:]), session_id, shown, newer)

        return await self._database.read(job)

    async def answer(self, run: RunRecord) -> StoredMessage | None:
        """What was answered in a run: the last message of it that is the model's."""

        def job(connection: sqlite3.Connection) -> StoredMessage | None:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM messages AS m WHERE m.session_id = ? AND m.run_seq = ?"  # noqa: S608
                " AND m.role = 'assistant' ORDER BY m.id DESC LIMIT 1",
                (run.session_id, run.seq),
            ).fetchone()
            return None if row is None else _stored(row)

        return await self._database.read(job)

    async def since(self, session_key: str, message_id: int, limit: int) -> list[StoredMessage]:
        """The shown messages that were written after one, in the order of writing; at most `limit`."""

        def job(connection: sqlite3.Connection) -> list[StoredMessage]:
            rows = connection.execute(
                f"SELECT {_COLUMNS} {_OF_SESSION} AND m.shown = 1 AND m.id > ? ORDER BY m.id LIMIT ?",
                (session_key, message_id, limit),
            ).fetchall()
            return [_stored(row) for row in rows]

        return await self._database.read(job)

    async def inputs(self, session_key: str, run_ids: Sequence[str]) -> dict[str, int]:
        """The number of the user's message of each run that is known in the present conversation."""

        def job(connection: sqlite3.Connection) -> dict[str, int]:
            found: dict[str, int] = {}
            for run_id in run_ids:
                (message_id,) = connection.execute(
                    "SELECT MIN(m.id) FROM runs AS r JOIN sessions AS s USING (session_key, session_id)"
                    " JOIN messages AS m ON m.session_id = s.session_id AND m.run_seq = r.seq"
                    " WHERE r.run_id = ? AND s.session_key = ? AND m.role = 'user'",
                    (run_id, session_key),
                ).fetchone()
                if message_id is not None:
                    found[run_id] = message_id
            return found

        return await self._database.read(job)


def _stored(row: tuple[Any, ...]) -> StoredMessage:
    id_, run_seq, role, body = row
    return StoredMessage(id_, place(run_seq, role), orjson.loads(body))
