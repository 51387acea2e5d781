"""What happened around a session, until a run has told its model: rows that outlive the process."""

import sqlite3
from typing import Final

import attrs

from openclawd.store.database import Database

_COLUMNS: Final = "session_key, text, at_ms, run_seq"
# Nobody asks for what a run has told that is over.
_FORGET_TOLD: Final = (
    "DELETE FROM system_events WHERE session_key = ? AND run_seq IS NOT NULL"
    " AND run_seq NOT IN (SELECT seq FROM runs WHERE ended_at_ms IS NULL)"
)


@attrs.frozen(eq=False, repr=False)
class SystemEvent:
    """One event, as it was told to the gateway. `run_seq` is the run that tells it, None while it waits."""

    session_key: str
    text: str
    at_ms: int
    run_seq: int | None = None


class SystemEventRows:
    """The events of all sessions, oldest first. Every change is on disk when its call returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def untold(self) -> list[SystemEvent]:
        """What waits, and what is being told in runs that have not ended."""

        def job(connection: sqlite3.Connection) -> list[SystemEvent]:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM system_events WHERE run_seq IS NULL"  # noqa: S608
                " OR run_seq IN (SELECT seq FROM runs WHERE ended_at_ms IS NULL) ORDER BY id"
            ).fetchall()
            return [SystemEvent(*row) for row in rows]

        return await self._database.read(job)

    async def add(self, event: SystemEvent, *, keep: int) -> None:
        """Let an event wait; of its session the newest `keep` do."""

        def job(connection: sqlite3.Connection) -> None:
            key = event.session_key
            connection.execute(_FORGET_TOLD, (key,))
            connection.execute(
                f"INSERT INTO system_events ({_COLUMNS}) VALUES (?, ?, ?, ?)",  # noqa: S608
                (key, event.text, event.at_ms, event.run_seq),
            )
            connection.execute(
                "DELETE FROM system_events WHERE session_key = ? AND id NOT IN (SELECT id FROM system_events"
                " WHERE session_key = ? ORDER BY id DESC LIMIT ?)",
                (key, key, keep),
            )

        await self._database.write(job)

    async def tell(self, session_key: str, run_seq: int) -> None:
        """All that waits in the session is told in this run, and again if it must begin anew."""

        def job(connection: sqlite3.Connection) -> None:
            connection.execute(_FORGET_TOLD, (session_key,))
            connection.execute(
                "UPDATE system_events SET run_seq = ? WHERE session_key = ? AND run_seq IS NULL",
                (run_seq, session_key),
            )

        await self._database.write(job)
