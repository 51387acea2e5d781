"""A row of the table of sessions, and how it is found."""

import sqlite3
from typing import Any, Final

import attrs
import orjson

from openclawd.store.records import LastRun, RunState, SessionRecord

_COLUMNS: Final = (
    *("session_key", "session_id", "label", "created_at_ms", "updated_at_ms", "provider", "model"),
    *("input_tokens", "output_tokens", "total_tokens", "aborted_last_run", "settings", "opening"),
    *("last_interaction_at_ms", "last_run"),
)
_FIELDS: Final = tuple(field.name for field in attrs.fields(SessionRecord))
SELECT_SESSIONS: Final = f"SELECT {', '.join(_COLUMNS)} FROM sessions"  # noqa: S608


def find_session(connection: sqlite3.Connection, session_key: str) -> SessionRecord | None:
    """The session of a key."""
    row = connection.execute(f"{SELECT_SESSIONS} WHERE session_key = ?", (session_key,)).fetchone()
    return None if row is None else session_record(row)


def session_record(row: tuple[Any, ...]) -> SessionRecord:
    """What one row of `SELECT_SESSIONS` says."""
    fields = dict(zip(_FIELDS, row, strict=True))
    last_run = fields["last_run"]
    fields["settings"] = orjson.loads(fields["settings"])
    fields["last_run"] = None if last_run is None else _last_run(orjson.loads(last_run))
    return SessionRecord(**fields)


def _last_run(document: dict[str, Any]) -> LastRun:
    return LastRun(**{**document, "state": RunState(document["state"])})
