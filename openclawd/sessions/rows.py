"""Rows about sessions in stock's shapes (protocol.md 5, 6.1, 7.6), made of what the store has."""

from typing import Any, Final

import attrs

from openclawd.sessions.keys import agent_of, kind_of
from openclawd.sessions.text import shortened
from openclawd.sessions.transcript import text_of
from openclawd.store.records import Glimpse, SessionRecord

# A title and a preview are one line of a list each; stock cuts titles there, too.
TITLE_CHARS: Final = 60
PREVIEW_CHARS: Final = 120


@attrs.frozen
class Chosen:
    """The model of a session: the one that answered last, or the default, and its context window."""

    provider: str
    model: str
    window: int | None


def list_row(session: SessionRecord, chosen: Chosen) -> dict[str, Any]:
    """One row of `sessions.list`, without title and preview."""
    kind = kind_of(session.key)
    row: dict[str, Any] = {"key": session.key, "kind": kind}
    if session.label is not None:
        row["label"] = session.label
    if kind == "direct":
        row["chatType"] = kind
        row["origin"] = {"provider": "webchat", "surface": "webchat", "chatType": kind}
    row["updatedAt"] = session.updated_at_ms
    row["sessionId"] = session.session_id
    row["abortedLastRun"] = session.aborted_last_run
    row |= _tokens(session)
    row["totalTokensFresh"] = session.total_tokens is not None
    row["modelProvider"] = chosen.provider
    row["model"] = chosen.model
    if chosen.window is not None:
        row["contextTokens"] = chosen.window
    return row | {"deliveryContext": {"channel": "webchat"}, "lastChannel": "webchat"}


def title(session: SessionRecord, glimpse: Glimpse) -> dict[str, str]:
    """`derivedTitle`: the label, or the beginning of what the user said first."""
    first = text_of(glimpse.first_user) if glimpse.first_user is not None else ""
    line = shortened(session.label or first, TITLE_CHARS)
    return {"derivedTitle": line} if line else {}


def preview(glimpse: Glimpse) -> dict[str, str]:
    """`lastMessagePreview`: the beginning of what was said last."""
    line = shortened(text_of(glimpse.last), PREVIEW_CHARS) if glimpse.last is not None else ""
    return {"lastMessagePreview": line} if line else {}


def summary_row(session: SessionRecord, now_ms: int) -> dict[str, Any]:
    """One row of `health.sessions.recent`."""
    updated_at = session.updated_at_ms
    return {"key": session.key, "updatedAt": updated_at, "age": max(0, now_ms - updated_at)}


def status_row(session: SessionRecord, chosen: Chosen, default_agent: str, now_ms: int) -> dict[str, Any]:
    """One row of `status.sessions.recent`."""
    remaining = percent = None
    if session.total_tokens is not None and chosen.window:
        remaining = max(0, chosen.window - session.total_tokens)
        percent = round(100 * session.total_tokens / chosen.window)
    return {
        "agentId": agent_of(session.key, default_agent),
        **summary_row(session, now_ms),
        "kind": kind_of(session.key),
        "sessionId": session.session_id,
        "abortedLastRun": session.aborted_last_run,
        **_tokens(session),
        "totalTokens": session.total_tokens,
        "totalTokensFresh": session.total_tokens is not None,
        "remainingTokens": remaining,
        "percentUsed": percent,
        "model": chosen.model,
        "contextTokens": chosen.window,
        "flags": [*(["aborted"] if session.aborted_last_run else []), f"id:{session.session_id}"],
    }


def status_lines(session: SessionRecord | None, key: str, chosen: Chosen) -> list[str]:
    """What `/status` says about a session."""
    lines = [f"Model: {chosen.provider}/{chosen.model}", f"Session: {key}"]
    if session is not None and session.input_tokens is not None:
        lines.append(f"Last turn: {session.input_tokens} tokens in, {session.output_tokens} out")
    if session is not None and session.total_tokens is not None and chosen.window:
        share = round(100 * session.total_tokens / chosen.window)
        lines.append(f"Context: {session.total_tokens} of {chosen.window} tokens ({share}%)")
    return lines


def _tokens(session: SessionRecord) -> dict[str, int]:
    counts = {
        "inputTokens": session.input_tokens,
        "outputTokens": session.output_tokens,
        "totalTokens": session.total_tokens,
    }
    return {name: count for name, count in counts.items() if count is not None}
