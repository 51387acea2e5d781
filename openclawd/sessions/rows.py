"""Rows about sessions in stock's shapes (protocol.md 5, 6.1, 7.6), made of what the store has."""

from collections.abc import Sequence
from typing import Any, Final

import attrs

from openclawd.sessions.keys import agent_of, kind_of
from openclawd.sessions.settings import SessionSettings, is_archived, settings_of
from openclawd.sessions.text import shortened
from openclawd.sessions.transcript import text_of
from openclawd.store.directory import Listed
from openclawd.store.records import Message, RunState, SessionRecord

# A title and a preview are one line of a list each; stock cuts titles there, too.
TITLE_CHARS: Final = 60
PREVIEW_CHARS: Final = 120

_SHOWN_SETTINGS: Final = (
    *("thinkingLevel", "verboseLevel", "reasoningLevel", "responseUsage", "sendPolicy", "groupActivation"),
)
# How v4 calls the end of a run.
_STATUS: Final = {RunState.DONE: "done", RunState.ERROR: "failed", RunState.ABORTED: "killed"}


@attrs.frozen(eq=False, repr=False)
class Chosen:
    """The model of a session: the one that was chosen for it, that answered last, or the default."""

    provider: str
    model: str
    window: int | None
    """Its context window in tokens."""
    levels: Sequence[str] = ("off",)
    """How hard it can be told to think, and what it does unasked."""
    level: str = "off"
    by_user: bool = False
    """Whether it was chosen for this session."""

    def thinking(self) -> dict[str, Any]:
        """What a v4 client needs to offer the levels."""
        return {
            "thinkingLevels": [{"id": level, "label": level} for level in self.levels],
            "thinkingOptions": list(self.levels),
            "thinkingDefault": self.level,
        }


def list_row(session: SessionRecord, chosen: Chosen) -> dict[str, Any]:
    """One row of v3's `sessions.list`, without title and preview."""
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
    row |= chosen_levels(session)
    row |= _tokens(session)
    row["totalTokensFresh"] = session.total_tokens is not None
    row["modelProvider"] = chosen.provider
    row["model"] = chosen.model
    if chosen.window is not None:
        row["contextTokens"] = chosen.window
    return row | {"deliveryContext": {"channel": "webchat"}, "lastChannel": "webchat"}


def session_row(
    listed: Listed, chosen: Chosen, *, agent_id: str, is_main: bool, now_ms: int
) -> dict[str, Any]:
    """One row of v4's `sessions.list`: what v3's has, and what is under way in it, costs and marks."""
    session, settings = listed.session, settings_of(listed.session)
    last = session.last_run
    row = list_row(session, chosen) | chosen.thinking()
    row |= {
        "agentId": agent_id,
        "isMain": is_main,
        "isBackground": False,
        "createdAt": session.created_at_ms,
        "archived": is_archived(session),
        "pinned": settings.pinned,
        "unread": _unread(session, settings),
        "modelOverrideSource": "user" if chosen.by_user else None,
        "effectiveResponseUsage": settings.response_usage or "off",
        "hasActiveRun": bool(listed.unfinished),
        "activeRunIds": [run.run_id for run in listed.unfinished],
        "snapshotAt": now_ms,
    }
    marks: dict[str, Any] = {
        "archivedAt": settings.archived_at_ms,
        "pinnedAt": settings.pinned_at_ms,
        "lastReadAt": settings.last_read_at_ms,
        "markedUnreadAt": settings.marked_unread_at_ms,
        "lastInteractionAt": session.last_interaction_at_ms,
        "estimatedCostUsd": listed.cost_usd,
    }
    if last is not None:
        marks["lastActivityAt"] = last.ended_at_ms
        marks["lastRunId"] = last.run_id
        marks["lastRunError"] = last.error
    return row | {name: value for name, value in marks.items() if value is not None} | _run_times(listed)


def entry(session: SessionRecord, chosen: Chosen) -> dict[str, Any]:
    """What `sessions.patch` and `sessions.reset` say of a session: what the store keeps."""
    row = list_row(session, chosen)
    left_out = {"key", "kind", "contextTokens", "chatType"}
    kept = {name: value for name, value in row.items() if name not in left_out}
    settings = settings_of(session)
    if (ref := settings.model_ref) is not None:
        kept |= {"providerOverride": ref.provider, "modelOverride": ref.model, "modelOverrideSource": "user"}
    for name in ("archivedAt", "pinnedAt", "lastReadAt", "markedUnreadAt"):
        if name in session.settings:
            kept[name] = session.settings[name]
    return kept | {"createdAt": session.created_at_ms}


def chosen_levels(session: SessionRecord) -> dict[str, Any]:
    """What was chosen for the session, as far as both wire generations show it."""
    return {name: session.settings[name] for name in _SHOWN_SETTINGS if name in session.settings}


def title(session: SessionRecord) -> dict[str, str]:
    """`derivedTitle`: the label, or the beginning of what the user said first."""
    line = shortened(session.label or session.opening or "", TITLE_CHARS)
    return {"derivedTitle": line} if line else {}


def preview(last: Message | None) -> dict[str, str]:
    """`lastMessagePreview`: the beginning of what was said last."""
    line = shortened(text_of(last), PREVIEW_CHARS) if last is not None else ""
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


def _unread(session: SessionRecord, settings: SessionSettings) -> bool:
    if settings.marked_unread_at_ms is not None:
        return True
    last = session.last_run
    return last is not None and last.ended_at_ms > (settings.last_read_at_ms or 0)


def _run_times(listed: Listed) -> dict[str, Any]:
    """The run that is under way, else the one that waits, else the one that ended last."""
    if listed.unfinished:
        run = min(listed.unfinished, key=lambda run: run.state is not RunState.RUNNING)
        times: dict[str, Any] = {"status": run.state.value, "lastRunId": run.run_id}
        return times if run.started_at_ms is None else times | {"startedAt": run.started_at_ms}
    last = listed.session.last_run
    if last is None:
        return {}
    times = {"status": "timeout" if last.timed_out else _STATUS[last.state], "endedAt": last.ended_at_ms}
    if last.started_at_ms is not None:
        times |= {"startedAt": last.started_at_ms, "runtimeMs": last.ended_at_ms - last.started_at_ms}
    return times
