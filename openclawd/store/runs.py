"""The durable queue: every accepted message, its place in the order, and its one outcome.

A run is accepted, and its message written, in one transaction. It is claimed (and the attempt counted)
before the model is called, and finished together with the answer. So after a crash each run is either
finished, or still here to be done, and nobody has to guess which.
"""

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

import attrs
import orjson

from openclawd.store.database import Database
from openclawd.store.records import (
    Accepted,
    Ending,
    Message,
    RunKind,
    RunOptions,
    RunRecord,
    RunState,
    Stoppable,
    Submission,
    Unfinished,
)

# A client that retries an idempotency key does so within minutes; a day also covers a laptop that slept.
FINISHED_KEPT_MS: Final = 24 * 60 * 60 * 1000
# Forgotten with each acceptance: more than one, so that the backlog shrinks, few enough to cost nothing.
_FORGOTTEN_AT_ONCE: Final = 20

# The counts of a message's usage, and of its cost.
_TOKENS: Final = ("input", "output", "cacheRead", "cacheWrite")

_COLUMNS: Final = tuple(field.name for field in attrs.fields(RunRecord) if field.name != "options")
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)}, options FROM runs"  # noqa: S608


class RunQueue:
    """Runs of all sessions, in order of acceptance. Every change is on disk when its call returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(self, submission: Submission) -> Accepted:
        """Queue a turn, or store an answered command; an id that is already known changes nothing."""
        return await self._database.write(lambda connection: _accept(connection, submission))

    async def find(self, run_id: str) -> RunRecord | None:
        """The run of this id, unless it is unknown or was finished more than a day ago."""
        return await self._database.read(lambda connection: _find(connection, run_id))

    async def claim(self, session_key: str, now_ms: int) -> RunRecord | None:
        """Mark the session's oldest queued run as running and count the attempt; None if none is queued."""

        def job(connection: sqlite3.Connection) -> RunRecord | None:
            oldest = connection.execute(
                "SELECT seq FROM runs WHERE session_key = ? AND ended_at_ms IS NULL AND state = 'queued'"
                " ORDER BY seq LIMIT 1",
                (session_key,),
            ).fetchone()
            if oldest is None:
                return None
            connection.execute(
                "UPDATE runs SET state = 'running', attempts = attempts + 1, started_at_ms = ? WHERE seq = ?",
                (now_ms, oldest[0]),
            )
            return _record(connection.execute(f"{_SELECT} WHERE seq = ?", oldest).fetchone())

        return await self._database.write(job)

    async def requeue(self, run_id: str) -> None:
        """Put a running run back and take the attempt back: it was stopped with the process."""

        def job(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE runs SET state = 'queued', attempts = attempts - 1, started_at_ms = NULL"
                " WHERE run_id = ? AND state = 'running'",
                (run_id,),
            )

        await self._database.write(job)

    async def finish(self, run_id: str, ending: Ending, now_ms: int) -> bool:
        """Give a run its outcome and store the answer; false, and nothing changed, if it has one already."""
        return await self._database.write(lambda connection: _finish(connection, run_id, ending, now_ms))

    async def abort_queued(self, session_key: str, run_id: str | None, now_ms: int) -> Stoppable:
        """End the queued runs of a session (or the one named) as aborted, and name the running ones."""

        def job(connection: sqlite3.Connection) -> Stoppable:
            unfinished = select_unfinished(connection, session_key)
            found = [run for run in unfinished if run_id in {None, run.run_id}]
            queued = tuple(run for run in found if run.state is RunState.QUEUED)
            for run in queued:
                _finish(connection, run.run_id, Ending(RunState.ABORTED), now_ms)
            return Stoppable(queued, tuple(run for run in found if run.state is RunState.RUNNING))

        return await self._database.write(job)

    async def recover(self, max_attempts: int) -> Unfinished:
        """After a start: queue again what was running, but for runs that were tried `max_attempts` times."""

        def job(connection: sqlite3.Connection) -> Unfinished:
            connection.execute(
                "UPDATE runs SET state = 'queued', started_at_ms = NULL"
                " WHERE ended_at_ms IS NULL AND state = 'running' AND attempts < ?",
                (max_attempts,),
            )
            rows = connection.execute(f"{_SELECT} WHERE ended_at_ms IS NULL ORDER BY seq").fetchall()
            runs = [_record(row) for row in rows]
            queued = dict.fromkeys(run.session_key for run in runs if run.state is RunState.QUEUED)
            return Unfinished(tuple(queued), tuple(run for run in runs if run.state is RunState.RUNNING))

        return await self._database.write(job)


def select_unfinished(connection: sqlite3.Connection, session_key: str) -> tuple[RunRecord, ...]:
    """The session's queued and running runs, in order; for a job that reads more in the same moment."""
    rows = connection.execute(
        f"{_SELECT} WHERE session_key = ? AND ended_at_ms IS NULL ORDER BY seq",
        (session_key,),
    ).fetchall()
    return tuple(map(_record, rows))


def _accept(connection: sqlite3.Connection, submission: Submission) -> Accepted:
    known = _find(connection, submission.run_id)
    if known is not None:
        return Accepted(known, new=False)
    _forget(connection, submission.accepted_at_ms - FINISHED_KEPT_MS)
    session_id = _touch(connection, submission)
    answered = submission.kind is RunKind.COMMAND
    cursor = connection.execute(
        "INSERT INTO runs (run_id, session_key, session_id, kind, state, timeout_ms,"
        " accepted_at_ms, ended_at_ms, options) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            submission.run_id,
            submission.session_key,
            session_id,
            submission.kind.value,
            (RunState.DONE if answered else RunState.QUEUED).value,
            submission.timeout_ms,
            submission.accepted_at_ms,
            submission.accepted_at_ms if answered else None,
            orjson.dumps(attrs.asdict(submission.options)).decode(),
        ),
    )
    row = connection.execute(f"{_SELECT} WHERE seq = ?", (cursor.lastrowid,)).fetchone()
    run = _record(row)
    _append(connection, run, submission.message, shown=submission.shown)
    connection.executemany(
        "INSERT INTO attachments (attachment_id, session_id, run_seq, media_type, file_name, data)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        [
            (file.attachment_id, session_id, run.seq, file.media_type, file.file_name, file.data)
            for file in submission.attachments
        ],
    )
    return Accepted(run, new=True)


def _touch(connection: sqlite3.Connection, submission: Submission) -> str:
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
    row = connection.execute(
        "SELECT session_id FROM sessions WHERE session_key = ?", (submission.session_key,)
    ).fetchone()
    return str(row[0])


def begin_again(connection: sqlite3.Connection, session_key: str, new_session_id: str) -> None:
    """Give a known session a new conversation; what was chosen for it stays."""
    connection.execute(
        "UPDATE sessions SET session_id = ?, input_tokens = NULL, output_tokens = NULL,"
        " total_tokens = NULL, aborted_last_run = 0, context_from = 0 WHERE session_key = ?",
        (new_session_id, session_key),
    )


def merge_settings(connection: sqlite3.Connection, session_key: str, changes: Mapping[str, Any]) -> None:
    """Change what was chosen for a known session; None takes a choice away."""
    row = connection.execute("SELECT settings FROM sessions WHERE session_key = ?", (session_key,)).fetchone()
    merged = {**orjson.loads(row[0]), **changes}
    kept = {name: value for name, value in merged.items() if value is not None}
    connection.execute(
        "UPDATE sessions SET settings = ? WHERE session_key = ?",
        (orjson.dumps(kept).decode(), session_key),
    )


def _finish(connection: sqlite3.Connection, run_id: str, ending: Ending, now_ms: int) -> bool:
    run = _find(connection, run_id)
    if run is None or run.finished:
        return False
    connection.execute(
        "UPDATE runs SET state = ?, ended_at_ms = ?, error = ? WHERE seq = ?",
        (ending.state.value, now_ms, ending.error, run.seq),
    )
    if ending.message is not None:
        message_id = _append(connection, run, ending.message, shown=True)
        _count(connection, run, message_id, ending.message, now_ms)
        if run.kind is RunKind.COMPACTION and ending.state is RunState.DONE:
            connection.execute(
                "UPDATE sessions SET context_from = ? WHERE session_key = ? AND session_id = ?",
                (message_id, run.session_key, run.session_id),
            )
    # A session that was started afresh meanwhile takes nothing over from the conversation before.
    session = (run.session_key, run.session_id)
    connection.execute(
        "UPDATE sessions SET updated_at_ms = ?, aborted_last_run = ?, provider = coalesce(?, provider),"
        " model = coalesce(?, model) WHERE session_key = ? AND session_id = ?",
        (now_ms, ending.state is RunState.ABORTED, ending.provider, ending.model, *session),
    )
    if (tokens := ending.tokens) is not None:
        connection.execute(
            "UPDATE sessions SET input_tokens = ?, output_tokens = ?, total_tokens = ?"
            " WHERE session_key = ? AND session_id = ?",
            (tokens.input, tokens.output, tokens.total, *session),
        )
    return True


def _append(connection: sqlite3.Connection, run: RunRecord, message: Message, *, shown: bool) -> int:
    cursor = connection.execute(
        "INSERT INTO messages (session_id, run_seq, role, shown, body) VALUES (?, ?, ?, ?, ?)",
        (run.session_id, run.seq, message["role"], shown, orjson.dumps(message).decode()),
    )
    return cursor.lastrowid or 0


def _count(
    connection: sqlite3.Connection, run: RunRecord, message_id: int, message: Message, now_ms: int
) -> None:
    """Keep what a model's answer cost, where the provider counted it."""
    usage = message.get("usage") or {}
    if not usage.get("totalTokens"):
        return
    cost = usage.get("cost") or {}
    connection.execute(
        "INSERT INTO usage (message_id, session_key, session_id, at_ms, took_ms, provider, model, input,"
        " output, cache_read, cache_write, input_cost, output_cost, cache_read_cost, cache_write_cost)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            message_id,
            run.session_key,
            run.session_id,
            now_ms,
            None if run.started_at_ms is None else now_ms - run.started_at_ms,
            message.get("provider", ""),
            message.get("model", ""),
            *(usage[name] for name in _TOKENS),
            *(cost.get(name) for name in _TOKENS),
        ),
    )


def _forget(connection: sqlite3.Connection, before_ms: int) -> None:
    connection.execute(
        "DELETE FROM runs WHERE seq IN (SELECT seq FROM runs"
        " WHERE ended_at_ms IS NOT NULL AND ended_at_ms < ? ORDER BY ended_at_ms LIMIT ?)",
        (before_ms, _FORGOTTEN_AT_ONCE),
    )


def _find(connection: sqlite3.Connection, run_id: str) -> RunRecord | None:
    row = connection.execute(f"{_SELECT} WHERE run_id = ?", (run_id,)).fetchone()
    return None if row is None else _record(row)


def _record(row: tuple[Any, ...]) -> RunRecord:
    *columns, options = row
    fields = dict(zip(_COLUMNS, columns, strict=True))
    kind, state = RunKind(fields.pop("kind")), RunState(fields.pop("state"))
    return RunRecord(**fields, kind=kind, state=state, options=RunOptions(**orjson.loads(options)))
