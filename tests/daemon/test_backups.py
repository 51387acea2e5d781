"""The daily backup: when it is made, and what is told when it cannot be.

Each test names the clock itself: only then does it run by it.
"""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from openclawd.config.model import Backup, Count, Kept
from openclawd.config.paths import Paths
from openclawd.daemon.backups import (
    DAY_MS,
    FIRST_AFTER_S,
    DailyBackups,
    backup_before_migration,
    belongings,
    precautions,
)
from openclawd.daemon.state_watch import PROBE_EVERY_S, StateWatch
from openclawd.store.backup_files import backups_in
from openclawd.store.database import Database, open_database
from openclawd.store.errors import StoreError
from openclawd.store.integrity import mark_of
from openclawd.store.migrations import Precautions
from openclawd.store.restore import finish, prepare, read_manifest
from openclawd.store.schema import MIGRATIONS
from tests.store.test_backup import NOW_MS, put, tear
from tests.store.test_migration import FIRST_SCHEMA


class Setting:
    """A state directory whose wall clock goes with the mock clock, and is set as tests like."""

    def __init__(self, paths: Paths, database: Database, clock: MockClock) -> None:
        self.paths = paths
        self.clock = clock
        self.database = database
        self.offset_ms = NOW_MS
        self.keep = 7
        self.told = 0
        self.backups = DailyBackups(database, paths, self.wanted, now_ms=self.now_ms)
        self.watch = StateWatch(database, paths.database, self.backups, changed=self.changed)

    def now_ms(self) -> int:
        return self.offset_ms + int(trio.current_time() * 1000)

    def wanted(self) -> Backup:
        return Backup(keep=Kept(self.keep), max_bytes=Count(10_000_000))

    def changed(self) -> None:
        self.told += 1

    def made(self) -> list[int]:
        """How many days ago each was made, the newest first."""
        return [(self.now_ms() - each.made_at_ms) // DAY_MS for each in backups_in(self.paths.backups)]

    def said(self) -> list[str]:
        return [each.said for each in self.watch.warnings()]


@pytest.fixture
async def setting(tmp_path: Path, mock_clock: MockClock) -> AsyncIterator[Setting]:
    paths = Paths(state_dir=tmp_path, config_file=tmp_path / "openclaw.json")
    paths.own_dir.mkdir()
    async with open_database(paths.database, paths.backups) as database:
        await put(database, "kept")
        yield Setting(paths, database, mock_clock)


async def settled() -> None:
    """Until everybody waits for the clock; a jump of it must not overtake a thread."""
    while True:
        await wait_all_tasks_blocked()
        if not trio.to_thread.current_default_thread_limiter().borrowed_tokens:
            return


async def served(setting: Setting, seconds: float) -> None:
    """Serve for so long, in steps that miss nothing."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(setting.backups.serve)
        await settled()
        while seconds > 0:
            setting.clock.jump(min(seconds, FIRST_AFTER_S))
            seconds -= FIRST_AFTER_S
            await settled()
        nursery.cancel_scope.cancel()


async def days(setting: Setting, count: float) -> None:
    await served(setting, count * 86_400)


async def test_the_first_backup_is_made_soon_after_the_first_start(
    setting: Setting, mock_clock: MockClock
) -> None:
    await served(setting, FIRST_AFTER_S - 1)
    assert setting.made() == []
    await served(setting, FIRST_AFTER_S + 1)
    assert setting.made() == [0]


async def test_one_is_made_a_day_and_seven_days_are_kept(setting: Setting, mock_clock: MockClock) -> None:
    await days(setting, 9.5)
    assert setting.made() == [0, 1, 2, 3, 4, 5, 6]


async def test_frequent_starts_make_no_more_of_them(setting: Setting, mock_clock: MockClock) -> None:
    for _ in range(20):
        await days(setting, 0.04)
    assert setting.made() == [0]


async def test_a_backup_from_tomorrow_is_no_reason_to_wait(setting: Setting, mock_clock: MockClock) -> None:
    await days(setting, 0.01)
    setting.offset_ms -= 3 * DAY_MS
    await days(setting, 0.01)
    assert setting.made() == [-4, 0] or setting.made() == [-3, 0]


async def test_none_is_made_where_none_is_wanted(setting: Setting, mock_clock: MockClock) -> None:
    setting.keep = 0
    await days(setting, 2)
    assert setting.made() == []


async def test_after_an_unclean_end_that_could_not_be_checked_one_is_made_at_once(
    setting: Setting, mock_clock: MockClock
) -> None:
    await days(setting, 0.01)
    setting.offset_ms += 2000
    setting.database.unchecked = True
    await days(setting, 0.01)
    assert len(setting.made()) == 2
    assert not setting.database.unchecked


async def test_the_config_and_the_gateways_key_go_along(setting: Setting, mock_clock: MockClock) -> None:
    setting.paths.config_file.write_text("{}")
    setting.paths.identity_file.write_text("a key")
    await setting.backups.make()
    (backup,) = backups_in(setting.paths.backups)
    assert set(belongings(setting.paths)) & set(read_manifest(backup.path).names) == {
        "openclaw.json",
        "openclawd/identity.pem",
    }


async def test_why_there_is_no_backup_is_told_until_there_is_one(
    setting: Setting, mock_clock: MockClock
) -> None:
    setting.paths.backups.write_text("in the way")
    await setting.backups.make()
    (said,) = setting.said()
    assert said.startswith("No backup is made: ")
    setting.paths.backups.unlink()
    await setting.backups.make()
    assert setting.said() == []


async def test_a_damaged_database_is_found_told_and_marked_and_the_backups_stay(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    paths = Paths(state_dir=tmp_path, config_file=tmp_path / "openclaw.json")
    paths.own_dir.mkdir()
    async with open_database(paths.database) as database:
        await Setting(paths, database, mock_clock).backups.make()
    tear(paths.database)
    async with open_database(paths.database) as database:
        setting = Setting(paths, database, mock_clock)
        setting.offset_ms += DAY_MS
        await setting.backups.make()
        assert setting.made() == [1]
        (warning,) = setting.watch.warnings()
    assert warning.said.startswith("Some of what is kept cannot be read: the state database is damaged")
    assert warning.cure.endswith("openclawd gateway restart")
    assert mark_of(paths.database).exists()


async def test_a_full_disk_is_told_and_its_end_is_found_without_anybody_asking(
    setting: Setting, mock_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(setting.watch.serve)
        await setting.database.read(lambda connection: connection.execute("PRAGMA query_only = ON"))
        with pytest.raises(Exception, match="cannot be written"):
            await put(setting.database, "lost")
        await tried(setting)
        assert setting.told == 1
        (warning,) = setting.watch.warnings()
        assert warning.said.startswith("Nothing can be kept: ")
        assert warning.failing
        await setting.database.read(lambda connection: connection.execute("PRAGMA query_only = OFF"))
        await tried(setting)
        assert setting.told == 2
        assert setting.said() == []
        nursery.cancel_scope.cancel()


async def tried(setting: Setting) -> None:
    """Long enough for several probes, each of which is done before the next."""
    for _ in range(5):
        await wait_all_tasks_blocked()
        setting.clock.jump(PROBE_EVERY_S)
        await wait_all_tasks_blocked()
        await setting.database.read(lambda connection: connection.execute("SELECT 1"))


async def test_whoever_stops_the_gateway_does_not_wait_for_a_backup(
    setting: Setting, mock_clock: MockClock
) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await setting.backups.make()
    assert scope.cancelled_caught
    assert list(setting.paths.own_dir.glob("backups/*")) == []


# --- before the state is changed for a new version


@pytest.fixture
def old(tmp_path: Path) -> Paths:
    """A state directory of the first schema."""
    paths = Paths(state_dir=tmp_path, config_file=tmp_path / "openclaw.json")
    paths.own_dir.mkdir()
    with closing(sqlite3.connect(paths.database)) as connection:
        connection.executescript(FIRST_SCHEMA)
    return paths


def care(paths: Paths, keep: int = 7) -> Precautions:
    wanted = Backup(keep=Kept(keep), max_bytes=Count(10_000_000))
    return precautions(paths, wanted, on_trial=False, now_ms=lambda: NOW_MS)


async def test_the_state_of_the_version_before_is_in_a_backup_when_it_is_changed(old: Paths) -> None:
    async with open_database(old.database, old.backups, care(old)):
        pass
    (made,) = backups_in(old.backups)
    with closing(sqlite3.connect(old.database)) as changed:
        assert changed.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    prepare(made.path, old.database)
    finish(old.database)
    with closing(sqlite3.connect(old.database)) as before:
        assert before.execute("PRAGMA user_version").fetchone() == (1,)
        assert before.execute("SELECT COUNT(*) FROM messages").fetchone() == (4,)


async def test_one_who_wants_no_backups_gets_none_then_either(old: Paths) -> None:
    async with open_database(old.database, old.backups, care(old, keep=0)):
        pass
    assert backups_in(old.backups) == []


async def test_a_start_that_changes_nothing_makes_no_backup(old: Paths) -> None:
    async with open_database(old.database, old.backups, care(old, keep=0)):
        pass
    async with open_database(old.database, old.backups, care(old)):
        pass
    assert backups_in(old.backups) == []


async def test_a_backup_that_clients_would_wait_for_too_long_is_left(
    old: Paths, caplog: pytest.LogCaptureFixture
) -> None:
    backup_before_migration(old, now_ms=lambda: NOW_MS, limit_s=-1)
    assert backups_in(old.backups) == []
    assert [record.getMessage() for record in caplog.records] == [
        "no backup before the state is changed for a new version"
    ]


async def test_a_database_that_breaks_while_it_is_changed_is_replaced_by_that_backup(old: Paths) -> None:
    """The disk fails in the middle: the backup of a moment ago is there, with all that was accepted."""

    def broken_after_backup() -> None:
        backup_before_migration(old, now_ms=lambda: NOW_MS)
        with old.database.open("r+b") as file:
            file.seek(4096)
            file.write(bytes(4096 * 6))

    with pytest.raises(StoreError):
        async with open_database(old.database, None, Precautions(broken_after_backup)):
            pass
    async with open_database(old.database, old.backups, care(old)) as database:
        rows = await database.read(
            lambda connection: connection.execute("SELECT COUNT(*) FROM messages").fetchone()
        )
    assert rows == (4,)
