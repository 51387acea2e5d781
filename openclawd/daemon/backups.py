"""The daily backup: made beside the work, in a thread of its own, and never in its way.

Whether one is due is asked of the files that are there, so it makes no difference how often the gateway is
started. The first one is made soon after the first start. Each is a check of the whole database, too.
"""

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import trio

from openclawd import __version__
from openclawd.config.model import Backup
from openclawd.config.paths import Paths
from openclawd.store.backup_files import backups_in, name_of, surplus
from openclawd.store.database import Database
from openclawd.store.errors import Damaged, StoreError
from openclawd.store.migrations import Precautions

# A start has better things to do.
FIRST_AFTER_S: Final = 60.0
# The clock of the day may be set, and a laptop sleep.
LOOK_EVERY_S: Final = 600.0
# Before the state is changed for a new version nobody is served yet, and a trial waits fifteen seconds.
MIGRATION_LIMIT_S: Final = 5.0
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


class _TooSlow(Exception):
    """Clients wait."""


def precautions(paths: Paths, wanted: Backup, *, on_trial: bool, now_ms: Callable[[], int]) -> Precautions:
    """What is done before this version changes the state of the one before."""
    if wanted.keep == 0:
        return Precautions(only_adding=on_trial)
    return Precautions(partial(backup_before_migration, paths, now_ms=now_ms), only_adding=on_trial)


def backup_before_migration(
    paths: Paths, *, now_ms: Callable[[], int], limit_s: float = MIGRATION_LIMIT_S
) -> None:
    """Make a backup of the state as the version before left it; in the thread of the caller. Raises Damaged.

    Why there is none, if there is none, is in the log: what fails in a migration undoes itself, and this is
    for a disk that fails in it.
    """
    from openclawd.store.backup import Source, make_backup

    until_s = time.monotonic() + limit_s

    def proceed() -> None:
        if time.monotonic() > until_s:
            raise _TooSlow(f"it would take longer than {limit_s:g} s")

    at_ms = now_ms()
    target = paths.backups / name_of(at_ms)
    if target.exists():
        # One of this very second.
        return
    source = Source(paths.database, belongings(paths), __version__)
    try:
        make_backup(source, target, owner=paths.own_dir, now_ms=at_ms, proceed=proceed)
    except Damaged:
        raise
    except (StoreError, OSError, _TooSlow) as error:
        fields = {"reason": str(error)}
        _log.warning("no backup before the state is changed for a new version", extra={"fields": fields})
    else:
        fields = {"file": str(target)}
        _log.info("backup made before the state is changed for a new version", extra={"fields": fields})


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
