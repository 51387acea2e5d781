"""Trying a database without changing it: what this version would make of it is made on a copy."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from openclawd.store.errors import StoreError
from openclawd.store.migrations import migrate
from openclawd.store.schema import MIGRATIONS
from openclawd.store.trial import try_database
from tests.store.test_additions import ADDING, CHANGING
from tests.store.test_migration import FIRST_SCHEMA


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of the first schema, as a gateway that runs has it: most of it is in its log."""
    file = tmp_path / "state.sqlite3"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(FIRST_SCHEMA)
    return file


def spoil(path: Path) -> None:
    """Put a row there that no migration can deal with."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE messages SET body = '{' WHERE id = 4")


def names(path: Path) -> list[str]:
    """What is there beside the database's own files."""
    return sorted(each.name for each in path.parent.iterdir() if not each.name.startswith(path.name))


def test_a_database_that_can_be_brought_further_stays_as_it_is(path: Path) -> None:
    before = path.read_bytes()
    try_database(path)
    assert (path.read_bytes(), names(path)) == (before, [])


def test_the_rows_are_tried_and_not_only_the_tables(path: Path) -> None:
    spoil(path)
    with pytest.raises(StoreError, match="cannot be brought to schema"):
        try_database(path)
    assert names(path) == []


def test_of_what_takes_too_long_to_copy_the_tables_are_tried(path: Path) -> None:
    spoil(path)
    try_database(path, patience_s=-1)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE facts (something TEXT)")
    with pytest.raises(StoreError, match="cannot be brought to schema"):
        try_database(path, patience_s=-1)


def test_one_to_which_a_newer_version_only_added_is_fine(tmp_path: Path) -> None:
    for name, later, fine in (("added", ADDING, True), ("changed", CHANGING, False)):
        path = tmp_path / name
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            migrate(connection, path, migrations=(*MIGRATIONS, later))
        if fine:
            try_database(path)
        else:
            with pytest.raises(StoreError, match="newer openclawd"):
                try_database(path)
