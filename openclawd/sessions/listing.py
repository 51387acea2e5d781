"""Which sessions there are, for those who ask: `sessions.list`, `status`, `health` and `/status`."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import attrs

from openclawd.agents.entries import ModelRef
from openclawd.agents.roster import Roster
from openclawd.agents.thinking import thinking_default, thinking_levels
from openclawd.protocol.versions import V4
from openclawd.sessions.keys import agent_of, kind_of
from openclawd.sessions.rows import (
    Chosen,
    list_row,
    preview,
    session_row,
    status_lines,
    status_row,
    summary_row,
    title,
)
from openclawd.sessions.settings import is_archived, settings_of
from openclawd.sessions.source import ModelSource
from openclawd.store.conversations import Conversations
from openclawd.store.directory import Listed
from openclawd.store.records import RunState, SessionRecord

# How many of the latest sessions `status` and `health` show, as in stock.
STATUS_RECENT: Final = 10
HEALTH_RECENT: Final = 5
_MINUTE_MS: Final = 60_000


@attrs.frozen(eq=False, repr=False)
class SessionsQuery:
    """What `sessions.list` is asked for; the wire's names, in snake case."""

    limit: int | None = None
    offset: int = 0
    active_minutes: int | None = None
    include_global: bool = False
    include_unknown: bool = False
    include_derived_titles: bool = False
    include_last_message: bool = False
    label: str | None = None
    spawned_by: str | None = None
    agent_id: str | None = None
    search: str | None = None
    archived: bool | Literal["all"] = False
    require_last_interaction: bool = False
    by_interaction: bool = False
    agents: frozenset[str] | None = None
    """Only sessions of these."""

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
        if self.archived != "all" and is_archived(session) != self.archived:
            return False
        if self.require_last_interaction and session.last_interaction_at_ms is None:
            return False
        agent_id = agent_of(session.key, default_agent)
        if self.agent_id is not None and agent_id != self.agent_id.lower():
            return False
        if self.agents is not None and agent_id not in self.agents:
            return False
        return self._is_found(session)

    def _is_found(self, session: SessionRecord) -> bool:
        wanted = (self.search or "").strip().casefold()
        texts = (session.key, session.session_id, session.label, session.opening)
        return not wanted or any(wanted in text.casefold() for text in texts if text)


@attrs.frozen(eq=False, repr=False)
class RowPage:
    """Rows of `sessions.list` from `offset` on, of `total` that there are."""

    rows: list[dict[str, Any]]
    total: int
    offset: int

    @property
    def next_offset(self) -> int | None:
        """Where the next page begins."""
        end = self.offset + len(self.rows)
        return end if end < self.total else None


@attrs.frozen(eq=False, repr=False)
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
        roster: Roster,
        now_ms: Callable[[], int],
    ) -> None:
        self._conversations = conversations
        self._models = models
        self._default_agent = roster.default_id
        self._main_key = roster.main_session_key
        self._now_ms = now_ms

    async def page(self, query: SessionsQuery, *, generation: int = 4) -> RowPage:
        """The rows of `sessions.list` as that wire generation has them, the newest first."""
        minutes = query.active_minutes
        since_ms = 0 if minutes is None else max(0, self._now_ms() - minutes * _MINUTE_MS)
        page = await self._conversations.directory.page(
            lambda session: query.matches(session, self._default_agent),
            since_ms=since_ms,
            by_interaction=query.by_interaction,
            offset=query.offset,
            limit=query.limit,
            with_last=query.include_last_message,
        )
        rows: list[dict[str, Any]] = []
        choices = _Choices(self._models, self._default_agent)
        for listed in page.rows:
            row = self._row(listed, choices, generation)
            if query.include_derived_titles:
                row |= title(listed.session)
            if query.include_last_message:
                row |= preview(listed.last)
            rows.append(row)
        return RowPage(rows, page.total, query.offset)

    async def row(self, key: str, *, generation: int = 4) -> dict[str, Any] | None:
        """The row of one session, with title and preview; None if there is none."""
        listed = await self._conversations.directory.one(key)
        if listed is None:
            return None
        choices = _Choices(self._models, self._default_agent)
        return self._row(listed, choices, generation) | title(listed.session) | preview(listed.last)

    def _row(self, listed: Listed, choices: "_Choices", generation: int) -> dict[str, Any]:
        session = listed.session
        chosen = choices.of(session.key, session)
        if generation < V4:
            return list_row(session, chosen)
        return session_row(
            listed,
            chosen,
            agent_id=agent_of(session.key, self._default_agent),
            is_main=session.key == self._main_key,
            now_ms=self._now_ms(),
        )

    async def status(self, agent_id: str | None) -> StatusSummary:
        """The rows of `status`."""
        sessions, now_ms = await self._of_agent(agent_id), self._now_ms()
        recent = [
            status_row(session, self.chosen(session.key, session), self._default_agent, now_ms)
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
            *status_lines(session, key, self.chosen(key, session)),
            f"Queue: {doing}, {waiting} waiting",
        ]

    async def _of_agent(self, agent_id: str | None) -> list[SessionRecord]:
        sessions = await self._conversations.sessions()
        if agent_id is None:
            return sessions
        return [session for session in sessions if agent_of(session.key, self._default_agent) == agent_id]

    def chosen(self, key: str, session: SessionRecord | None) -> Chosen:
        """The model that the session with this canonical key speaks to."""
        return _Choices(self._models, self._default_agent).of(key, session)


class _Choices:
    """The models of several sessions; each is looked up once, as a list may be long."""

    def __init__(self, models: ModelSource, default_agent: str) -> None:
        self._models = models
        self._default_agent = default_agent
        self._entries = {entry.ref: entry for entry in models.entries()}
        self._defaults: dict[str, ModelRef] = {}

    def of(self, key: str, session: SessionRecord | None) -> Chosen:
        ref = settings_of(session).model_ref
        by_user = ref is not None
        if ref is None and session is not None and session.provider is not None and session.model is not None:
            ref = ModelRef(session.provider, session.model)
        if ref is None:
            ref = self._default(agent_of(key, self._default_agent))
        entry = self._entries.get(ref)
        if entry is None:
            return Chosen(ref.provider, ref.model, None, by_user=by_user)
        return Chosen(
            ref.provider,
            ref.model,
            entry.context_window,
            levels=thinking_levels(entry),
            level=thinking_default(entry),
            by_user=by_user,
        )

    def _default(self, agent_id: str) -> ModelRef:
        ref = self._defaults.get(agent_id)
        if ref is None:
            ref = self._defaults[agent_id] = self._models.default(agent_id)
        return ref
