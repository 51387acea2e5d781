"""The sessions of the gateway: what clients send, stop and read, and the nursery in which sessions work.

Accepted means durable: when `send` returns, the message is on disk, in its place of the session's queue,
and will end in exactly one outcome, whatever happens to this process. A session works on one run at a time;
sessions do not wait for each other. A key is made canonical on its way in, so that every client of a
conversation speaks of the same one.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Literal
from uuid import uuid4

import trio

from openclawd.agents.roster import Roster
from openclawd.protocol.errors import invalid_request, unavailable
from openclawd.sessions.asking import Asking
from openclawd.sessions.commands import is_stop
from openclawd.sessions.intake import Send, submission
from openclawd.sessions.keys import MalformedKey, Scope, canonical
from openclawd.sessions.listing import Listing, SessionsQuery, StatusSummary
from openclawd.sessions.reporter import Publish, Reporter
from openclawd.sessions.run import Run, StopReason
from openclawd.sessions.session import RETRY_S, Session
from openclawd.sessions.source import ModelSource
from openclawd.sessions.text import UnusableText, normalise
from openclawd.sessions.transcript import for_history
from openclawd.store.conversations import Conversations
from openclawd.store.records import RunKind, RunRecord, RunState
from openclawd.store.runs import RunQueue

# A run that took the process down this often is not tried again.
MAX_ATTEMPTS: Final = 3
INTERRUPTED: Final = (
    f"interrupted: the gateway stopped {MAX_ATTEMPTS} times in the middle of this answer."
    " Send the message again"
)
# Stock's agents.defaults.timeoutSeconds.
DEFAULT_TIMEOUT_MS: Final = 600_000
# Nobody waits longer for an answer; `timeoutMs: 0` means no limit, which is this.
MAX_TIMEOUT_MS: Final = 24 * 60 * 60 * 1000
# How often a history is read again because a run changed its state in between.
_HISTORY_TRIES: Final = 3

__all__ = ["Send", "Sessions", "SessionsQuery"]  # what callers need beside it


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
        now_ms: Callable[[], int],
        status_lines: Callable[[], Sequence[str]] = tuple,
        timeout_ms: int = DEFAULT_TIMEOUT_MS,
        retry_s: float = RETRY_S,
        new_id: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        self._runs = runs
        self._conversations = conversations
        self._asking = Asking(conversations, models, roster, now_ms)
        self._listing = Listing(conversations, models, default_agent=roster.default_id, now_ms=now_ms)
        self._roster = roster
        self._publish = publish
        self._now_ms = now_ms
        self._status_lines = status_lines
        self._timeout_ms = timeout_ms
        self._retry_s = retry_s
        self._new_id = new_id
        self._sessions: dict[str, Session] = {}
        self._nursery: trio.Nursery | None = None
        # Sessions that got work while nobody served, which the store's list from the start may lack.
        self._owed: set[str] = set()
        self._stopped = trio.Event()

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work on what is queued, from before this start too, until cancelled or drained."""
        self._stopped = trio.Event()
        try:
            unfinished = await self._runs.recover(MAX_ATTEMPTS)
            for run in unfinished.exhausted:
                await self._give_up(run)
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for key in self._owed.union(unfinished.session_keys):
                    self._wake(key)
                self._owed.clear()
                task_status.started()
                try:
                    await trio.sleep_forever()
                finally:
                    self._nursery = None
        finally:
            self._stopped.set()

    async def drain(self, within_s: float) -> bool:
        """Stop working: runs under way go back to the queue, under their run ids, for the next start.

        Messages are still accepted. False if some run did not let go in time.
        """
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
            with trio.move_on_after(within_s):
                await self._stopped.wait()
            return self._stopped.is_set()
        return True

    async def send(self, send: Send) -> dict[str, object]:
        """Accept a message, or carry out the stop it asks for; the answer of `chat.send`.

        What follows from it is published later than this returns, so that the acknowledgement comes first.
        """
        key = self._canonical(send.session_key)
        if send.attachments:
            raise invalid_request(
                "attachments are not supported yet by this version of openclawd; send the text alone"
            )
        try:
            text = normalise(send.message)
        except UnusableText as error:
            raise invalid_request(str(error)) from error
        if is_stop(text):
            stopped = await self.abort(key, None, origin="stop")
            return {"ok": True, "aborted": bool(stopped), "runIds": stopped}
        asked = await submission(
            send, key, text, status=self._status, now_ms=self._now_ms(), new_session_id=self._new_id()
        )
        accepted = await self._runs.accept(asked)
        run = accepted.run
        if run.session_key != key:
            raise invalid_request("idempotencyKey was used for another session; use a new key")
        if not accepted.new:
            return _answered_before(run)
        if run.kind is RunKind.COMMAND:
            self._soon(partial(self._reporter(run).answered, asked.message))
        else:
            self._wake(key)
        return {"runId": run.run_id, "status": "started"}

    async def abort(
        self, session_key: str, run_id: str | None, *, origin: Literal["rpc", "stop"] = "rpc"
    ) -> Sequence[str]:
        """Stop one run, or all of the session, running and queued; the ids of those that this stopped."""
        key = self._canonical(session_key)
        reason = StopReason(origin)
        if run_id is not None:
            run = await self._runs.find(run_id)
            if run is None or run.finished:
                return []
            if run.session_key != key:
                raise invalid_request("runId does not match sessionKey")
        session = self._session(key)
        session.holders += 1
        try:
            stopped, untold = await session.stop(run_id, reason)
        finally:
            session.holders -= 1
            self._release(session)
        for run in untold:
            self._reporter(run).aborted(reason, "")
        return stopped

    async def history(self, session_key: str, limit: int) -> dict[str, Any]:
        """The answer of `chat.history`, and our addition `activeRuns`: what is queued, and said so far."""
        key = self._canonical(session_key)
        for _ in range(_HISTORY_TRIES):
            transcript = await self._conversations.transcript(key, limit)
            live = self._live(key)
            if all(run.state is not RunState.RUNNING or run.run_id in live for run in transcript.unfinished):
                break
        found: dict[str, Any] = {"sessionKey": session_key}
        if transcript.session_id is not None:
            found["sessionId"] = transcript.session_id
        found["messages"] = for_history(stored.body for stored in transcript.messages)
        found["thinkingLevel"] = "off"
        found["activeRuns"] = [_active_run(run, live.get(run.run_id)) for run in transcript.unfinished]
        return found

    async def list(self, query: SessionsQuery) -> Sequence[dict[str, Any]]:
        """The rows of `sessions.list`, the newest first."""
        return await self._listing.rows(query)

    async def status(self, agent_id: str | None = None) -> StatusSummary:
        """How many sessions there are (of one agent), with the rows of `status` for the latest."""
        return await self._listing.status(agent_id)

    async def summary(self, agent_id: str | None = None) -> StatusSummary:
        """The same with the short rows of `health`."""
        return await self._listing.summary(agent_id)

    def _canonical(self, session_key: str) -> str:
        roster = self._roster
        scope: Scope = "global" if roster.scope == "global" else "per-sender"
        try:
            return canonical(
                session_key, default_agent=roster.default_id, main_key=roster.main_key, scope=scope
            )
        except MalformedKey as error:
            raise invalid_request(str(error)) from error

    async def _status(self, key: str) -> Sequence[str]:
        return [*self._status_lines(), *await self._listing.lines(key)]

    async def _give_up(self, record: RunRecord) -> None:
        run = self._new_run(record)
        ending = run.failed(INTERRUPTED)
        await self._runs.finish(record.run_id, ending, self._now_ms())
        run.report(ending)

    def _wake(self, key: str) -> None:
        if self._nursery is None:
            self._owed.add(key)
            return
        session = self._session(key)
        session.wake()
        if not session.working:
            session.working = True
            self._nursery.start_soon(self._attend, session, name=f"session {key}")

    async def _attend(self, session: Session) -> None:
        try:
            await session.work()
        finally:
            session.working = False
            self._release(session)

    def _session(self, key: str) -> Session:
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = Session(
                key,
                self._runs,
                new_run=self._new_run,
                prepare=self._asking.prepare,
                timeout_s=self._timeout_s,
                now_ms=self._now_ms,
                retry_s=self._retry_s,
            )
        return session

    def _release(self, session: Session) -> None:
        if not session.working and not session.holders:
            self._sessions.pop(session.key, None)

    def _new_run(self, record: RunRecord) -> Run:
        return Run(record, self._reporter(record), self._now_ms)

    def _reporter(self, run: RunRecord) -> Reporter:
        return Reporter(run.run_id, run.session_key, self._publish, self._now_ms)

    def _timeout_s(self, run: RunRecord) -> float:
        timeout_ms = self._timeout_ms if run.timeout_ms is None else run.timeout_ms
        return min(timeout_ms or MAX_TIMEOUT_MS, MAX_TIMEOUT_MS) / 1000

    def _live(self, key: str) -> dict[str, Run]:
        session = self._sessions.get(key)
        run = session.current if session is not None else None
        return {run.record.run_id: run} if run is not None else {}

    def _soon(self, tell: Callable[[], None]) -> None:
        # The next turn of the loop, when the acknowledgement is on its way.
        trio.lowlevel.current_trio_token().run_sync_soon(tell)


def _answered_before(run: RunRecord) -> dict[str, object]:
    """The answer to an idempotency key that was used before: it never runs twice."""
    if run.state is RunState.ERROR:
        raise unavailable(run.error or "the run failed", runId=run.run_id)
    return {"runId": run.run_id, "status": "ok" if run.finished else "in_flight"}


def _active_run(record: RunRecord, live: Run | None) -> dict[str, object]:
    if live is None:
        return {"runId": record.run_id, "state": "queued", "text": ""}
    return {
        "runId": record.run_id,
        "state": "running",
        "text": live.text,
        "startedAt": live.record.started_at_ms,
    }
