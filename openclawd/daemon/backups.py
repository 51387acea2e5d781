"""The daily backup: made beside the work, in a thread of its own, and never in its way.

Whether one is due is asked of the files that are there, so it makes no difference how often the gateway is
started. The first one is made soon after the first start. Each is a check of the whole database, too.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import trio

from openclawd import __version__
from openclawd.config.model import Backup
from openclawd.config.paths import Paths
from openclawd.store.backup_files import backups_in, name_of, surplus
from openclawd.store.database import Database
from openclawd.store.errors import Damaged, StoreError

# A start has better things to do.
FIRST_AFTER_S: Final = 60.0
# The clock of the day may be set, and a laptop sleep.
LOOK_EVERY_S: Final = 600.0
DAY_MS: Final = 24 * 60 * 60 * 1000
# The names in an archive are those in a state directory.
_CONFIG: Final = "openclaw.json"

_log = logging.getLogger("openclawd.backup")


def belongings(paths: Paths) -> Mapping[str, Path]:
    """What goes along with the database, by its name in a backup: the config, and who the gateway is."""
    tls = paths.state_dir / "gateway" / "tls"
    own = (paths.identity_file, *(tls / name for name in ("gateway-cert.pem", "gateway-key.pem")))
    # The config has this name in the archive wherever it lies.
    return {_CONFIG: paths.config_file, **{str(each.relative_to(paths.state_dir)): each for each in own}}


class DailyBackups:
    """Makes them and deletes the old ones. `problem` says why there is no new one, while there is none."""

    def __init__(
        self, database: Database, paths: Paths, wanted: Callable[[], Backup], *, now_ms: Callable[[], int]
    ) -> None:
        self._database = database
        self._paths = paths
        self._wanted = wanted
        self._now_ms = now_ms
        self.problem: StoreError | None = None

    async def serve(self) -> None:
        """Make one whenever it is due, until cancelled."""
        await trio.sleep(FIRST_AFTER_S)
        while True:
            if self._is_due():
                await self.make()
            await trio.sleep(LOOK_EVERY_S)

    async def make(self) -> None:
        """Make one now; why not, if not, is in the log and in `problem`."""
        # A megabyte of memory that a gateway needs once a day.
        from openclawd.store.backup import Source, make_backup

        now_ms, wanted = self._now_ms(), self._wanted()
        source = Source(self._paths.database, belongings(self._paths), __version__)
        target = self._paths.backups / name_of(now_ms)

        def work() -> int:
            check = trio.from_thread.check_cancelled
            make_backup(source, target, owner=self._paths.own_dir, now_ms=now_ms, proceed=check)
            gone = surplus(backups_in(target.parent), keep=wanted.keep, max_bytes=wanted.max_bytes)
            for backup in gone:
                backup.path.unlink(missing_ok=True)
            return target.stat().st_size

        began = trio.current_time()
        try:
            size = await trio.to_thread.run_sync(work)
        except Damaged as damage:
            self._database.found_damaged(damage)
            return
        except (StoreError, OSError) as error:
            problem = error if isinstance(error, StoreError) else StoreError(target, str(error), "See: df -h")
            if self.problem is None or str(self.problem) != str(problem):
                _log.warning("no backup made", extra={"fields": {"reason": str(problem)}})
            self.problem = problem
            return
        self.problem = None
        self._database.unchecked = False
        took_ms = round((trio.current_time() - began) * 1000)
        _log.info("backup made", extra={"fields": {"file": str(target), "bytes": size, "tookMs": took_ms}})

    def _is_due(self) -> bool:
        if self._wanted().keep == 0 or self._database.damage is not None:
            return False
        made = backups_in(self._paths.backups)
        if not made or self._database.unchecked:
            return True
        # One from tomorrow was made by a clock that was wrong.
        return not 0 <= self._now_ms() - made[0].made_at_ms < DAY_MS
