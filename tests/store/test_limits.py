"""What sources have tried to guess survives a restart."""

import logging
import sqlite3
from pathlib import Path

import pytest

from openclawd.store.database import Database, open_database
from openclawd.store.limits import LimitStore, StoredLimit

ROW = StoredLimit("203.0.113.7", "token", 2.5, 1_000, 2_000, (b"\x01" * 16, b"\x02" * 16))


async def test_rows_are_there_after_a_restart_as_they_were_saved_last(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    other = StoredLimit("2001:db8::/64", "password", 1.0, 3_000, 3_000, ())
    async with open_database(path) as database:
        await LimitStore(database).save([StoredLimit("203.0.113.7", "token", 9.0, 1, 1, ()), other], [])
        await LimitStore(database).save([ROW], [("2001:db8::/64", "password"), ("nobody", "token")])
    async with open_database(path) as database:
        assert await LimitStore(database).load() == (ROW,)


async def test_replacing_leaves_no_other_row(tmp_path: Path) -> None:
    async with open_database(tmp_path / "state.sqlite3") as database:
        store = LimitStore(database)
        await store.save([StoredLimit("203.0.113.8", "token", 9.0, 1, 1, ())], [])
        await store.replace([ROW])
        assert await store.load() == (ROW,)


async def test_a_row_that_cannot_be_read_is_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_database(tmp_path / "state.sqlite3") as database:
        await LimitStore(database).save([ROW], [])
        await _execute(database, "INSERT INTO limits VALUES ('a', 'token', 'many', 1, 1, x'')")
        await _execute(database, "INSERT INTO limits VALUES ('b', 'token', 1.0, 1, 1, x'10ff')")
        with caplog.at_level(logging.WARNING):
            assert await LimitStore(database).load() == (ROW,)
    assert [record.message for record in caplog.records] == ["limits not readable"]


async def _execute(database: Database, statement: str) -> None:
    def job(connection: sqlite3.Connection) -> None:
        connection.execute(statement)

    await database.write(job)
