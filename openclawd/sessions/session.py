"""One session at work: its runs, one after the other, taken from the durable queue.

The queue is in the store, not here: a session claims its oldest queued run, does it, and claims the next.
It exists while there is work or somebody holds it, and nothing is lost when it goes.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from openclawd.sessions.news import SessionNews
from openclawd.sessions.run import FAULT, Question, Run, StopReason
from openclawd.store.errors import StoreError
from openclawd.store.records import Ending, Finished, RunRecord, RunState
from openclawd.store.runs import RunQueue

# After the store failed (a full disk, say): long enough to cost nothing, short enough to go on unasked.
RETRY_S: Final = 5.0
# A cancelled model call ends within milliseconds; this is for a disk that is slow to take the outcome.
STOP_WAIT_S: Final = 10.0

logger = logging.getLogger("openclawd.sessions")


class Session:
    """The worker of one session key."""

    def __init__(
        self,
        key: str,
        queue: RunQueue,
        *,
        new_run: Callable[[RunRecord], Run],
        prepare: Callable[[RunRecord], Awaitable[Question]],
        timeout_s: Callable[[RunRecord], float],
        news: SessionNews,
        now_ms: Callable[[], int],
        may_begin: Callable[[], bool],
        retry_s: float = RETRY_S,
    ) -> None:
        self.key = key
        self.current: Run | None = None
        self.working = False
        self.holders = 0
        self._queue = queue
        self._new_run = new_run
        self._prepare = prepare
        self._timeout_s = timeout_s
        self._news = news
        self._now_ms = now_ms
        self._may_begin = may_begin
        self._retry_s = retry_s
        self._woken = False
        # Who holds it sees the store and `current` agree about which run is running.
        self._claiming = trio.Lock()

    def wake(self) -> None:
        """There is something in the queue."""
        self._woken = True

    async def work(self) -> None:
        """Do what is queued; returns when nothing is, without a checkpoint after having seen that."""
        while self._woken:
            self._woken = False
            try:
                run = await self._claim()
                if run is not None:
                    self._woken = True
                    await self._do(run)
            except Exception:
                # The fence round a session: what is not a run's own fault is the store's, and may pass.
                logger.exception("session stumbled", extra={"fields": {"sessionKey": self.key}})
                self._woken = True
                await trio.sleep(self._retry_s)

    async def stop(self, run_id: str | None, reason: StopReason) -> tuple[list[str], tuple[RunRecord, ...]]:
        """Stop the run, or all runs; returns the ids that ended so, and the runs nobody has told of it."""
        async with self._claiming:
            found = await self._queue.abort_queued(self.key, run_id, self._now_ms())
            run = self.current
        stopped: list[str] = []
        untold = list(found.ended)
        for record in found.running:
            if run is None or run.record.run_id != record.run_id:
                # Nobody does it: the process is starting, or stopping with a store that did not take it back.
                finished = await self._queue.finish(record.run_id, Ending(RunState.ABORTED), self._now_ms())
                if finished is not None:
                    untold.insert(0, record)
                continue
            run.stop(reason)
            with trio.move_on_after(STOP_WAIT_S):
                await run.settled.wait()
            if run.state is RunState.ABORTED:
                stopped.append(record.run_id)
        return stopped + [record.run_id for record in untold], tuple(untold)

    async def _claim(self) -> Run | None:
        async with self._claiming:
            if not self._may_begin():
                return None
            record = await self._queue.claim(self.key, self._now_ms())
            if record is not None:
                self.current = self._new_run(record)
                self._news.changed(self.key, "run-start")
        return self.current

    async def _do(self, run: Run) -> None:
        record = run.record
        cancelled = True
        try:
            ending = await run.answer(self._prepare, self._timeout_s(record))
            ending, finished = await self._settle(record, ending)
            cancelled = False
            run.flush()
            if finished is not None and finished.message is not None:
                self._news.message(self.key, record.run_id, finished.message)
            run.report(ending)
            self._news.changed(self.key, "run-end")
        finally:
            self.current = None
            run.settled.set()
            if cancelled:
                with trio.CancelScope(shield=True):
                    await self._queue.requeue(record.run_id, self._now_ms())

    async def _settle(self, record: RunRecord, ending: Ending) -> tuple[Ending, Finished | None]:
        """Put the outcome on disk, also when the process is stopping: the model has done its work.

        A store that fails is tried until it takes it: nothing is told before, so nothing is ever told twice.
        If the process stops while it waits for that, the run is left for the next start.
        """
        while True:
            try:
                with trio.CancelScope(shield=True):
                    finished = await self._queue.finish(record.run_id, ending, self._now_ms())
                break
            except Exception as error:
                logger.exception("outcome not written", extra={"fields": {"runId": record.run_id}})
                if not isinstance(error, StoreError):
                    # A fault of ours, which the same outcome would meet again.
                    ending = Ending(RunState.ERROR, error=FAULT)
            await trio.sleep(self._retry_s)
        took_ms = self._now_ms() - record.accepted_at_ms
        fields: dict[str, object] = {
            "runId": record.run_id,
            "sessionKey": self.key,
            "state": ending.state.value,
            "tookMs": took_ms,
        }
        has_failed = ending.state is RunState.ERROR
        if has_failed:
            fields["error"] = ending.error
        logger.log(logging.WARNING if has_failed else logging.INFO, "run ended", extra={"fields": fields})
        return ending, finished
