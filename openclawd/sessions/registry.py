"""The sessions of the gateway, put together: who writes, who reads, who administers, and who does the work.

A key is made canonical on its way in, so that every client of a conversation speaks of the same one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from uuid import uuid4

import trio

from openclawd.agents.roster import Roster
from openclawd.protocol.errors import invalid_request
from openclawd.protocol.versions import V4
from openclawd.sessions.addresses import Addresses
from openclawd.sessions.admin import Live, SessionAdmin
from openclawd.sessions.answers import Answers
from openclawd.sessions.asking import Asking
from openclawd.sessions.costs import Costs
from openclawd.sessions.finding import Finder
from openclawd.sessions.history import HistoryQuery
from openclawd.sessions.intake import Commands, Intake, Send
from openclawd.sessions.listing import Listing, RowPage, SessionsQuery, StatusSummary
from openclawd.sessions.news import SessionNews
from openclawd.sessions.reading import Reading
from openclawd.sessions.reporter import Publish
from openclawd.sessions.rows import Chosen
from openclawd.sessions.run import StopReason
from openclawd.sessions.session import RETRY_S
from openclawd.sessions.settings import Chooser
from openclawd.sessions.source import ModelSource
from openclawd.sessions.system_events import SystemEvents
from openclawd.sessions.waiting import Waiting
from openclawd.sessions.workers import DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS, Workers
from openclawd.sessions.writing import NewSession, Sent, Writing, acknowledgement
from openclawd.store.conversations import Conversations
from openclawd.store.records import RunRecord, RunState, SessionRecord, StoredMessage
from openclawd.store.runs import RunQueue

__all__ = [  # what callers need beside it
    "MAX_TIMEOUT_MS",
    "Commands",
    "HistoryQuery",
    "NewSession",
    "Send",
    "Sent",
    "Sessions",
    "SessionsQuery",
    "acknowledgement",
]


class Sessions:
    """All sessions. `serve` makes them work; everything else may be called before, during and after."""

    def __init__(
        self,
        runs: RunQueue,
        conversations: Conversations,
        models: ModelSource,
        *,
        roster: Roster,
        publish: Publish,
        news: SessionNews,
        now_ms: Callable[[], int],
        status_lines: Callable[[], Sequence[str]] = tuple,
        timeout_ms: int = DEFAULT_TIMEOUT_MS,
        retry_s: float = RETRY_S,
        new_id: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        self._runs = runs
        self._conversations = conversations
        self._status_lines = status_lines
        self._addresses = Addresses(roster)
        self._news = Waiting(news, runs)
        self.system_events = SystemEvents(conversations.system_events, now_ms)
        self._listing = Listing(conversations, models, roster=roster, now_ms=now_ms)
        self._workers = Workers(
            runs,
            prepare=Asking(conversations, models, roster, now_ms, self.system_events).prepare,
            agent_of=self._addresses.agent_of,
            publish=publish,
            waiting=self._news,
            now_ms=now_ms,
            timeout_ms=timeout_ms,
            retry_s=retry_s,
        )
        self.admin = SessionAdmin(
            conversations,
            runs,
            listing=self._listing,
            chooser=Chooser(models),
            addresses=self._addresses,
            main_key=roster.main_session_key,
            live=Live(self._workers.stop, self._workers.wake, self._workers.wait),
            news=self._news,
            now_ms=now_ms,
            new_id=new_id,
        )
        self.reading = Reading(
            conversations,
            self._listing,
            self._addresses,
            self._workers,
            main_key=roster.main_session_key,
            now_ms=now_ms,
        )
        self.costs = Costs(conversations, self._listing, self._addresses, now_ms)
        self.finder = Finder(conversations, self._addresses)
        answers = Answers(conversations, models, self.admin, self.costs, status=self._status)
        self.writing = Writing(
            runs,
            conversations,
            Intake(conversations, models, self._addresses, answers=answers, now_ms=now_ms, new_id=new_id),
            self._workers,
            self.admin,
            addresses=self._addresses,
            publish=publish,
            news=self._news,
            now_ms=now_ms,
            new_id=new_id,
        )

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work on what is queued, from before this start too, until cancelled or drained."""
        await self._workers.serve(task_status=task_status)

    async def finish(self, within_s: float) -> int:
        """Begin no run any more, and let those under way end within that time; messages are still accepted.

        Returns how many have not; `drain` interrupts them. Nothing is begun afterwards, also when this is
        cancelled before its time, until `go_on`.
        """
        return await self._workers.finish(within_s)

    def go_on(self) -> None:
        """Begin runs again after `finish`: there is no restart after all."""
        self._workers.go_on()

    def set_timeout_ms(self, timeout_ms: int) -> None:
        """How long a run may take, from the next one on, that does not say so itself."""
        self._workers.timeout_ms = timeout_ms

    async def drain(self, within_s: float) -> bool:
        """Stop working now: what is under way is interrupted and goes on at the next start, in its place and
        under its run ids; messages are still accepted. False if some run did not let go in time.
        """
        return await self._workers.drain(within_s)

    async def send(self, send: Send) -> dict[str, object]:
        """Accept a message, or carry out the stop it asks for; the answer of `chat.send`.

        What follows from it is published later than this returns, so that the acknowledgement comes first.
        """
        return acknowledgement(await self.writing.accept(send))

    async def abort(
        self,
        session_key: str,
        run_id: str | None,
        *,
        agent_id: str | None = None,
        origin: Literal["rpc", "stop"] = "rpc",
    ) -> Sequence[str]:
        """Stop one run, or all of the session, running and queued; the ids of those that this stopped."""
        key = self._addresses.key(session_key, agent_id)
        if run_id is not None:
            run = await self._runs.find(run_id)
            if run is None or run.finished:
                return []
            if run.session_key != key:
                raise invalid_request("runId does not match sessionKey")
        return await self._workers.abort(key, run_id, StopReason(origin))

    async def abort_current(self, session_key: str, agent_id: str | None = None) -> Sequence[str]:
        """Stop what the session is doing now, and leave what waits."""
        key = self._addresses.key(session_key, agent_id)
        for run_id in self._workers.running(key):
            return await self._workers.abort(key, run_id, StopReason.RPC)
        return []

    async def wait(self, run_id: str, timeout_s: float) -> RunRecord | None:
        """The run when it has ended; as it stands after that time, None if there is no such run."""
        return await self._workers.wait(run_id, timeout_s)

    async def answer(self, run: RunRecord) -> StoredMessage | None:
        """What was answered in a run."""
        return await self._conversations.messages.answer(run)

    async def run(self, run_id: str) -> RunRecord | None:
        """A run, unless it is unknown or was finished more than a day ago."""
        return await self._runs.find(run_id)

    async def record(self, session_key: str, agent_id: str | None = None) -> SessionRecord | None:
        """What the store has of a session."""
        return await self._conversations.session(self._addresses.key(session_key, agent_id))

    async def key_of(self, session_id: str) -> str | None:
        """The key whose present conversation is called so."""
        found = await self._conversations.directory.by_id(session_id)
        return found[0].key if found else None

    async def describe(self, session_key: str, *, generation: int = V4) -> dict[str, Any] | None:
        """A session as a row of `sessions.list`, with title and preview; None if there is none."""
        return await self._listing.row(self.canonical(session_key), generation=generation)

    async def list(self, query: SessionsQuery, *, generation: int = V4) -> RowPage:
        """A page of the rows of `sessions.list`, the newest first."""
        return await self._listing.page(query, generation=generation)

    def chosen(self, key: str, session: SessionRecord | None) -> Chosen:
        """The model that the session with this canonical key speaks to."""
        return self._listing.chosen(key, session)

    async def status(self, agent_id: str | None = None) -> StatusSummary:
        """How many sessions there are (of one agent), with the rows of `status` for the latest."""
        return await self._listing.status(agent_id)

    async def summary(self, agent_id: str | None = None) -> StatusSummary:
        """The same with the short rows of `health`."""
        return await self._listing.summary(agent_id)

    @property
    def active_runs(self) -> int:
        """How many runs are being done now."""
        return self._workers.active

    @property
    def ended_runs(self) -> Mapping[RunState, int]:
        """How many runs since the start ended how."""
        return self._workers.ended

    def canonical(self, session_key: str, agent_id: str | None = None) -> str:
        """The one key that `session_key` means. Raises RequestError."""
        return self._addresses.key(session_key, agent_id)

    def agent_of(self, key: str) -> str:
        """The agent that a canonical key belongs to."""
        return self._addresses.agent_of(key)

    def main_key(self, agent_id: str | None = None) -> str:
        """The main session of an agent, the default one's without. Raises RequestError."""
        return self._addresses.main_key(agent_id)

    async def _status(self, key: str) -> Sequence[str]:
        return [*self._status_lines(), *await self._listing.lines(key)]
