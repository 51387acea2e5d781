"""Changes to whole sessions: what is chosen for them, a new beginning, their end."""

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

import attrs

from openclawd.store.database import Database
from openclawd.store.records import SessionRecord
from openclawd.store.run_rows import select_unfinished
from openclawd.store.session_changes import begin_again, merge_settings
from openclawd.store.session_record import find_session

# The columns that a patch may name beside the settings.
_LABEL: Final = "label"


class LabelTaken(Exception):
    """Another session is called so; labels name one session each."""


class Unsettled(Exception):
    """The session has runs without an outcome, which must not lose their conversation."""


class SessionChanged(Exception):
    """The session is not the one that the caller saw."""


@attrs.frozen(eq=False, repr=False)
class Expected:
    """What a session must still be for a change to be made; None where anything will do."""

    session_id: str | None = None
    updated_at_ms: float | None = None
    archived: bool | None = None
    marked_unread_at_ms: tuple[float | None] | None = None
    """In a tuple, as None is one of the things to expect."""


@attrs.frozen(eq=False, repr=False)
class Shortened:
    """A transcript after it was cut: how many messages are shown now, and were."""

    kept: int
    before: int


class Administration:
    """Writes about sessions. Keys are canonical; times are wall-clock milliseconds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def patch(
        self,
        session_key: str,
        changes: Mapping[str, Any],
        *,
        now_ms: int,
        new_session_id: str,
        expected: Expected | None = None,
        quietly: bool = False,
    ) -> SessionRecord:
        """Merge `changes` (`label` and settings; None takes away); a session that is missing is made.

        `quietly` leaves the time of the last change as it was. Raises LabelTaken, SessionChanged.
        """

        def job(connection: sqlite3.Connection) -> SessionRecord:
            _check(find_session(connection, session_key), expected)
            _ensure(connection, session_key, new_session_id, now_ms, touch=not quietly)
            settings = {name: value for name, value in changes.items() if name != _LABEL}
            if settings:
                merge_settings(connection, session_key, settings)
            if _LABEL in changes:
                _rename(connection, session_key, changes[_LABEL])
            return _known(connection, session_key)

        return await self._database.write(job)

    async def reset(self, session_key: str, *, now_ms: int, new_session_id: str) -> SessionRecord:
        """Begin a new conversation under the key; a session that is missing is made. Raises Unsettled."""

        def job(connection: sqlite3.Connection) -> SessionRecord:
            _refuse_unsettled(connection, session_key)
            _ensure(connection, session_key, new_session_id, now_ms, touch=True)
            begin_again(connection, session_key, new_session_id)
            return _known(connection, session_key)

        return await self._database.write(job)

    async def delete(self, session_key: str, *, expected: Expected | None = None) -> bool:
        """Remove a session with everything that was said in it; false if there is none.

        What it cost is kept, as it is part of what was spent; and for a day which messages were accepted, so
        that a client that sends one again, not knowing that, does not begin the session anew. Raises
        Unsettled, SessionChanged.
        """

        def job(connection: sqlite3.Connection) -> bool:
            session = find_session(connection, session_key)
            _check(session, expected)
            _refuse_unsettled(connection, session_key)
            if session is None:
                return False
            ids = "SELECT :id UNION SELECT session_id FROM former_conversations WHERE session_key = :key"
            of_session = {"key": session_key, "id": session.session_id}
            for table in ("messages", "attachments"):
                connection.execute(f"DELETE FROM {table} WHERE session_id IN ({ids})", of_session)  # noqa: S608
            connection.execute(
                "UPDATE runs SET options = '{}', error = NULL WHERE session_key = ?", (session_key,)
            )
            for table in ("former_conversations", "sessions"):
                connection.execute(f"DELETE FROM {table} WHERE session_key = ?", (session_key,))  # noqa: S608
            return True

        return await self._database.write(job)

    async def keep_last(self, session_key: str, count: int, *, now_ms: int) -> Shortened | None:
        """Show only the last `count` messages, and let the model read no others; None for no session.

        The others stay on disk, hidden, until the session is deleted. Raises Unsettled if that would hide
        something and a run is not finished.
        """

        def job(connection: sqlite3.Connection) -> Shortened | None:
            session = find_session(connection, session_key)
            if session is None:
                return None
            newest_first = [
                message_id
                for (message_id,) in connection.execute(
                    "SELECT id FROM messages WHERE session_id = ? AND shown = 1"
                    " ORDER BY run_seq DESC, id DESC",
                    (session.session_id,),
                )
            ]
            hidden = newest_first[count:]
            if not hidden:
                return Shortened(len(newest_first), len(newest_first))
            _refuse_unsettled(connection, session_key)
            connection.executemany(
                "UPDATE messages SET shown = 0 WHERE id = ?", [(message_id,) for message_id in hidden]
            )
            # What was summed up stays so: the model begins at the later of the two.
            connection.execute(
                "UPDATE sessions SET updated_at_ms = ?, total_tokens = NULL, context_from ="
                " (SELECT id FROM messages WHERE id IN (context_from, ?) ORDER BY run_seq DESC, id DESC"
                "  LIMIT 1) WHERE session_key = ?",
                (now_ms, newest_first[count - 1], session_key),
            )
            return Shortened(count, len(newest_first))

        return await self._database.write(job)


def _check(session: SessionRecord | None, expected: Expected | None) -> None:
    if expected is None:
        return
    if expected.session_id is not None and (session is None or session.session_id != expected.session_id):
        raise SessionChanged
    if session is None:
        return
    if expected.marked_unread_at_ms not in {None, (session.settings.get("markedUnreadAt"),)}:
        raise SessionChanged
    if expected.updated_at_ms is not None and session.updated_at_ms != expected.updated_at_ms:
        raise SessionChanged
    if expected.archived is not None and ("archivedAt" in session.settings) != expected.archived:
        raise SessionChanged


def _ensure(
    connection: sqlite3.Connection, session_key: str, new_session_id: str, now_ms: int, *, touch: bool
) -> None:
    connection.execute(
        "INSERT INTO sessions (session_key, session_id, created_at_ms, updated_at_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (session_key) DO NOTHING",
        (session_key, new_session_id, now_ms, now_ms),
    )
    if touch:
        connection.execute(
            "UPDATE sessions SET updated_at_ms = ? WHERE session_key = ?", (now_ms, session_key)
        )


def _rename(connection: sqlite3.Connection, session_key: str, label: str | None) -> None:
    taken = connection.execute(
        "SELECT 1 FROM sessions WHERE label = ? AND session_key <> ?", (label, session_key)
    ).fetchone()
    if taken is not None:
        raise LabelTaken
    connection.execute("UPDATE sessions SET label = ? WHERE session_key = ?", (label, session_key))


def _refuse_unsettled(connection: sqlite3.Connection, session_key: str) -> None:
    if select_unfinished(connection, session_key):
        raise Unsettled


def _known(connection: sqlite3.Connection, session_key: str) -> SessionRecord:
    session = find_session(connection, session_key)
    if session is None:
        raise LookupError(session_key)
    return session
