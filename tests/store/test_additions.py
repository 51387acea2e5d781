"""Every migration that says it only adds: what it does is watched by SQLite itself, and a version that does
not know it works on what it made.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import attrs
import pytest

from openclawd.store.conversations import Conversations
from openclawd.store.database import Database, open_database
from openclawd.store.errors import Damaged, StoreError
from openclawd.store.kept import kept_damage
from openclawd.store.migrations import OLDEST_READER, Precautions, add_functions, migrate
from openclawd.store.records import Ending, RunKind, RunState, Submission
from openclawd.store.runs import RunQueue
from openclawd.store.schema import MIGRATIONS, Migration
from openclawd.store.trial import try_database
from tests.store.test_backup import backed_up
from tests.store.test_migration import FIRST_SCHEMA

PATH: Final = Path("/state.sqlite3")
KEY: Final = "agent:main:main"
# What SQLite's own tables record of a step that is allowed.
OWN_TABLES: Final = {"sqlite_master", "sqlite_sequence"}


@attrs.frozen
class Column:
    """As `PRAGMA table_info` has it."""

    table: str
    name: str
    required: bool
    default: str | None


def columns_of(connection: sqlite3.Connection) -> list[Column]:
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return [
        Column(table, name, bool(required), default)
        for (table,) in tables
        for _, name, _, required, default, _ in connection.execute(f"PRAGMA table_info({table})")
    ]


def unique_indexes(connection: sqlite3.Connection) -> set[str]:
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {
        f"{table}.{row[1]}"
        for (table,) in tables
        for row in connection.execute(f"PRAGMA index_list({table})")
        if row[2]
    }


class Watch:
    """Allows a migration to change nothing that was there before it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.wrong: list[str] = []
        self._before = columns_of(connection)
        self._tables = {column.table for column in self._before}

    def __call__(self, action: int, first: str | None, second: str | None, *_: object) -> int:
        if action in (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_DELETE):
            wrong = first in self._tables and first not in OWN_TABLES
        elif action == sqlite3.SQLITE_UPDATE:
            wrong = any((first, second) == (column.table, column.name) for column in self._before)
        else:
            wrong = action in {
                sqlite3.SQLITE_DROP_TABLE,
                sqlite3.SQLITE_DROP_INDEX,
                sqlite3.SQLITE_DROP_VIEW,
                sqlite3.SQLITE_CREATE_TRIGGER,
                sqlite3.SQLITE_ATTACH,
            }
        if wrong:
            self.wrong.append(f"action {action} on {first} {second}")
        return sqlite3.SQLITE_OK


def faults_of(connection: sqlite3.Connection, migrations: tuple[Migration, ...]) -> list[str]:
    """What the last of the migrations does beyond adding, on a database that has the others."""
    add_functions(connection)
    for statement in (each for step in migrations[1:-1] for each in step.statements):
        connection.execute(statement)
    before, unique = columns_of(connection), unique_indexes(connection)
    watch = Watch(connection)
    connection.set_authorizer(watch)
    for statement in migrations[-1].statements:
        connection.execute(statement)
    connection.set_authorizer(None)
    after = columns_of(connection)
    known_tables = {column.table for column in before}
    gone = [f"{column} is gone or another" for column in before if column not in after]
    narrow = [
        f"{column} must be given, and an older version does not"
        for column in after
        if column not in before
        and column.table in known_tables
        and column.required
        # A default of NULL is none.
        and column.default in (None, "NULL")
    ]
    forbidding = [
        f"{index} forbids what was allowed"
        for index in unique_indexes(connection) - unique
        if index.split(".")[0] in known_tables
    ]
    return watch.wrong + gone + narrow + forbidding


@pytest.fixture
def oldest() -> Iterator[sqlite3.Connection]:
    """A database of the first schema, with rows."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(FIRST_SCHEMA)
        yield connection


@pytest.mark.parametrize("number", range(2, len(MIGRATIONS) + 1))
def test_a_migration_that_says_it_only_adds_does(oldest: sqlite3.Connection, number: int) -> None:
    assert not MIGRATIONS[number - 1].only_adds or faults_of(oldest, MIGRATIONS[:number]) == []


@pytest.mark.parametrize(
    "statement",
    [
        "DROP INDEX sessions_by_update",
        "DROP TABLE facts",
        "ALTER TABLE sessions RENAME COLUMN label TO title",
        "ALTER TABLE sessions RENAME TO conversations",
        "ALTER TABLE sessions DROP COLUMN label",
        "UPDATE sessions SET label = 'x'",
        "DELETE FROM runs",
        "INSERT INTO facts VALUES ('a', 'b')",
        "CREATE UNIQUE INDEX one_label ON sessions (label)",
        "CREATE TRIGGER noise AFTER INSERT ON runs BEGIN DELETE FROM messages; END",
    ],
)
def test_the_watch_sees_what_more_than_adds(oldest: sqlite3.Connection, statement: str) -> None:
    assert faults_of(oldest, (*MIGRATIONS, Migration((statement,))))


# --- a version that meets a newer database

ADDING: Final = Migration(
    (
        "CREATE TABLE plans (name TEXT)",
        *(
            f"ALTER TABLE {table} ADD COLUMN later TEXT NOT NULL DEFAULT 'new'"
            for table in (
                "sessions",
                "runs",
                "messages",
                "devices",
                "device_requests",
                "former_conversations",
                "attachments",
                "usage",
                "limits",
                "facts",
                "system_events",
            )
        ),
    )
)
CHANGING: Final = Migration(("ALTER TABLE sessions RENAME COLUMN label TO title",), only_adds=False)


def brought_to(path: Path, *later: Migration) -> None:
    """Make a database at `path` as a version with more migrations does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, migrations=(*MIGRATIONS, *later))


def say(run_id: str, at_ms: int) -> Submission:
    message = {"role": "user", "content": [{"type": "text", "text": "hello"}], "timestamp": at_ms}
    return Submission(
        run_id=run_id,
        session_key=KEY,
        kind=RunKind.TURN,
        accepted_at_ms=at_ms,
        new_session_id="id-1",
        message=message,
    )


async def converse(database: Database) -> int:
    """A turn, a new conversation and another one; how many messages the second has."""
    queue, conversations = RunQueue(database), Conversations(database)
    for run_id, at_ms in (("run-1", 1), ("run-2", 5)):
        await queue.accept(say(run_id, at_ms))
        run = await queue.claim(KEY, at_ms + 1)
        assert run is not None
        usage = {"input": 1, "output": 2, "cacheRead": 0, "cacheWrite": 0, "totalTokens": 3}
        answer = {"role": "assistant", "content": [], "timestamp": at_ms + 2, "usage": usage}
        assert await queue.finish(run.run_id, Ending(RunState.DONE, message=answer), at_ms + 3)
        if run_id == "run-1":
            await conversations.administration.reset(KEY, now_ms=4, new_session_id="id-2")
    return (await conversations.transcript(KEY, 10)).total


async def test_a_version_works_on_a_database_to_which_a_newer_one_only_added(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    brought_to(path, ADDING)
    async with open_database(path) as database:
        assert await converse(database) == 2
        assert await database.read(lambda found: found.execute("PRAGMA user_version").fetchone()) == (
            len(MIGRATIONS) + 1,
        ), "it is the newer version's still"


@pytest.mark.parametrize("later", [(CHANGING,), (ADDING, CHANGING), (CHANGING, ADDING)])
async def test_a_version_leaves_alone_what_a_newer_one_changed(
    tmp_path: Path, later: tuple[Migration, ...]
) -> None:
    path = tmp_path / "state.sqlite3"
    brought_to(path, *later)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer openclawd"):
        async with open_database(path):
            pass
    assert path.read_bytes()[100:] == before[100:], "all but the header, where opening it is noted"


@pytest.mark.parametrize("told", [None, b"", b"4", b"9 1", b"5 x", b"\xff\xff"])
async def test_a_newer_database_that_does_not_say_who_may_read_it_is_left_alone(
    tmp_path: Path, told: bytes | None
) -> None:
    path = tmp_path / "state.sqlite3"
    brought_to(path, ADDING)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM facts WHERE name = ?", (OLDEST_READER,))
        if told is not None:
            connection.execute("INSERT INTO facts (name, value) VALUES (?, ?)", (OLDEST_READER, told))
    with pytest.raises(StoreError, match="newer openclawd"):
        async with open_database(path):
            pass


@pytest.mark.parametrize(
    "statement", ["ALTER TABLE sessions DROP COLUMN label", "DROP TABLE limits", "DROP TABLE messages"]
)
async def test_what_a_newer_one_has_taken_away_in_spite_of_what_it_says_comes_back_out_of_the_backup(
    tmp_path: Path, statement: str
) -> None:
    path = tmp_path / "openclawd.sqlite3"
    async with open_database(path) as database:
        assert await converse(database) == 2
    backed_up(path)
    brought_to(path, Migration((statement,)))
    with pytest.raises(Damaged, match="lacks"):
        try_database(path)
    async with open_database(path, tmp_path / "backups") as database:
        assert (await Conversations(database).transcript(KEY, 10)).total == 2
    assert list(kept_damage(path))


# --- the step itself


def test_a_version_on_trial_makes_no_step_that_does_more_than_add(oldest: sqlite3.Connection) -> None:
    later = (*MIGRATIONS, ADDING, CHANGING, ADDING)
    migrate(oldest, PATH, Precautions(only_adding=True), later)
    assert oldest.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)


def test_once_it_is_confirmed_it_makes_the_rest(oldest: sqlite3.Connection) -> None:
    later = (*MIGRATIONS, ADDING, CHANGING)
    migrate(oldest, PATH, Precautions(only_adding=True), later)
    migrate(oldest, PATH, migrations=later)
    assert oldest.execute("SELECT COUNT(title) FROM sessions").fetchone() == (0,)


def test_a_new_database_is_made_whole_even_on_trial() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, PATH, Precautions(only_adding=True), (*MIGRATIONS, CHANGING))
        assert connection.execute("SELECT title FROM sessions").fetchall() == []


@pytest.mark.parametrize("failing", ["INSERT INTO nowhere VALUES (1)", "CREATE TABLE runs (seq)"])
def test_a_step_that_fails_takes_those_before_it_along(oldest: sqlite3.Connection, failing: str) -> None:
    before = oldest.execute("SELECT name, sql FROM sqlite_master").fetchall()
    with pytest.raises(StoreError, match=r"cannot be brought to schema .* is as it was.*update rollback"):
        migrate(oldest, PATH, migrations=(*MIGRATIONS, ADDING, Migration((failing,))))
    assert oldest.execute("SELECT name, sql FROM sqlite_master").fetchall() == before
    assert oldest.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_backup_is_made_before_anything_is_changed_and_only_then(oldest: sqlite3.Connection) -> None:
    seen: list[int] = []
    precautions = Precautions(backup=lambda: seen.append(oldest.execute("PRAGMA user_version").fetchone()[0]))
    migrate(oldest, PATH, precautions)
    migrate(oldest, PATH, precautions)
    assert seen == [1]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as new:
        migrate(new, PATH, precautions)
    assert seen == [1], "a new database has nothing to lose"
