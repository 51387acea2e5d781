"""Rows of the table of runs."""

import sqlite3
from typing import Any, Final

import attrs
import orjson

from openclawd.store.records import RunKind, RunOptions, RunRecord, RunState

_COLUMNS: Final = tuple(field.name for field in attrs.fields(RunRecord) if field.name != "options")
SELECT_RUNS: Final = f"SELECT {', '.join(_COLUMNS)}, options FROM runs"  # noqa: S608


def find_run(connection: sqlite3.Connection, run_id: str) -> RunRecord | None:
    """The run of this id, as long as it is known."""
    row = connection.execute(f"{SELECT_RUNS} WHERE run_id = ?", (run_id,)).fetchone()
    return None if row is None else run_record(row)


def select_unfinished(connection: sqlite3.Connection, session_key: str) -> tuple[RunRecord, ...]:
    """The session's queued and running runs, in order; for a job that reads more in the same moment."""
    rows = connection.execute(
        f"{SELECT_RUNS} WHERE session_key = ? AND ended_at_ms IS NULL ORDER BY seq",
        (session_key,),
    ).fetchall()
    return tuple(map(run_record, rows))


def every_unfinished(connection: sqlite3.Connection) -> list[RunRecord]:
    """The same for all sessions."""
    # With a bare `seq`, SQLite would read every finished run of the day to save the sorting.
    rows = connection.execute(f"{SELECT_RUNS} WHERE ended_at_ms IS NULL ORDER BY +seq").fetchall()
    return list(map(run_record, rows))


def run_record(row: tuple[Any, ...]) -> RunRecord:
    """What one row of `SELECT_RUNS` says."""
    *columns, options = row
    fields = dict(zip(_COLUMNS, columns, strict=True))
    kind, state = RunKind(fields.pop("kind")), RunState(fields.pop("state"))
    return RunRecord(**fields, kind=kind, state=state, options=RunOptions(**orjson.loads(options)))
