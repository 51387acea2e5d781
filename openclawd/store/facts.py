"""Single values that the gateway must find again: a name and some bytes, whose meaning is the caller's."""

import sqlite3

from openclawd.store.database import Database


class Facts:
    """Each change is on disk when its call returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> bytes | None:
        """The value of `name`, or None if it was never put."""

        def job(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
            return None if row is None else bytes(row[0])

        return await self._database.read(job)

    async def put(self, name: str, value: bytes) -> None:
        """Add or replace a fact."""

        def job(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO facts (name, value) VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, value),
            )

        await self._database.write(job)
