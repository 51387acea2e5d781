"""Writing messages, and what they cost."""

import sqlite3
from typing import Final

import orjson

from openclawd.store.message_facts import has_failed, said_at
from openclawd.store.records import Message, RunRecord, StoredMessage

# The counts of a message's usage, and of its cost.
_TOKENS: Final = ("input", "output", "cacheRead", "cacheWrite")


def place(run_seq: int, role: str) -> int:
    """Where a message stands in its transcript: behind what was accepted before it, question first."""
    return 2 * run_seq + (role != "user")


def append(connection: sqlite3.Connection, run: RunRecord, message: Message, *, shown: bool) -> StoredMessage:
    """Write a message of a run behind those that are there."""
    cursor = connection.execute(
        "INSERT INTO messages (session_id, run_seq, role, shown, body, at_ms, failed)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            run.session_id,
            run.seq,
            message["role"],
            shown,
            orjson.dumps(message).decode(),
            said_at(message) if shown else None,
            has_failed(message),
        ),
    )
    return StoredMessage(cursor.lastrowid or 0, place(run.seq, message["role"]), message)


def count_usage(
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
