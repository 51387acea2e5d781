"""One run while it is being done: the model is asked, its answer paced out, and the outcome made.

A run ends in exactly one way: the model finished, it failed (in words for the user), or the run was
stopped, by a person or by its time limit, and keeps what was said until then. A fault of ours is a failure
like any other: it ends this run, is logged with its traceback, and goes no further. Only the cancellation
of what surrounds a run (the process is stopping) passes through, and then the run has no outcome yet.
"""

import logging
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, Final

import attrs
import trio

from openclawd.agents.model import (
    Completion,
    Model,
    ModelError,
    ModelRequest,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from openclawd.sessions.pace import Pace
from openclawd.sessions.reporter import Reporter
from openclawd.sessions.transcript import assistant_message
from openclawd.store.records import Ending, Message, RunRecord, RunState, TokenCount

FAULT: Final = (
    "openclawd itself failed while it answered. Send the message again; the log has the details:"
    " openclawd logs"
)

logger = logging.getLogger("openclawd.sessions")


class StopReason(StrEnum):
    """Who stopped a run; `stopReason` of the chat event."""

    RPC = "rpc"
    """A client called chat.abort."""
    STOP = "stop"
    """A person wrote `/stop` or a stop word."""
    TIMEOUT = "timeout"
    """The time limit of the run."""


# What the transcript calls them (protocol.md 7.3).
_ORIGINS: Final = {StopReason.RPC: "rpc", StopReason.STOP: "stop-command", StopReason.TIMEOUT: "timeout"}


@attrs.frozen
class Question:
    """Whom to ask, and what."""

    model: Model
    request: ModelRequest


class Run:
    """A claimed run; `answer` may be called once."""

    def __init__(self, record: RunRecord, reporter: Reporter, now_ms: Callable[[], int]) -> None:
        self.record = record
        self.settled = trio.Event()
        self.state = RunState.RUNNING
        self._reporter = reporter
        self._now_ms = now_ms
        self._pace = Pace(reporter.piece, reporter.delta)
        self._thinking: list[str] = []
        self._model: Model | None = None
        self._scope = trio.CancelScope()
        self._stopped_by: StopReason | None = None

    @property
    def text(self) -> str:
        """The answer so far."""
        return self._pace.text

    def stop(self, reason: StopReason) -> None:
        """End the model call at once; the first reason stands."""
        self._stopped_by = self._stopped_by or reason
        self._scope.cancel()

    async def answer(self, prepare: Callable[[RunRecord], Awaitable[Question]], timeout_s: float) -> Ending:
        """Ask the model, and say how it ended."""
        self._reporter.started()
        self._scope.deadline = trio.current_time() + timeout_s
        try:
            with self._scope:
                return await self._ask(prepare)
        except Exception:
            logger.exception("run failed inside", extra={"fields": {"runId": self.record.run_id}})
            return self.failed(FAULT)
        return self._stopped()

    def report(self, ending: Ending) -> None:
        """Tell the clients the outcome; called once, when it is on disk."""
        self.state = ending.state
        self._pace.flush()
        if ending.state is RunState.DONE:
            self._reporter.final(self.text, (ending.message or {}).get("usage", {}))
        elif ending.state is RunState.ABORTED:
            self._reporter.aborted(self._stopped_by or StopReason.TIMEOUT, self.text)
        else:
            self._reporter.failed(ending.error or "the run failed")

    async def _ask(self, prepare: Callable[[RunRecord], Awaitable[Question]]) -> Ending:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pace.run)
            try:
                question = await prepare(self.record)
                self._model = question.model
                completion = await question.model.complete(question.request, self._hear)
            except ModelError as error:
                ending = self.failed(str(error))
            else:
                ending = self._done(completion)
            nursery.cancel_scope.cancel()
        return ending

    def _hear(self, delta: TextDelta | ThinkingDelta) -> None:
        if isinstance(delta, TextDelta):
            self._pace.add(delta.text)
        else:
            self._thinking.append(delta.text)

    def _done(self, completion: Completion) -> Ending:
        usage = completion.usage
        tokens = TokenCount(usage.input, usage.output, usage.input + usage.cache_read + usage.cache_write)
        return self._ending(
            RunState.DONE,
            self._message(completion.stop_reason, usage),
            tokens=tokens if tokens.total else None,
        )

    def failed(self, error: str) -> Ending:
        """The outcome of a run that failed, keeping what was said."""
        return self._ending(
            RunState.ERROR, self._message("error", Usage()) | {"errorMessage": error}, error=error
        )

    def _stopped(self) -> Ending:
        # Kept, as somebody may yet ask for a stop while the outcome waits for the store.
        reason = self._stopped_by = self._stopped_by or StopReason.TIMEOUT
        mark = {"aborted": True, "origin": _ORIGINS[reason], "runId": self.record.run_id}
        message = self._message("aborted", Usage()) | {"openclawAbort": mark}
        return self._ending(RunState.ABORTED, message if self.text else None)

    def _ending(self, state: RunState, message: Message | None, **more: Any) -> Ending:
        if self._model is None:
            return Ending(state, message=message, **more)
        return Ending(state, message=message, provider=self._model.provider, model=self._model.id, **more)

    def _message(self, stop_reason: str, usage: Usage) -> Message:
        return assistant_message(
            self.record.run_id,
            self._model,
            text=self.text,
            thinking="".join(self._thinking),
            usage=usage,
            stop_reason=stop_reason,
            now_ms=self._now_ms(),
        )
