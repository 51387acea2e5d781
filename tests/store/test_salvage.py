"""What is brought over from a damaged database into the backup that takes its place."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from openclawd.store.conversations import Conversations
from openclawd.store.database import Database, open_database
from openclawd.store.integrity import mark
from openclawd.store.records import Ending, RunState
from openclawd.store.runs import RunQueue
from openclawd.store.salvage import salvage
from tests.store.test_backup import backed_up, put
from tests.store.test_integrity import names
from tests.store.test_runs import KEY, said, turn

PAGE = 4096
# Two a page: a leaf that is lost takes few others along.
LONG = "x" * 1500
BEFORE, AFTER = 3, 9


async def answer(database: Database, run_id: str) -> None:
    """Accept a message and answer it; both are told apart from all others, and long."""
    queue = RunQueue(database)
    await queue.accept(turn(f"{run_id} {LONG}"))
    await queue.claim(KEY, 1)
    message = said(f"to {run_id} {LONG}", "assistant")
    await queue.finish(f"{run_id} {LONG}", Ending(RunState.DONE, message=message), 2)


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A closed database with the answered runs `r00` to `r11`, and a backup of the first 3 of them. The
    facts `gone` and `kept` were before it; then `gone` went.
    """
    path = tmp_path / "openclawd.sqlite3"
    async with open_database(path) as database:
        for number in range(BEFORE):
            await answer(database, f"r{number:02}")
        await put(database, "gone")
        await put(database, "kept")
    backed_up(path)
    async with open_database(path) as database:
        for number in range(BEFORE, BEFORE + AFTER):
            await answer(database, f"r{number:02}")
        await database.write(lambda connection: connection.execute("DELETE FROM facts WHERE name = 'gone'"))
    return path


def spoil_root(path: Path, name: str) -> None:
    """The first page of a table or an index; the next start looks at everything."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (page,) = connection.execute(query, (name,)).fetchone()
    data = path.read_bytes()
    path.write_bytes(data[: (page - 1) * PAGE] + os.urandom(PAGE) + data[page * PAGE :])
    mark(path)


def spoil(path: Path, content: bytes) -> None:
    """The pages that hold `content`; the next start looks at everything."""
    data = bytearray(path.read_bytes())
    found = data.find(content)
    assert found >= 0
    while found >= 0:
        start = found // PAGE * PAGE
        data[start : start + PAGE] = os.urandom(PAGE)
        found = data.find(content, start + PAGE)
    path.write_bytes(data)
    mark(path)


async def texts(database: Database) -> list[str]:
    found = (await Conversations(database).transcript(KEY, 1000)).messages
    return [stored.body["content"][0]["text"].removesuffix(LONG).strip() for stored in found]


def all_texts() -> list[str]:
    names = [f"r{number:02}" for number in range(BEFORE + AFTER)]
    return [text for name in names for text in (name, f"to {name}")]


def reopened(path: Path) -> Database:
    return open_database(path, path.parent / "backups")


async def test_damage_elsewhere_costs_no_message(path: Path) -> None:
    spoil_root(path, "messages_in_order")

    async with reopened(path) as database:
        assert await texts(database) == all_texts()
        assert await database.read(names) >= {"kept"}


@pytest.mark.parametrize("lost", ["to r07", "to r11", "to r00"])
async def test_of_a_page_in_the_middle_only_its_own_messages_are_missing(path: Path, lost: str) -> None:
    spoil(path, f"{lost} ".encode())

    async with reopened(path) as database:
        found = await texts(database)

    missing = [text for text in all_texts() if text not in found]
    assert len(missing) <= 4
    assert found == [text for text in all_texts() if text not in missing]
    # What the backup has comes from there.
    assert all(int(text[-2:]) >= BEFORE for text in missing)


async def test_who_was_answered_is_not_answered_again(path: Path) -> None:
    async with open_database(path) as database:
        queue = RunQueue(database)
        await queue.accept(turn("waits"))
        await queue.accept(turn("was put back"))
    backed_up(path, now_ms=4_000_000_000_000)
    async with open_database(path) as database:
        queue = RunQueue(database)
        await queue.claim(KEY, 1)
        await queue.finish("waits", Ending(RunState.DONE, message=said("to waits", "assistant")), 2)
        await answer(database, "r12")
    spoil_root(path, "runs")

    async with reopened(path) as database:
        queue = RunQueue(database)
        done = await queue.find("waits")
        waiting = await queue.find("was put back")
        assert (await texts(database))[-1] == "to r12"

    assert done is not None
    assert done.state is RunState.DONE
    assert waiting is not None
    assert waiting.state is RunState.QUEUED


async def test_what_was_deleted_since_the_backup_stays_deleted(path: Path) -> None:
    spoil(path, b"to r07 ")

    async with reopened(path) as database:
        assert "gone" not in await database.read(names)


async def test_a_session_whose_row_is_lost_has_its_conversation(path: Path) -> None:
    async with open_database(path) as database:
        queue = RunQueue(database)
        await queue.accept(turn("in another session", key="agent:main:new"))
    spoil_root(path, "sessions")

    async with reopened(path) as database:
        found = await Conversations(database).transcript("agent:main:new", 10)

    assert [stored.body["content"][0]["text"] for stored in found.messages] == ["in another session"]


async def test_without_time_the_backup_is_as_it_was(path: Path, tmp_path: Path) -> None:
    async with open_database(tmp_path / "other.sqlite3") as database:
        await put(database, "its own")

    assert salvage(path, tmp_path / "other.sqlite3", limit_s=-1) is None

    async with open_database(tmp_path / "other.sqlite3") as database:
        assert "its own" in await database.read(names)
        assert await texts(database) == []


async def test_of_another_schema_nothing_is_taken(path: Path, tmp_path: Path) -> None:
    async with open_database(tmp_path / "other.sqlite3"):
        pass
    with closing(sqlite3.connect(tmp_path / "other.sqlite3")) as connection:
        connection.execute("PRAGMA user_version = 1")

    assert salvage(path, tmp_path / "other.sqlite3") is None
