"""A database of the first schema, as openclawd 0.1 left it, opens and works."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from openclawd.store.conversations import Conversations
from openclawd.store.database import Database, open_database
from openclawd.store.records import Ending, RunKind, RunState, Submission
from openclawd.store.runs import RunQueue
from openclawd.store.spending import Day

KEY = "agent:main:main"
DAY = Day("2026-11-22", 0, 10_000)

FIRST_SCHEMA = """
CREATE TABLE sessions (session_key TEXT PRIMARY KEY, session_id TEXT NOT NULL, label TEXT,
    created_at_ms INTEGER NOT NULL, updated_at_ms INTEGER NOT NULL, provider TEXT, model TEXT,
    input_tokens INTEGER, output_tokens INTEGER, total_tokens INTEGER,
    aborted_last_run INTEGER NOT NULL DEFAULT 0);
CREATE INDEX sessions_by_update ON sessions (updated_at_ms DESC);
CREATE TABLE runs (seq INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL UNIQUE,
    session_key TEXT NOT NULL, session_id TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, timeout_ms INTEGER, accepted_at_ms INTEGER NOT NULL,
    started_at_ms INTEGER, ended_at_ms INTEGER, error TEXT);
CREATE INDEX runs_unfinished ON runs (session_key, seq) WHERE ended_at_ms IS NULL;
CREATE INDEX runs_finished ON runs (ended_at_ms) WHERE ended_at_ms IS NOT NULL;
CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL,
    run_seq INTEGER NOT NULL, role TEXT NOT NULL, shown INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX messages_in_order ON messages (session_id, run_seq, id);
CREATE TABLE devices (device_id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE device_requests (request_id TEXT PRIMARY KEY, document TEXT NOT NULL);

INSERT INTO sessions VALUES ('agent:main:main', 'id-2', NULL, 1, 5, 'p', 'm', 10, 3, 12, 0);
INSERT INTO runs VALUES (1, 'run-1', 'agent:main:main', 'id-1', 'turn', 'done', 1, NULL, 1, 1, 2, NULL);
INSERT INTO runs VALUES (2, 'run-2', 'agent:main:main', 'id-2', 'turn', 'done', 1, NULL, 3, 3, 4, NULL);
INSERT INTO runs VALUES
    (3, 'run-3', 'agent:main:main', 'id-2', 'turn', 'queued', 0, NULL, 5, NULL, NULL, NULL);
INSERT INTO messages VALUES (1, 'id-1', 1, 'user', 1,
    '{"role":"user","content":[{"type":"text","text":"before"}],"timestamp":1}');
INSERT INTO messages VALUES (2, 'id-2', 2, 'user', 0,
    '{"role":"user","content":[{"type":"text","text":"a prompt of ours"}],"timestamp":3}');
INSERT INTO messages VALUES (3, 'id-2', 2, 'assistant', 1,
    '{"role":"assistant","content":[{"type":"text","text":"no"}],"stopReason":"error","timestamp":4}');
INSERT INTO messages VALUES (4, 'id-2', 3, 'user', 1,
    '{"role":"user","content":[{"type":"text","text":"what about  Über?"}],"timestamp":5}');
PRAGMA user_version = 1;
"""


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    path = tmp_path / "state.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST_SCHEMA)
    async with open_database(path) as opened:
        yield opened


async def test_a_session_is_as_it_was_with_nothing_chosen(database: Database) -> None:
    session = await Conversations(database).session(KEY)
    assert session is not None
    assert (session.session_id, session.total_tokens, session.settings) == ("id-2", 12, {})
    assert session.last_run is None


async def test_who_looks_for_conversations_finds_those_from_before(database: Database) -> None:
    session = await Conversations(database).session(KEY)
    assert session is not None
    assert session.last_interaction_at_ms == 5, "when the user last said something that is shown"


async def test_a_list_calls_it_by_what_its_user_said_first(database: Database) -> None:
    page = await Conversations(database).directory.page(lambda _: True)
    assert [listed.session.opening for listed in page.rows] == ["what about Über?"]


async def test_what_was_queued_is_done(database: Database) -> None:
    queue = RunQueue(database)
    assert (await queue.recover(3, 3, 1)).session_keys == (KEY,)
    run = await queue.claim(KEY, 6)
    assert run is not None
    message = {"role": "assistant", "content": [], "timestamp": 7, "usage": {"totalTokens": 0}}
    assert await queue.finish(run.run_id, Ending(RunState.DONE, message=message), 7)
    assert (await Conversations(database).transcript(KEY, 10)).total == 3


async def test_messages_count_on_the_day_on_which_they_were_said(database: Database) -> None:
    report = await Conversations(database).spending.report([DAY])
    counted = [(row.session_key, row.user, row.assistant, row.errors) for row in report.messages]
    assert sorted(counted) == [(KEY, 1, 0, 0), (KEY, 1, 1, 1)], "also of the conversation before"


async def test_deleting_it_removes_the_conversation_before_too(database: Database) -> None:
    conversations = Conversations(database)
    await RunQueue(database).abort_queued(KEY, None, 8)
    assert await conversations.administration.delete(KEY)
    left = await database.read(
        lambda connection: connection.execute("SELECT COUNT(*) FROM messages").fetchone()
    )
    assert left == (0,)


async def test_it_takes_new_messages_with_settings(database: Database) -> None:
    await RunQueue(database).accept(
        Submission(
            run_id="run-4",
            session_key=KEY,
            kind=RunKind.COMMAND,
            accepted_at_ms=9,
            new_session_id="unused",
            message={"role": "assistant", "content": [], "timestamp": 9},
            settings={"model": "p/other"},
        )
    )
    session = await Conversations(database).session(KEY)
    assert session is not None
    assert (session.settings, session.model) == ({"model": "p/other"}, None)
