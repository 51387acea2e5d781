"""The sessions at work: one task for each that has something to do, in one nursery.

A session works on one run at a time; sessions do not wait for each other. What is queued is in the store, so
nothing is lost when this stops, and it goes on with everything that was left when it starts.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from openclawd.sessions.reporter import Publish, Reporter
from openclawd.sessions.run import Question, Run, StopReason
from openclawd.sessions.session import RETRY_S, Session
from openclawd.sessions.waiting import Waiting
from openclawd.store.records import RunRecord, RunState
from openclawd.store.runs import RunQueue

# A run that took the process down this often is not tried again. Where several were under way, the blame is
# most likely another's, or nobody's: they get more tries, and an end all the same.
MAX_ATTEMPTS_ALONE: Final = 2
MAX_ATTEMPTS_TOGETHER: Final = 5
# Stock's agents.defaults.timeoutSeconds.
DEFAULT_TIMEOUT_MS: Final = 600_000
# Nobody waits longer for an answer; `timeoutMs: 0` means no limit, which is this.
MAX_TIMEOUT_MS: Final = 24 * 60 * 60 * 1000

logger = logging.getLogger("openclawd.sessions")


def interrupted(attempts: int) -> str:
    """Why a run ended that never will be answered, for who asked."""
    times = f"the gateway stopped {attempts} times in the middle of this answer"
    return f"interrupted: {times}. Send the message again"


class Workers:
    """All sessions that have work. `serve` makes them do it; the rest may be called before and after."""

    def __init__(
        self,
        runs: RunQueue,
        *,
        prepare: Callable[[RunRecord], Awaitable[Question]],
        agent_of: Callable[[str], str],
        publish: Publish,
        waiting: Waiting,
        now_ms: Callable[[], int],
        timeout_ms: int = DEFAULT_TIMEOUT_MS,
        retry_s: float = RETRY_S,
    ) -> None:
        self._runs = runs
        self._prepare = prepare
        self._agent_of = agent_of
        self._publish = publish
        self._waiting = waiting
        self._now_ms = now_ms
        self.timeout_ms = timeout_ms
        """How long a run may take that does not say so itself."""

        self._retry_s = retry_s
        self._sessions: dict[str, Session] = {}
        self._nursery: trio.Nursery | None = None
        # Sessions that got work while nobody served, which the store's list from the start may lack.
        self._owed: set[str] = set()
        self._stopped = trio.Event()
        # Rings when the last session at work has ended, while none may begin a run.
        self._finished: trio.Event | None = None
        self.ended: Counter[RunState] = Counter()
        """How the runs since the start ended."""

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work on what is queued, from before this start too, until cancelled or drained."""
        self._stopped = trio.Event()
        try:
            unfinished = await self._runs.recover(MAX_ATTEMPTS_ALONE, MAX_ATTEMPTS_TOGETHER, self._now_ms())
            for run in unfinished.exhausted:
                await self._give_up(run)
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for key in self._owed.union(unfinished.session_keys):
                    self.wake(key)
                self._owed.clear()
                task_status.started()
                try:
                    await trio.sleep_forever()
                finally:
                    self._nursery = None
        finally:
            self._stopped.set()

    async def finish(self, within_s: float) -> int:
        """Begin no run any more, and let those under way end; how many have not when time is up. Those are
        left to `drain`. The sessions stay still afterwards, until `go_on`, also when this is cancelled.
        """
        finished = self._begin_none()
        with trio.move_on_after(within_s):
            await finished.wait()
        if finished.is_set():
            return 0
        fields = {"runs": self.active, "withinMs": round(within_s * 1000)}
        logger.info("runs take longer than a restart waits", extra={"fields": fields})
        return self.active

    def go_on(self) -> None:
        """After `finish`, and before a `drain`: there is no end after all."""
        self._finished = None
        owed, self._owed = self._owed, set()
        for key in owed:
            self.wake(key)

    async def drain(self, within_s: float) -> bool:
        """Stop working: runs under way go back to the queue, under their run ids, for the next start.

        False if some run did not let go in time.
        """
        self._begin_none()
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
            with trio.move_on_after(within_s):
                await self._stopped.wait()
            return self._stopped.is_set()
        return True

    def wake(self, key: str) -> None:
        """There is something in the queue of the session."""
        if self._nursery is None or self._finished is not None:
            self._owed.add(key)
            return
        session = self._session(key)
        session.wake()
        if not session.working:
            session.working = True
            self._nursery.start_soon(self._attend, session, name=f"session {key}")

    async def abort(self, key: str, run_id: str | None, reason: StopReason) -> list[str]:
        """Stop one run of the session, or all, running and queued; the ids of those that this stopped."""
        session = self._session(key)
        session.holders += 1
        try:
            stopped, untold = await session.stop(run_id, reason)
        finally:
            session.holders -= 1
            self._release(session)
        for run in untold:
            self._count(RunState.ABORTED)
            self.reporter(run).aborted(reason, "")
        if untold:
            self._waiting.changed(key, "run-end")
        return stopped

    async def stop(self, key: str) -> None:
        """Stop everything of the session."""
        await self.abort(key, None, StopReason.RPC)

    async def wait(self, run_id: str, timeout_s: float) -> RunRecord | None:
        """The run when it has ended; as it stands after that time, None if there is no such run."""
        return await self._waiting.outcome(run_id, timeout_s)

    def running(self, key: str) -> dict[str, Run]:
        """The run that the session is doing now, by its id."""
        session = self._sessions.get(key)
        run = session.current if session is not None else None
        return {run.record.run_id: run} if run is not None else {}

    @property
    def active(self) -> int:
        """How many runs are being done now."""
        return sum(session.current is not None for session in self._sessions.values())

    def reporter(self, run: RunRecord) -> Reporter:
        """Who tells the clients about a run."""
        return Reporter(
            run,
            agent_id=self._agent_of(run.session_key),
            publish=self._publish,
            now_ms=self._now_ms,
            again=run.interruptions > 0,
        )

    async def _give_up(self, record: RunRecord) -> None:
        run = self._new_run(record)
        ending = run.failed(interrupted(record.attempts))
        finished = await self._runs.finish(record.run_id, ending, self._now_ms())
        if finished is not None and finished.message is not None:
            self._waiting.message(record.session_key, record.run_id, finished.message)
        run.report(ending)
        self._waiting.changed(record.session_key, "run-end")

    async def _attend(self, session: Session) -> None:
        try:
            await session.work()
        finally:
            session.working = False
            if self._finished is not None:
                # More may wait behind the run that it was let end.
                self._owed.add(session.key)
            self._release(session)
            self._note_still()

    def _begin_none(self) -> trio.Event:
        """From now on; rings when nothing is under way."""
        if self._finished is None:
            self._finished = trio.Event()
            self._note_still()
        return self._finished

    def _note_still(self) -> None:
        if self._finished is not None and not any(each.working for each in self._sessions.values()):
            self._finished.set()

    def _session(self, key: str) -> Session:
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = Session(
                key,
                self._runs,
                new_run=self._new_run,
                prepare=self._prepare,
                timeout_s=self._timeout_s,
                news=self._waiting,
                now_ms=self._now_ms,
                may_begin=lambda: self._finished is None,
                retry_s=self._retry_s,
            )
        return session

    def _release(self, session: Session) -> None:
        if not session.working and not session.holders:
            self._sessions.pop(session.key, None)

    def _new_run(self, record: RunRecord) -> Run:
        return Run(record, self.reporter(record), self._now_ms, self._count)

    def _count(self, state: RunState) -> None:
        self.ended[state] += 1

    def _timeout_s(self, run: RunRecord) -> float:
        timeout_ms = self.timeout_ms if run.timeout_ms is None else run.timeout_ms
        return min(timeout_ms or MAX_TIMEOUT_MS, MAX_TIMEOUT_MS) / 1000
