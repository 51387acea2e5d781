"""The durable queue: every accepted message, its place in the order, and its one outcome.

A run is accepted, and its message written, in one transaction. It is claimed (and the attempt counted)
before the model is called, and finished together with the answer. So after a crash each run is either
finished, or still here to be done, and nobody has to guess which.
"""

import sqlite3
from typing import Final

import attrs
import orjson

from openclawd.store.appending import append, count_usage
from openclawd.store.database import Database
from openclawd.store.errors import ConversationChanged
from openclawd.store.records import (
    Accepted,
    Ending,
    Finished,
    RunKind,
    RunRecord,
    RunState,
    Stoppable,
    StoredMessage,
    Submission,
    Unfinished,
)
from openclawd.store.run_rows import SELECT_RUNS, every_unfinished, find_run, run_record, select_unfinished
from openclawd.store.session_changes import note_outcome, touch
from openclawd.store.tool_calls import settle_tool_calls

# A client that retries an idempotency key does so within minutes; a day also covers a laptop that slept.
FINISHED_KEPT_MS: Final = 24 * 60 * 60 * 1000
# And these many of the latest, whatever the clock says: it may have been set, and a retry is under way.
FINISHED_KEPT: Final = 1000
# Forgotten with each acceptance: more than one, so that the backlog shrinks, few enough to cost nothing.
_FORGOTTEN_AT_ONCE: Final = 20


class RunQueue:
    """Runs of all sessions, in order of acceptance. Every change is on disk when its call returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(self, submission: Submission) -> Accepted:
        """Queue a turn, or store an answered command; an id that is already known changes nothing.

        Raises ConversationChanged where the submission expects another conversation than there is, or than it
        would begin.
        """
        return await self._database.write(lambda connection: _accept(connection, submission))

    async def find(self, run_id: str) -> RunRecord | None:
        """The run of this id, unless it is unknown or was finished more than a day ago."""
        return await self._database.read(lambda connection: find_run(connection, run_id))

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
            return run_record(connection.execute(f"{SELECT_RUNS} WHERE seq = ?", oldest).fetchone())

        return await self._database.write(job)

    async def requeue(self, run_id: str, now_ms: int) -> None:
        """Put a running run back and take the attempt back: it was interrupted on purpose."""

        def job(connection: sqlite3.Connection) -> None:
            run = find_run(connection, run_id)
            if run is not None and run.state is RunState.RUNNING:
                _put_back(connection, run, now_ms)
                connection.execute("UPDATE runs SET attempts = attempts - 1 WHERE seq = ?", (run.seq,))

        await self._database.write(job)

    async def finish(self, run_id: str, ending: Ending, now_ms: int) -> Finished | None:
        """Give a run its outcome and store the answer; None, and nothing changed, if it has one already."""
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

    async def recover(self, alone: int, together: int, now_ms: int) -> Unfinished:
        """After a start: queue again what was running, but for runs that were tried too often: `alone` times
        for the only one that was running, `together` times where there were several.
        """

        def job(connection: sqlite3.Connection) -> Unfinished:
            running = [run for run in every_unfinished(connection) if run.state is RunState.RUNNING]
            for run in running:
                if run.attempts < (alone if len(running) == 1 else together):
                    _put_back(connection, run, now_ms)
            runs = every_unfinished(connection)
            queued = dict.fromkeys(run.session_key for run in runs if run.state is RunState.QUEUED)
            return Unfinished(tuple(queued), tuple(run for run in runs if run.state is RunState.RUNNING))

        return await self._database.write(job)


def _put_back(connection: sqlite3.Connection, run: RunRecord, now_ms: int) -> None:
    settle_tool_calls(connection, run, now_ms)
    connection.execute(
        "UPDATE runs SET state = 'queued', started_at_ms = NULL, interruptions = interruptions + 1"
        " WHERE seq = ?",
        (run.seq,),
    )


def _accept(connection: sqlite3.Connection, submission: Submission) -> Accepted:
    known = find_run(connection, submission.run_id)
    if known is not None:
        return Accepted(known, new=False)
    _check(connection, submission)
    session_id = touch(connection, submission)
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
    row = connection.execute(f"{SELECT_RUNS} WHERE seq = ?", (cursor.lastrowid,)).fetchone()
    run = run_record(row)
    _forget(connection, run.seq - FINISHED_KEPT, submission.accepted_at_ms - FINISHED_KEPT_MS)
    stored = append(connection, run, submission.message, shown=submission.shown)
    connection.executemany(
        "INSERT INTO attachments (attachment_id, session_id, run_seq, media_type, file_name, data)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        [
            (file.attachment_id, session_id, run.seq, file.media_type, file.file_name, file.data)
            for file in submission.attachments
        ],
    )
    return Accepted(run, new=True, message=stored if submission.shown else None)


def _check(connection: sqlite3.Connection, submission: Submission) -> None:
    if submission.expected_session_id is not None:
        row = connection.execute(
            "SELECT session_id FROM sessions WHERE session_key = ?", (submission.session_key,)
        ).fetchone()
        if row is None:
            if not _is_unused(connection, submission.new_session_id, submission.expected_session_id):
                raise ConversationChanged
        elif row[0] != submission.expected_session_id:
            raise ConversationChanged


def _is_unused(connection: sqlite3.Connection, session_id: str, wanted: str) -> bool:
    """Whether a session that is to begin as conversation `wanted` does, and as nobody else's."""
    taken = connection.execute(
        "SELECT 1 FROM sessions WHERE session_id = :id"
        " UNION ALL SELECT 1 FROM former_conversations WHERE session_id = :id"
        " UNION ALL SELECT 1 FROM messages WHERE session_id = :id LIMIT 1",
        {"id": session_id},
    ).fetchone()
    return session_id == wanted and taken is None


def _finish(connection: sqlite3.Connection, run_id: str, ending: Ending, now_ms: int) -> Finished | None:
    run = find_run(connection, run_id)
    if run is None or run.finished:
        return None
    stored: StoredMessage | None = None
    connection.execute(
        "UPDATE runs SET state = ?, ended_at_ms = ?, error = ? WHERE seq = ?",
        (ending.state.value, now_ms, ending.error, run.seq),
    )
    settle_tool_calls(connection, run, now_ms)
    if ending.message is not None:
        stored = append(connection, run, ending.message, shown=True)
        count_usage(connection, run, stored.id, ending.message, now_ms)
        if run.kind is RunKind.COMPACTION and ending.state is RunState.DONE:
            connection.execute(
                "UPDATE sessions SET context_from = ? WHERE session_key = ? AND session_id = ?",
                (stored.id, run.session_key, run.session_id),
            )
    note_outcome(connection, run, ending, now_ms)
    return Finished(stored)


def _forget(connection: sqlite3.Connection, up_to_seq: int, before_ms: int) -> None:
    connection.execute(
        "DELETE FROM runs WHERE seq IN (SELECT seq FROM runs WHERE ended_at_ms IS NOT NULL"
        " AND ended_at_ms < ? AND seq <= ? ORDER BY ended_at_ms LIMIT ?)",
        (before_ms, up_to_seq, _FORGOTTEN_AT_ONCE),
    )
