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
    ModelErrorKind,
    ModelRequest,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from openclawd.agents.prices import Prices
from openclawd.sessions.pace import Pace
from openclawd.sessions.reporter import Reporter
from openclawd.sessions.transcript import assistant_message
from openclawd.store.records import Ending, Message, RunKind, RunRecord, RunState, TokenCount

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


# Failures of one provider, which another may not have.
REPLACEABLE: Final = frozenset(
    {
        ModelErrorKind.BAD_KEY,
        ModelErrorKind.UNREACHABLE,
        ModelErrorKind.OVERLOADED,
        ModelErrorKind.RATE_LIMITED,
    }
)

# What the transcript calls them (protocol.md 7.3).
_ORIGINS: Final = {StopReason.RPC: "rpc", StopReason.STOP: "stop-command", StopReason.TIMEOUT: "timeout"}


@attrs.frozen(eq=False, repr=False)
class Question:
    """Whom to ask, and what; and the next question, to another model, where this one may be replaced."""

    model: Model
    request: ModelRequest
    prices: Prices | None = None
    fallback: "Callable[[], Awaitable[Question]] | None" = None


class Run:
    """A claimed run; `answer` may be called once."""

    def __init__(
        self,
        record: RunRecord,
        reporter: Reporter,
        now_ms: Callable[[], int],
        ended: Callable[[RunState], None],
    ) -> None:
        self.record = record
        self.settled = trio.Event()
        self.state = RunState.RUNNING
        self._reporter = reporter
        self._now_ms = now_ms
        self._ended = ended
        self._pace = Pace(agent=reporter.piece, chat_v3=reporter.chat_v3, chat_v4=reporter.chat_v4)
        self._thinking: list[str] = []
        self._question: Question | None = None
        self._scope = trio.CancelScope()
        self._stopped_by: StopReason | None = None
        self._error_kind: ModelErrorKind | None = None

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

    def flush(self) -> None:
        """Send what was held back of the answer; nothing comes after it."""
        self._pace.flush()

    def report(self, ending: Ending) -> None:
        """Tell the clients the outcome; called once, when it is on disk."""
        self.state = ending.state
        self._ended(ending.state)
        self.flush()
        if ending.state is RunState.DONE:
            message = ending.message or {}
            self._reporter.final(self.text, message.get("usage", {}), message.get("stopReason", "stop"))
        elif ending.state is RunState.ABORTED:
            self._reporter.aborted(self._stopped_by or StopReason.TIMEOUT, self.text)
        else:
            self._reporter.failed(ending.error or "the run failed", self._error_kind)

    async def _ask(self, prepare: Callable[[RunRecord], Awaitable[Question]]) -> Ending:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pace.run)
            try:
                completion = await self._answered(await prepare(self.record))
            except ModelError as error:
                self._error_kind = error.kind
                ending = self.failed(str(error))
            else:
                ending = self._done(completion)
            nursery.cancel_scope.cancel()
        return ending

    async def _answered(self, question: Question) -> Completion:
        """The first model's answer that gives one; another is asked only as long as nothing was said."""
        while True:
            self._question = question
            model = question.model
            self._reporter.asking(model.provider, model.id)
            try:
                return await model.complete(question.request, self._hear)
            except ModelError as error:
                said = self.text or self._thinking
                if said or question.fallback is None or error.kind not in REPLACEABLE:
                    raise
                fields = {
                    "runId": self.record.run_id,
                    "model": f"{model.provider}/{model.id}",
                    "kind": error.kind,
                    "reason": str(error),
                }
                logger.warning("model replaced by its fallback", extra={"fields": fields})
            question = await question.fallback()

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
        timed_out = reason is StopReason.TIMEOUT
        return self._ending(RunState.ABORTED, message if self.text else None, timed_out=timed_out)

    def _ending(self, state: RunState, message: Message | None, **more: Any) -> Ending:
        if self._question is None:
            return Ending(state, message=message, **more)
        model = self._question.model
        return Ending(state, message=message, provider=model.provider, model=model.id, **more)

    def _message(self, stop_reason: str, usage: Usage) -> Message:
        return assistant_message(
            self.record.run_id,
            self._question.model if self._question is not None else None,
            text=self.text,
            thinking="".join(self._thinking),
            usage=usage,
            stop_reason=stop_reason,
            now_ms=self._now_ms(),
            prices=self._question.prices if self._question is not None else None,
            sums_up=self.record.kind is RunKind.COMPACTION,
        )
