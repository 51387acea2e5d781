"""The tables, as numbered migrations; `PRAGMA user_version` says how many have been applied.

A migration that has been released is never edited. It should only add, so that the version before it still
reads and writes what the version after it made, and an update can be taken back at any time: new tables, new
indexes that forbid nothing, new columns whose default is right for rows of a version that does not know them.
(tests/store/test_additions.py holds each to it.) One that does more says `only_adds=False`: it is not made
while its version is on trial, so that version has to serve on the schema before it, too.

No STRICT tables and no RETURNING: SQLite 3.31 (the oldest that a Python 3.11 meets in practice) knows
neither.
"""

from typing import Final

import attrs


@attrs.frozen(eq=False, repr=False)
class Migration:
    """One step of the schema. `only_adds`: a version that does not know it may still use the database."""

    statements: tuple[str, ...]
    only_adds: bool = True


_FIRST: Final = (
    """
    CREATE TABLE sessions (
        session_key    TEXT PRIMARY KEY,
        session_id     TEXT NOT NULL,
        label          TEXT,
        created_at_ms  INTEGER NOT NULL,
        updated_at_ms  INTEGER NOT NULL,
        provider       TEXT,
        model          TEXT,
        input_tokens   INTEGER,
        output_tokens  INTEGER,
        total_tokens   INTEGER,
        aborted_last_run INTEGER NOT NULL DEFAULT 0
    )
    """,
    "CREATE INDEX sessions_by_update ON sessions (updated_at_ms DESC)",
    # AUTOINCREMENT: a seq orders messages for ever, so it is never given twice, not even after the run is
    # forgotten.
    """
    CREATE TABLE runs (
        seq            INTEGER PRIMARY KEY AUTOINCREMENT,
        run_id         TEXT NOT NULL UNIQUE,
        session_key    TEXT NOT NULL,
        session_id     TEXT NOT NULL,
        kind           TEXT NOT NULL,
        state          TEXT NOT NULL,
        attempts       INTEGER NOT NULL DEFAULT 0,
        timeout_ms     INTEGER,
        accepted_at_ms INTEGER NOT NULL,
        started_at_ms  INTEGER,
        ended_at_ms    INTEGER,
        error          TEXT
    )
    """,
    "CREATE INDEX runs_unfinished ON runs (session_key, seq) WHERE ended_at_ms IS NULL",
    "CREATE INDEX runs_finished ON runs (ended_at_ms) WHERE ended_at_ms IS NOT NULL",
    """
    CREATE TABLE messages (
        id             INTEGER PRIMARY KEY AUTOINCREMENT,
        session_id     TEXT NOT NULL,
        run_seq        INTEGER NOT NULL,
        role           TEXT NOT NULL,
        shown          INTEGER NOT NULL,
        body           TEXT NOT NULL
    )
    """,
    "CREATE INDEX messages_in_order ON messages (session_id, run_seq, id)",
    "CREATE TABLE devices (device_id TEXT PRIMARY KEY, document TEXT NOT NULL)",
    "CREATE TABLE device_requests (request_id TEXT PRIMARY KEY, document TEXT NOT NULL)",
)

_SETTINGS_AND_COSTS: Final = (
    # What was chosen for a session, one JSON object; and where its conversation begins for a model: what
    # stands before was compacted.
    "ALTER TABLE sessions ADD COLUMN settings TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE sessions ADD COLUMN context_from INTEGER NOT NULL DEFAULT 0",
    # How the conversation begins (what a list calls it by and is searched for), when a person last said
    # something, and the last run that ended, one JSON object: a list then reads no messages and no runs.
    "ALTER TABLE sessions ADD COLUMN opening TEXT",
    "ALTER TABLE sessions ADD COLUMN last_interaction_at_ms INTEGER",
    "ALTER TABLE sessions ADD COLUMN last_run TEXT",
    """
    UPDATE sessions SET opening = (
        SELECT opening_of(body) FROM messages
        WHERE messages.session_id = sessions.session_id AND shown = 1 AND role = 'user'
        ORDER BY run_seq, id LIMIT 1
    )
    """,
    # Conversations that a key stood for before, so that all of them go when the session is deleted.
    "CREATE TABLE former_conversations (session_key TEXT NOT NULL, session_id TEXT NOT NULL)",
    "CREATE INDEX former_conversations_of_session ON former_conversations (session_key)",
    """
    INSERT INTO former_conversations SELECT DISTINCT session_key, session_id FROM runs
    WHERE session_id NOT IN (SELECT session_id FROM sessions)
    """,
    # When a message was said and whether it tells of a failure, so that days are counted without reading any;
    # what was never shown has no time and counts nowhere.
    "ALTER TABLE messages ADD COLUMN at_ms INTEGER",
    "ALTER TABLE messages ADD COLUMN failed INTEGER NOT NULL DEFAULT 0",
    "UPDATE messages SET at_ms = said_at(body), failed = has_failed(body) WHERE shown = 1",
    "CREATE INDEX messages_by_time ON messages (at_ms, session_id, role, failed)",
    """
    UPDATE sessions SET last_interaction_at_ms = (
        SELECT MAX(at_ms) FROM messages WHERE messages.session_id = sessions.session_id AND role = 'user'
    )
    """,
    # A long conversation is counted for every page of it, which must not read its bodies.
    "CREATE INDEX messages_shown ON messages (session_id, run_seq, id) WHERE shown = 1",
    "ALTER TABLE runs ADD COLUMN options TEXT NOT NULL DEFAULT '{}'",
    # Beside the messages, which are read far more often than what is attached to them.
    """
    CREATE TABLE attachments (
        attachment_id  TEXT PRIMARY KEY,
        session_id     TEXT NOT NULL,
        run_seq        INTEGER NOT NULL,
        media_type     TEXT NOT NULL,
        file_name      TEXT,
        data           BLOB NOT NULL
    )
    """,
    "CREATE INDEX attachments_of_session ON attachments (session_id)",
    # A copy of what the messages say, as it is added up by day and outlives them. Costs are US dollars, NULL
    # where the model's prices are unknown.
    """
    CREATE TABLE usage (
        message_id       INTEGER PRIMARY KEY,
        session_key      TEXT NOT NULL,
        session_id       TEXT NOT NULL,
        at_ms            INTEGER NOT NULL,
        took_ms          INTEGER,
        provider         TEXT NOT NULL,
        model            TEXT NOT NULL,
        input            INTEGER NOT NULL,
        output           INTEGER NOT NULL,
        cache_read       INTEGER NOT NULL,
        cache_write      INTEGER NOT NULL,
        input_cost       REAL,
        output_cost      REAL,
        cache_read_cost  REAL,
        cache_write_cost REAL
    )
    """,
    "CREATE INDEX usage_by_time ON usage (at_ms)",
    "CREATE INDEX usage_of_session ON usage (session_id)",
)

_LIMITS_AND_FACTS: Final = (
    # What each source has tried to guess; `digests` are keyed with a fact, and tell nobody what was tried.
    """
    CREATE TABLE limits (
        source         TEXT NOT NULL,
        kind           TEXT NOT NULL,
        spent          REAL NOT NULL,
        updated_at_ms  INTEGER NOT NULL,
        seen_at_ms     INTEGER NOT NULL,
        digests        BLOB NOT NULL,
        PRIMARY KEY (source, kind)
    )
    """,
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL)",
)

_INTERRUPTIONS: Final = (
    # How often a run was put back in the middle.
    "ALTER TABLE runs ADD COLUMN interruptions INTEGER NOT NULL DEFAULT 0",
    # What happened around a session and its model was not told; `run_seq` is the run that tells it.
    """
    CREATE TABLE system_events (
        id             INTEGER PRIMARY KEY AUTOINCREMENT,
        session_key    TEXT NOT NULL,
        text           TEXT NOT NULL,
        at_ms          INTEGER NOT NULL,
        run_seq        INTEGER
    )
    """,
    "CREATE INDEX system_events_of_session ON system_events (session_key, id)",
)

MIGRATIONS: Final = tuple(
    Migration(statements) for statements in (_FIRST, _SETTINGS_AND_COSTS, _LIMITS_AND_FACTS, _INTERRUPTIONS)
)
