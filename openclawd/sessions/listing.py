"""Which sessions there are, for those who ask: `sessions.list`, `status`, `health` and `/status`."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from openclawd.sessions.keys import agent_of, kind_of
from openclawd.sessions.rows import (
    Chosen,
    list_row,
    preview,
    status_lines,
    status_row,
    summary_row,
    title,
)
from openclawd.sessions.source import ModelSource, window_of
from openclawd.store.conversations import Conversations
from openclawd.store.records import RunState, SessionRecord

# How many of the latest sessions `status` and `health` show, as in stock.
STATUS_RECENT: Final = 10
HEALTH_RECENT: Final = 5
_MINUTE_MS: Final = 60_000


@attrs.frozen
class SessionsQuery:
    """What `sessions.list` is asked for; the wire's names, in snake case."""

    limit: int | None = None
    active_minutes: int | None = None
    include_global: bool = False
    include_unknown: bool = False
    include_derived_titles: bool = False
    include_last_message: bool = False
    label: str | None = None
    spawned_by: str | None = None
    agent_id: str | None = None
    search: str | None = None

    def matches(self, session: SessionRecord, default_agent: str) -> bool:
        """Whether a session is asked for, apart from its age."""
        kind = kind_of(session.key)
        if (kind == "global" and not self.include_global) or (kind == "unknown" and not self.include_unknown):
            return False
        if self.spawned_by is not None:
            # No session is spawned by another in this gateway yet.
            return False
        if self.label is not None and session.label != self.label:
            return False
        if self.agent_id is not None and agent_of(session.key, default_agent) != self.agent_id.lower():
            return False
        wanted = (self.search or "").strip().lower()
        return any(wanted in text.lower() for text in (session.key, session.session_id, session.label or ""))


@attrs.frozen
class StatusSummary:
    """How many sessions, and rows about the latest of them."""

    count: int
    recent: Sequence[dict[str, Any]]


class Listing:
    """Reads the store, knows the models."""

    def __init__(
        self,
        conversations: Conversations,
        models: ModelSource,
        *,
        default_agent: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._conversations = conversations
        self._models = models
        self._default_agent = default_agent
        self._now_ms = now_ms

    async def rows(self, query: SessionsQuery) -> list[dict[str, Any]]:
        """The rows of `sessions.list`, the newest first."""
        since_ms = 0 if query.active_minutes is None else self._now_ms() - query.active_minutes * _MINUTE_MS
        sessions = await self._conversations.sessions(since_ms=since_ms)
        sessions = [session for session in sessions if query.matches(session, self._default_agent)]
        sessions = sessions[: query.limit]
        found = [list_row(session, self._chosen(session.key, session)) for session in sessions]
        if query.include_derived_titles or query.include_last_message:
            glimpses = await self._conversations.glimpses(session.session_id for session in sessions)
            for row, session in zip(found, sessions, strict=True):
                glimpse = glimpses[session.session_id]
                if query.include_derived_titles:
                    row.update(title(session, glimpse))
                if query.include_last_message:
                    row.update(preview(glimpse))
        return found

    async def status(self, agent_id: str | None) -> StatusSummary:
        """The rows of `status`."""
        sessions, now_ms = await self._of_agent(agent_id), self._now_ms()
        recent = [
            status_row(session, self._chosen(session.key, session), self._default_agent, now_ms)
            for session in sessions[:STATUS_RECENT]
        ]
        return StatusSummary(len(sessions), recent)

    async def summary(self, agent_id: str | None) -> StatusSummary:
        """The rows of `health`."""
        sessions, now_ms = await self._of_agent(agent_id), self._now_ms()
        return StatusSummary(
            len(sessions), [summary_row(session, now_ms) for session in sessions[:HEALTH_RECENT]]
        )

    async def lines(self, key: str) -> list[str]:
        """What `/status` says about a session and its queue."""
        session = await self._conversations.session(key)
        unfinished = (await self._conversations.transcript(key, 1)).unfinished
        waiting = sum(run.state is RunState.QUEUED for run in unfinished)
        doing = "answering" if waiting < len(unfinished) else "idle"
        return [
            *status_lines(session, key, self._chosen(key, session)),
            f"Queue: {doing}, {waiting} waiting",
        ]

    async def _of_agent(self, agent_id: str | None) -> list[SessionRecord]:
        sessions = await self._conversations.sessions()
        if agent_id is None:
            return sessions
        return [session for session in sessions if agent_of(session.key, self._default_agent) == agent_id]

    def _chosen(self, key: str, session: SessionRecord | None) -> Chosen:
        if session is not None and session.provider is not None and session.model is not None:
            provider, model = session.provider, session.model
        else:
            default = self._models.default(agent_of(key, self._default_agent))
            provider, model = default.provider, default.model
        return Chosen(provider, model, window_of(self._models, provider, model))
