"""What accepting a message and ending a run change in the table of sessions."""

import sqlite3
from collections.abc import Mapping
from typing import Any

import attrs
import orjson

from openclawd.store.message_facts import opening_of
from openclawd.store.records import Ending, LastRun, RunKind, RunRecord, RunState, Submission


def touch(connection: sqlite3.Connection, submission: Submission) -> str:
    """Make sure that the session exists, as a fresh one if asked; returns its id."""
    now_ms = submission.accepted_at_ms
    connection.execute(
        "INSERT INTO sessions (session_key, session_id, created_at_ms, updated_at_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (session_key) DO UPDATE SET updated_at_ms = excluded.updated_at_ms",
        (submission.session_key, submission.new_session_id, now_ms, now_ms),
    )
    if submission.fresh:
        begin_again(connection, submission.session_key, submission.new_session_id)
    if submission.settings:
        merge_settings(connection, submission.session_key, submission.settings)
    if submission.kind is RunKind.TURN:
        opening = opening_of(submission.message) if submission.shown else ""
        connection.execute(
            "UPDATE sessions SET last_interaction_at_ms = ?, opening = coalesce(opening, ?)"
            " WHERE session_key = ?",
            (now_ms, opening or None, submission.session_key),
        )
    row = connection.execute(
        "SELECT session_id FROM sessions WHERE session_key = ?", (submission.session_key,)
    ).fetchone()
    return str(row[0])


def begin_again(connection: sqlite3.Connection, session_key: str, new_session_id: str) -> None:
    """Give a known session a new conversation, unless it is that already; what was chosen for it stays."""
    connection.execute(
        "INSERT INTO former_conversations (session_key, session_id)"
        " SELECT session_key, session_id FROM sessions WHERE session_key = ? AND session_id <> ?",
        (session_key, new_session_id),
    )
    connection.execute(
        "UPDATE sessions SET session_id = ?, input_tokens = NULL, output_tokens = NULL,"
        " total_tokens = NULL, aborted_last_run = 0, context_from = 0, opening = NULL, last_run = NULL"
        " WHERE session_key = ?",
        (new_session_id, session_key),
    )


def merge_settings(connection: sqlite3.Connection, session_key: str, changes: Mapping[str, Any]) -> None:
    """Change what was chosen for a known session; None takes a choice away.

    With another model, the one that answered last is no longer the session's.
    """
    row = connection.execute("SELECT settings FROM sessions WHERE session_key = ?", (session_key,)).fetchone()
    merged = {**orjson.loads(row[0]), **changes}
    kept = {name: value for name, value in merged.items() if value is not None}
    connection.execute(
        "UPDATE sessions SET settings = ? WHERE session_key = ?",
        (orjson.dumps(kept).decode(), session_key),
    )
    if "model" in changes:
        connection.execute(
            "UPDATE sessions SET provider = NULL, model = NULL WHERE session_key = ?", (session_key,)
        )


def note_outcome(connection: sqlite3.Connection, run: RunRecord, ending: Ending, now_ms: int) -> None:
    """Keep in the session how its last run ended, and which model answered."""
    # A session that was started afresh meanwhile takes nothing over from the conversation before.
    session = (run.session_key, run.session_id)
    last = LastRun(run.run_id, ending.state, ending.timed_out, run.started_at_ms, now_ms, ending.error)
    connection.execute(
        "UPDATE sessions SET updated_at_ms = ?, aborted_last_run = ?, provider = coalesce(?, provider),"
        " model = coalesce(?, model), last_run = ? WHERE session_key = ? AND session_id = ?",
        (
            now_ms,
            ending.state is RunState.ABORTED,
            ending.provider,
            ending.model,
            orjson.dumps(attrs.asdict(last)).decode(),
            *session,
        ),
    )
    if (tokens := ending.tokens) is not None:
        # What a summary leaves in the model's context nobody has counted yet.
        total = None if run.kind is RunKind.COMPACTION else tokens.total
        connection.execute(
            "UPDATE sessions SET input_tokens = ?, output_tokens = ?, total_tokens = ?"
            " WHERE session_key = ? AND session_id = ?",
            (tokens.input, tokens.output, total, *session),
        )
