"""How the state on disk is: what is wrong with it, for everybody to see, and whether it is well again.

A disk that is full or cannot be written to stops nothing but what must be kept: such requests are refused in
words, reading goes on, and what was to be written and may wait is tried again. Somebody must try even when
nobody asks for anything, or the gateway would never find out that there is room again.
"""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import trio

from openclawd.daemon.backups import DailyBackups
from openclawd.methods.services import StateWarning
from openclawd.store.database import Database
from openclawd.store.errors import StoreError
from openclawd.store.kept import kept_damage

# As long as somebody who has just freed space is willing to wait.
PROBE_EVERY_S: Final = 2.0
_PROBE_FACT: Final = "last probe"


class StateWatch:
    """Watches the database and what lies beside it."""

    def __init__(
        self, database: Database, path: Path, backups: DailyBackups, *, changed: Callable[[], None]
    ) -> None:
        """`changed` is called when there may be other warnings than before."""
        self._database = database
        self._path = path
        self._backups = backups
        self._changed = changed

    def warnings(self) -> list[StateWarning]:
        """Everything that is wrong now."""
        return list(self._warnings())

    async def serve(self) -> None:
        """Tell of trouble when it begins and when it has passed, until cancelled."""
        while True:
            await self._database.troubled.wait()
            self._database.troubled = trio.Event()
            self._changed()
            while self._database.trouble is not None:
                await trio.sleep(PROBE_EVERY_S)
                await self._probe()
            self._changed()

    async def _probe(self) -> None:
        """Write something; whether that works is what the database remembers."""

        def job(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO facts (name, value) VALUES (?, randomblob(8))"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (_PROBE_FACT,),
            )

        try:
            await self._database.write(job)
        except StoreError:
            return

    def _warnings(self) -> Iterator[StateWarning]:
        trouble, damage = self._database.trouble, self._database.damage
        if trouble is not None:
            yield StateWarning(f"Nothing can be kept: {trouble.problem}", trouble.cure)
        if damage is not None:
            yield StateWarning(
                f"Some of what is kept cannot be read: {damage.problem}",
                "The next start sets it aside and brings the last backup back: openclawd gateway restart",
            )
        if (problem := self._backups.problem) is not None:
            yield StateWarning(f"No backup is made: {problem.problem}", problem.cure)
        for each in kept_damage(self._path):
            yield StateWarning(each.said, each.cure, failing=False)
