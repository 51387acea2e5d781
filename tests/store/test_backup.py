"""Backups: made beside writers, whole or not at all, kept by day; brought back, and nothing is lost."""

import gzip
import os
import sqlite3
import stat
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from openclawd.store.backup import DATABASE, MANIFEST, Source, make_backup
from openclawd.store.backup_files import BackupFile, backups_in, name_of, surplus
from openclawd.store.database import Database, open_database
from openclawd.store.errors import Damaged, StoreError
from openclawd.store.restore import FORMER, finish, prepare, put_back, read_manifest
from openclawd.store.schema import MIGRATIONS

NOW_MS = 1_795_388_400_000  # 2026-11-22T23:00:00Z
DAY_MS = 24 * 60 * 60 * 1000


async def put(database: Database, name: str) -> None:
    await database.write(lambda c: c.execute("INSERT INTO facts VALUES (?, 'x')", (name,)))


def facts(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name FROM facts WHERE name NOT LIKE 'schema.%'")
        return {name for (name,) in rows}


def backed_up(path: Path, *, now_ms: int = NOW_MS, along: dict[str, Path] | None = None) -> Path:
    target = path.parent / "backups" / name_of(now_ms)
    make_backup(Source(path, along or {}, "1.2.3"), target, owner=path.parent, now_ms=now_ms)
    return target


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A database with the fact `kept`, closed."""
    path = tmp_path / "openclawd.sqlite3"
    async with open_database(path) as database:
        await put(database, "kept")
    return path


async def test_a_backup_is_an_archive_of_the_state_directory_that_only_its_owner_can_read(path: Path) -> None:
    config = path.parent / "openclaw.json"
    config.write_text("{}")
    target = backed_up(path, along={"openclaw.json": config, "openclawd/identity.pem": path.parent / "none"})
    assert target.name == "openclawd-20261122T230000Z.tar.gz"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert stat.S_IMODE(target.parent.stat().st_mode) & 0o077 == 0
    with tarfile.open(target) as tar:
        assert tar.getnames() == [MANIFEST, "openclaw.json", DATABASE]
        assert {member.mode for member in tar} == {0o600}
    assert [each.name for each in target.parent.iterdir()] == [target.name]


async def test_what_a_writer_writes_meanwhile_neither_waits_nor_tears_the_backup(path: Path) -> None:
    """Two facts are always written together; a backup has both of a pair or none."""
    written, enough = 0, trio.Event()

    def pair(connection: sqlite3.Connection) -> None:
        for half in "ab":
            connection.execute("INSERT INTO facts VALUES (?, zeroblob(20000))", (f"{written}-{half}",))

    async def write_pairs(database: Database) -> None:
        nonlocal written
        while True:
            await database.write(pair)
            written += 1
            if written == 50:
                enough.set()

    async with open_database(path) as database, trio.open_nursery() as nursery:
        nursery.start_soon(write_pairs, database)
        await enough.wait()
        before = written
        target = await trio.to_thread.run_sync(backed_up, path)
        nursery.cancel_scope.cancel()
    assert written > before, "writers were not kept waiting"
    prepare(target, path)
    finish(path)
    halves = {half: {name[:-2] for name in facts(path) if name.endswith(half)} for half in "ab"}
    assert halves["a"] == halves["b"]
    assert {str(number) for number in range(before)} <= halves["a"]


async def test_a_backup_of_a_database_that_was_not_closed_has_what_is_only_in_its_log(path: Path) -> None:
    async with open_database(path) as database:
        await put(database, "in the log")
        target = await trio.to_thread.run_sync(backed_up, path)
    prepare(target, path)
    finish(path)
    assert facts(path) == {"kept", "in the log"}


async def test_a_damaged_database_is_never_backed_up(path: Path) -> None:
    tear(path)
    with pytest.raises(Damaged, match="damaged"):
        backed_up(path)
    assert backups_in(path.parent / "backups") == []


async def test_a_backup_that_is_stopped_leaves_nothing_behind(path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop_at(call: int) -> Callable[[], None]:
        left = iter(range(call))

        def proceed() -> None:
            if next(left, None) is None:
                raise Stopped

        return proceed

    folder = path.parent / "backups"
    for call in range(3):
        with pytest.raises(Stopped):
            make_backup(
                Source(path, {}, ""),
                folder / name_of(NOW_MS),
                owner=path.parent,
                now_ms=NOW_MS,
                proceed=stop_at(call),
            )
        assert list(folder.iterdir()) == []


async def test_what_a_crash_left_of_a_backup_goes_with_the_next_one(path: Path) -> None:
    left = path.parent / "backups" / ".making-crashed"
    left.mkdir(parents=True)
    (left / "database").write_bytes(b"half")
    backed_up(path)
    assert not left.exists()


async def test_a_backup_never_replaces_a_file(path: Path) -> None:
    target = backed_up(path)
    content = target.read_bytes()
    with pytest.raises(StoreError, match="there is a file of that name"):
        backed_up(path)
    assert target.read_bytes() == content


async def test_without_room_no_backup_is_begun(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = os.statvfs(path.parent)
    full = os.statvfs_result((there.f_bsize, there.f_frsize, there.f_blocks, 9, 9, *there[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    with pytest.raises(StoreError, match="no room for a backup"):
        backed_up(path)


@given(
    ages=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 23), st.integers(1, 100)), max_size=25),
    keep=st.integers(1, 8),
    max_bytes=st.integers(1, 500),
)
def test_of_each_of_the_last_days_the_newest_is_kept_within_the_room_that_they_may_take(
    ages: list[tuple[int, int, int]], keep: int, max_bytes: int
) -> None:
    backups = [
        BackupFile(Path(str(index)), NOW_MS - days * DAY_MS - hours * 3_600_000, size)
        for index, (days, hours, size) in enumerate(ages)
    ]
    gone = surplus(backups, keep=keep, max_bytes=max_bytes)
    left = [backup for backup in backups if backup not in gone]
    days = {backup.made_at_ms // DAY_MS for backup in left}
    assert len(days) <= keep
    assert sum(backup.size for backup in left) <= max_bytes or len(left) == 1
    if backups:
        newest = max(backups, key=lambda backup: backup.made_at_ms)
        assert any(backup.made_at_ms == newest.made_at_ms for backup in left)
        for day in days - {newest.made_at_ms // DAY_MS}:
            assert sum(backup.made_at_ms // DAY_MS == day for backup in left) == 1
    if sum(backup.size for backup in backups) <= max_bytes:
        every_day = sorted({backup.made_at_ms // DAY_MS for backup in backups}, reverse=True)
        assert days == set(every_day[:keep])


def test_only_files_that_are_called_so_are_backups_and_the_newest_is_first(tmp_path: Path) -> None:
    for name in ("openclawd-20261101T000000Z.tar.gz", "openclawd-20261102T000000Z.tar.gz"):
        (tmp_path / name).touch()
    for name in ("mine.tar.gz", "openclawd-20269999T000000Z.tar.gz", "openclawd-2026.tar.gz"):
        (tmp_path / name).touch()
    assert [each.path.name[10:18] for each in backups_in(tmp_path)] == ["20261102", "20261101"]
    assert backups_in(tmp_path / "nowhere") == []


# --- bringing one back


async def test_a_backup_says_when_and_by_which_version_it_was_made(path: Path) -> None:
    manifest = read_manifest(backed_up(path))
    assert (manifest.made_at_ms, manifest.version, manifest.names) == (NOW_MS, "1.2.3", (MANIFEST, DATABASE))


async def test_the_database_that_was_there_is_kept_with_its_log(path: Path) -> None:
    target = backed_up(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO facts VALUES ('later', 'x')")
        log = (path.parent / f"{path.name}-wal").read_bytes()
        prepare(target, path)
        former = finish(path, FORMER)
    assert former is not None
    assert former.name.startswith(f"{path.name}.before-restore-")
    assert (former.parent / f"{former.name}-wal").read_bytes() == log
    assert facts(path) == {"kept"}
    assert facts(former) == {"kept", "later"}


@pytest.mark.parametrize("steps", range(4))
async def test_a_restore_that_is_cut_short_anywhere_is_finished_by_the_next_start(
    path: Path, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = backed_up(path)
    async with open_database(path) as database:
        await put(database, "later")
    (path.parent / f"{path.name}-wal").write_bytes(b"a log that must not be applied to the other one")
    prepare(target, path)
    real, done = Path.replace, 0

    def replace(self: Path, other: Path) -> Path:
        nonlocal done
        if done == steps:
            raise OSError("killed")
        done += 1
        return real(self, other)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", replace)
        if steps < 3:
            with pytest.raises(OSError, match="killed"):
                finish(path)
        else:
            finish(path)
    async with open_database(path):
        pass
    assert facts(path) == {"kept"}
    kept = [each for each in path.parent.glob(f"{path.name}.damaged-*") if not each.name.endswith("-wal")]
    assert len(kept) == 1


async def test_two_restores_in_the_same_second_keep_both_databases_that_were_there(path: Path) -> None:
    target = backed_up(path)
    kept = []
    for name in ("first", "second"):
        async with open_database(path) as database:
            await put(database, name)
        prepare(target, path)
        os.utime(path.with_name(f"{path.name}.restored"), (NOW_MS / 1000, NOW_MS / 1000))
        aside = finish(path, FORMER)
        assert aside is not None
        kept.append(aside)
    assert [facts(aside) for aside in kept] == [{"kept", "first"}, {"kept", "second"}]
    assert facts(path) == {"kept"}


def contents(path: Path) -> dict[Path, bytes]:
    return {each: each.read_bytes() for each in path.parent.glob("*.*")}


def spoilt(target: Path, how: str) -> None:
    content = target.read_bytes()
    if how == "short":
        target.write_bytes(content[: len(content) // 2])
    elif how == "flipped":
        middle = len(content) // 2
        target.write_bytes(content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :])
    elif how == "empty":
        target.write_bytes(b"")
    elif how == "text":
        target.write_text("not an archive at all")
    elif how == "no manifest":
        with gzip.open(target, "wb") as file, tarfile.open(fileobj=file, mode="w"):
            pass


@pytest.mark.parametrize("how", ["short", "flipped", "empty", "text", "no manifest"])
async def test_a_backup_that_is_not_whole_is_refused_and_changes_nothing(path: Path, how: str) -> None:
    target = backed_up(path)
    before = contents(path)
    spoilt(target, how)
    with pytest.raises(StoreError, match=r"no backup that can be used.*openclawd backup list"):
        prepare(target, path)
    assert contents(path) == before


async def test_a_backup_of_a_newer_schema_is_left_to_its_own_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    target = backed_up(path)
    with pytest.raises(StoreError, match="newer openclawd"):
        prepare(target, path)


def test_a_small_file_comes_back_beside_the_one_that_was_there(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "openclaw.json"
    assert put_back(file, b"first", owner=tmp_path, now_ms=NOW_MS) is None
    aside = put_back(file, b"second", owner=tmp_path, now_ms=NOW_MS)
    assert aside is not None
    assert (aside.read_bytes(), file.read_bytes()) == (b"first", b"second")
    again = put_back(file, b"third", owner=tmp_path, now_ms=NOW_MS)
    assert again is not None
    assert (aside.read_bytes(), again.read_bytes(), file.read_bytes()) == (b"first", b"second", b"third")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def tear(path: Path) -> None:
    """Spoil a page that opening it does not read: the table of facts."""
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'facts'").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(os.urandom(4096))
