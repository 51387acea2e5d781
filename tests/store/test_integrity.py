"""What is done at a start with a database that cannot be trusted."""

import os
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import trio

from openclawd.store.backup_files import backups_in
from openclawd.store.database import Database, open_database
from openclawd.store.errors import Damaged, StoreError
from openclawd.store.integrity import log_of, lost_transactions, mark, mark_of
from openclawd.store.kept import kept_damage
from tests.store.test_backup import NOW_MS, backed_up, facts, put, tear

PAGE = 4096


def names(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT name FROM facts WHERE name NOT LIKE 'schema.%'")
    return {name for (name,) in rows}


def unclean(path: Path) -> None:
    """Have a log there, as after a kill."""
    crash(path, lambda connection: connection.execute("INSERT INTO facts VALUES ('last', 'x')"))


def crash(path: Path, work: Callable[[sqlite3.Connection], object]) -> None:
    """Do `work` and leave the files as a kill would: the log is not taken over into the database."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        work(connection)
        files = {each: each.read_bytes() for each in (path, log_of(path))}
    for file, content in files.items():
        file.write_bytes(content)
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A database with the fact `kept`, closed, and a backup of it; then came the fact `later`."""
    path = tmp_path / "openclawd.sqlite3"
    async with open_database(path) as database:
        await put(database, "kept")
    backed_up(path)
    async with open_database(path) as database:
        await put(database, "later")
    return path


def folder(path: Path) -> Path:
    return path.parent / "backups"


async def reopened(path: Path) -> set[str]:
    async with open_database(path, folder(path)) as database:
        return await database.read(names)


def remove(path: Path) -> None:
    path.unlink()


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def zeros_first_page(path: Path) -> None:
    path.write_bytes(bytes(PAGE) + path.read_bytes()[PAGE:])


def garbage_first_page(path: Path) -> None:
    path.write_bytes(os.urandom(PAGE) + path.read_bytes()[PAGE:])


def half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [zeros_first_page, garbage_first_page, half, emptied])
async def test_a_file_that_cannot_be_opened_is_set_aside_and_the_last_backup_takes_its_place(
    path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(path)
    damaged = content_of(path)
    assert await reopened(path) == {"kept"}
    (kept,) = path.parent.glob(f"{path.name}.damaged-*")
    assert kept.read_bytes() == damaged
    (told,) = kept_damage(path)
    assert "was damaged" in told.said
    assert told.cure == f"The damaged file is kept; to forget it: rm {kept}*"
    assert await reopened(path) == {"kept"}, "once is enough"


async def test_after_a_kill_every_page_is_looked_at(path: Path) -> None:
    tear(path)
    unclean_log(path)
    assert await reopened(path) == {"kept"}


def unclean_log(path: Path) -> None:
    """A log with something in it that does not count."""
    log_of(path).write_bytes(b"\0" * 64)


async def test_after_a_clean_end_a_start_reads_no_page_that_it_does_not_need(path: Path) -> None:
    tear(path)
    async with open_database(path, folder(path)) as database:
        assert not database.unchecked
    assert list(kept_damage(path)) == []


async def test_what_a_kill_left_in_the_log_is_there_and_nothing_is_called_damaged(path: Path) -> None:
    unclean(path)
    assert await reopened(path) == {"kept", "later", "last"}
    assert list(kept_damage(path)) == []


async def test_what_a_running_gateway_found_damaged_is_looked_at_by_the_next_start(path: Path) -> None:
    tear(path)
    mark(path)
    assert await reopened(path) == {"kept"}
    assert not mark_of(path).exists()


async def test_a_mark_on_a_database_that_is_sound_goes_away(path: Path) -> None:
    mark(path)
    assert await reopened(path) == {"kept", "later"}
    assert not mark_of(path).exists()


async def test_a_job_that_meets_a_damaged_page_marks_the_database(path: Path) -> None:
    tear(path)
    async with open_database(path, folder(path)) as database:
        with pytest.raises(Damaged):
            await database.read(lambda c: c.execute("SELECT value FROM facts NOT INDEXED").fetchall())
        assert database.damage is not None
        assert database.troubled.is_set()
    assert mark_of(path).exists()


async def test_the_newest_backup_that_is_in_order_is_taken(path: Path) -> None:
    newer = backed_up(path, now_ms=NOW_MS + 86_400_000)
    newer.write_bytes(newer.read_bytes()[:-200])
    zeros_first_page(path)
    assert await reopened(path) == {"kept"}
    assert len(backups_in(folder(path))) == 2


async def test_without_a_backup_a_damaged_database_stays_where_it_is_and_stays_damaged(path: Path) -> None:
    tear(path)
    unclean_log(path)
    for _ in range(2):
        with pytest.raises(Damaged, match=r"openclawd restore FILE"):
            async with open_database(path, path.parent / "none"):
                pass
    assert list(kept_damage(path)) == []


async def test_a_disk_that_spoils_it_again_and_again_gets_no_more_copies(path: Path) -> None:
    for second in range(3):
        path.with_name(f"{path.name}.damaged-20991122T23000{second}Z").touch()
    zeros_first_page(path)
    with pytest.raises(Damaged, match=r"4th time within a day.*dmesg"):
        await reopened(path)


async def test_the_database_of_another_program_is_left_alone(path: Path) -> None:
    remove(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    before = content_of(path)
    with pytest.raises(StoreError, match="another program") as refused:
        await reopened(path)
    assert not isinstance(refused.value, Damaged)
    assert content_of(path) == before


async def test_a_database_of_ours_that_lacks_a_table_is_a_damaged_one(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE messages")
    # What can be read of it is brought over into its backup.
    assert await reopened(path) == {"kept", "later"}
    assert list(kept_damage(path))


async def test_an_empty_file_where_nothing_was_ever_is_a_beginning(tmp_path: Path) -> None:
    path = tmp_path / "openclawd.sqlite3"
    path.touch()
    assert await reopened(path) == set()


async def test_a_database_that_is_gone_is_not_brought_back_unasked(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    remove(path)
    assert await reopened(path) == set()
    assert "openclawd restore latest brings it back" in caplog.text


# --- the write-ahead log


def ten_transactions(connection: sqlite3.Connection) -> None:
    for number in range(10):
        connection.execute("INSERT INTO facts VALUES (?, 'x')", (str(number),))


def frames_of(path: Path) -> int:
    return (log_of(path).stat().st_size - 32) // (PAGE + 24)


def spoil_frame(path: Path, number: int) -> None:
    content = bytearray(log_of(path).read_bytes())
    content[32 + number * (PAGE + 24) + 24 + 100] ^= 0xFF
    log_of(path).write_bytes(content)


async def test_a_log_that_is_damaged_in_its_middle_is_told_and_kept(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    crash(path, ten_transactions)
    spoil_frame(path, frames_of(path) // 2)
    log = log_of(path).read_bytes()
    found = await reopened(path)
    assert {"kept", "later", "0"} <= found
    assert "9" not in found
    assert "the last writes are missing" in caplog.text
    (kept,) = path.parent.glob(f"{path.name}-wal.damaged-*")
    assert kept.read_bytes() == log
    assert ["its log was damaged" in each.said for each in kept_damage(path)] == [True]


async def test_a_log_whose_header_is_damaged_is_told_too(path: Path) -> None:
    crash(path, ten_transactions)
    log_of(path).write_bytes(b"\xff" + log_of(path).read_bytes()[1:])
    assert await reopened(path) == {"kept", "later"}
    assert len(list(kept_damage(path))) == 1


async def test_a_last_transaction_that_a_power_cut_tore_was_never_acknowledged(path: Path) -> None:
    crash(path, ten_transactions)
    spoil_frame(path, frames_of(path) - 1)
    assert "8" in await reopened(path)
    assert list(kept_damage(path)) == []


async def test_frames_of_a_log_that_was_begun_anew_are_no_loss(path: Path) -> None:
    def begin_anew(connection: sqlite3.Connection) -> None:
        ten_transactions(connection)
        connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        connection.execute("INSERT INTO facts VALUES ('anew', 'x')")

    crash(path, begin_anew)
    salts = {struct.unpack(">2I", log_of(path).read_bytes()[32 + n * (PAGE + 24) + 8 :][:8]) for n in (0, 9)}
    assert len(salts) == 2, "there are frames from before"
    assert "anew" in await reopened(path)
    assert list(kept_damage(path)) == []


def test_without_a_log_nothing_is_lost(tmp_path: Path) -> None:
    assert lost_transactions(tmp_path / "openclawd.sqlite3", 0) == 0


def in_trouble(database: Database) -> bool:
    return database.trouble is not None


async def trouble(database: Database) -> None:
    pages = await database.read(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await database.read(lambda c: c.execute(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(StoreError, match="full"):
        await database.write(lambda c: c.execute("INSERT INTO facts VALUES ('big', zeroblob(999999))"))


async def test_who_only_reads_is_answered_beside_writers_that_fail(path: Path) -> None:
    async with open_database(path) as database:
        await database.read(lambda c: c.execute("PRAGMA query_only = ON"))
        refused, told = 0, []

        async def write(number: int) -> None:
            nonlocal refused
            with pytest.raises(StoreError):
                await put(database, str(number))
            refused += 1

        async def read() -> None:
            told.append(await database.read(names))

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(write, number)
                nursery.start_soon(read)
    assert refused == 20
    assert told == [{"kept", "later"}] * 20


async def test_trouble_lasts_until_something_is_written(path: Path) -> None:
    async with open_database(path) as database:
        await trouble(database)
        assert in_trouble(database)
        assert database.troubled.is_set()
        await database.write(lambda c: c.execute("DELETE FROM facts WHERE name = 'unknown'"))
        assert in_trouble(database), "that needed no room"
        await put(database, "small")
        assert not in_trouble(database)
    assert facts(path) == {"kept", "later", "small"}
