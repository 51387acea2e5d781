"""The owner thread: group commit, savepoints, durability, and what a bad file is told."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from openclawd.store.database import Database, open_database
from openclawd.store.errors import StoreError
from openclawd.store.schema import MIGRATIONS

ROUNDS_OF_KILLING = 3

# Writes numbers for ever and says each one after it was acknowledged.
_WRITER = """
import sys, trio
from pathlib import Path
from openclawd.store.database import open_database

async def main():
    async with open_database(Path(sys.argv[1])) as database:
        await database.write(lambda c: c.execute("CREATE TABLE IF NOT EXISTS noted (n INTEGER)") and None)
        async def writer(first):
            n = first
            while True:
                await database.write(lambda c, n=n: c.execute("INSERT INTO noted VALUES (?)", (n,)) and None)
                print(n, flush=True)
                n += 16
        async with trio.open_nursery() as nursery:
            for first in range(16):
                nursery.start_soon(writer, first + 1_000_000 * int(sys.argv[2]))

trio.run(main)
"""


async def make_numbers(database: Database) -> None:
    await database.write(lambda connection: connection.execute("CREATE TABLE numbers (n INTEGER UNIQUE)"))


def insert(connection: sqlite3.Connection, number: int) -> int:
    connection.execute("INSERT INTO numbers VALUES (?)", (number,))
    return number


def numbers(connection: sqlite3.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT n FROM numbers ORDER BY n")]


def modes(directory: Path) -> set[int]:
    return {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()}


async def test_what_was_written_is_there_after_a_reopening(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    async with open_database(path) as database:
        await make_numbers(database)
        assert await database.write(lambda connection: insert(connection, 7)) == 7
    async with open_database(path) as database:
        assert await database.read(numbers) == [7]


async def test_commits_and_checkpoints_reach_the_drive_on_macos_too(tmp_path: Path) -> None:
    def settings(connection: sqlite3.Connection) -> list[int]:
        names = ("synchronous", "fullfsync", "checkpoint_fullfsync")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    async with open_database(tmp_path / "state.sqlite3") as database:
        assert await database.read(settings) == [2, 1, 1]


async def test_a_job_that_fails_undoes_itself_and_spoils_no_other(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    async def write(database: Database, number: int) -> None:
        def job(connection: sqlite3.Connection) -> None:
            insert(connection, number)
            if number % 3 == 0:
                raise ValueError(number)

        try:
            await database.write(job)
        except ValueError as error:
            failures.append(error)

    async with open_database(tmp_path / "state.sqlite3") as database:
        await make_numbers(database)
        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(write, database, number)
        assert await database.read(numbers) == [n for n in range(30) if n % 3]
    assert len(failures) == 10


async def test_a_broken_constraint_reaches_its_caller_as_it_is(tmp_path: Path) -> None:
    async with open_database(tmp_path / "state.sqlite3") as database:
        await make_numbers(database)
        await database.write(lambda connection: insert(connection, 1))
        with pytest.raises(sqlite3.IntegrityError):
            await database.write(lambda connection: insert(connection, 1))
        assert await database.write(lambda connection: insert(connection, 2)) == 2


async def test_jobs_that_wait_together_share_one_commit(tmp_path: Path) -> None:
    commits: list[str] = []
    async with open_database(tmp_path / "state.sqlite3") as database:
        await make_numbers(database)

        def trace(connection: sqlite3.Connection) -> None:
            connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)

        await database.read(trace)
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(database.write, lambda connection, n=number: insert(connection, n))
        assert len(await database.read(numbers)) == 200
    assert len(commits) < 100


async def test_jobs_run_in_the_order_of_their_queueing(tmp_path: Path) -> None:
    ran: list[int] = []
    async with open_database(tmp_path / "state.sqlite3") as database, trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(database.write, lambda _, n=number: ran.append(n))
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
    assert ran == list(range(50))


async def test_a_cancelled_writer_still_learns_what_is_on_disk(tmp_path: Path) -> None:
    async with open_database(tmp_path / "state.sqlite3") as database:
        await make_numbers(database)
        with trio.CancelScope() as scope:

            def job(connection: sqlite3.Connection) -> int:
                trio.from_thread.run_sync(scope.cancel, trio_token=token)
                return insert(connection, 1)

            token = trio.lowlevel.current_trio_token()
            assert await database.write(job) == 1
        assert await database.read(numbers) == [1]


async def test_closing_does_what_is_queued_and_refuses_what_comes_after(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    async with trio.open_nursery() as nursery:
        async with open_database(path) as database:
            await make_numbers(database)
            for number in range(20):
                nursery.start_soon(database.write, lambda connection, n=number: insert(connection, n))
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(StoreError, match="closed"):
            await database.write(lambda connection: insert(connection, 99))
    async with open_database(path) as database:
        assert await database.read(numbers) == list(range(20))


async def test_the_files_are_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    path.touch(mode=0o644)
    async with open_database(path) as database:
        await make_numbers(database)
        assert modes(tmp_path) == {0o600}


async def test_a_file_that_is_no_database_is_named_with_what_helps(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    path.write_bytes(b"this was never a database, whatever its name says. " * 50)
    with pytest.raises(StoreError, match=r"state\.sqlite3: the state database is damaged .*mv .*\.damaged"):
        async with open_database(path):
            pass


async def test_a_torn_database_is_an_error_where_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    async with open_database(path) as database:
        await make_numbers(database)
        await database.write(lambda connection: [insert(connection, n) for n in range(5000)])
    content = bytearray(path.read_bytes())
    content[4096 * 12 :] = os.urandom(len(content) - 4096 * 12)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        async with open_database(path) as database:
            await database.read(numbers)


async def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    async with open_database(path):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(StoreError, match="newer openclawd"):
        async with open_database(path):
            pass


async def test_a_directory_that_is_not_there_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        async with open_database(tmp_path / "nowhere" / "state.sqlite3"):
            pass


async def test_a_full_disk_fails_the_writers_and_not_the_database(tmp_path: Path) -> None:
    async with open_database(tmp_path / "state.sqlite3") as database:
        await make_numbers(database)
        pages = await database.read(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
        await database.read(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}"))
        with pytest.raises(StoreError, match="disk is full"):
            await database.write(lambda connection: [insert(connection, n) for n in range(50_000)])
        await database.read(lambda connection: connection.execute("PRAGMA max_page_count = 100000"))
        assert await database.write(lambda connection: insert(connection, 1)) == 1


@pytest.mark.process
def test_killing_the_process_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    acknowledged: set[int] = set()
    for number in range(ROUNDS_OF_KILLING):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path), str(number)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(300):
                acknowledged.add(int(writer.stdout.readline()))
            writer.send_signal(signal.SIGKILL)
            acknowledged.update(int(line) for line in writer.stdout if line.endswith("\n"))
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        stored = {row[0] for row in connection.execute("SELECT n FROM noted")}
        connection.close()
        assert acknowledged <= stored
