"""Who decides that a gateway restarts or stops: the one owner of its lifecycle.

A restart is asked for by signals, clients, commands and the configuration, at any time and by several at
once: requests for the same restart share it. Before anything is let go, the program that is to be executed
proves in a process of its own that it could start; if it cannot, the restart is off, whoever asked is told
why, and the gateway serves on. If that was a while ago when it is to be executed, it proves itself again. A
stop goes before a restart, however far that has come.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import attrs
import trio

from openclawd.daemon.lifecycle import Happening, Lifecycle, State
from openclawd.methods.services import LastRestart, RestartRefused, RestartRequest, RestartTicket

# As in stock: nobody plans further ahead than a minute.
MAX_DELAY_MS: Final = 60_000

_log = logging.getLogger("openclawd.lifecycle")


@attrs.define(eq=False, repr=False)
class _Pending:
    """A restart that was asked for and has not begun."""

    request: RestartRequest
    due_s: float
    others: list[RestartRequest] = attrs.Factory(list)
    examined: trio.Event = attrs.Factory(trio.Event)
    refusal: str | None = None


class Coordinator:
    """The lifecycle of one generation. `serve` must run for restarts to happen."""

    def __init__(
        self,
        *,
        generation: int,
        preflight: Callable[[], Awaitable[str | None]],
        changed: Callable[[State, str], None],
        renew: Callable[[], Awaitable[str | None]] | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`preflight` tells why the program to execute could not start, None when it could, and `renew` again
        right before that; `changed` hears of each new state, with words for people.
        """
        self.generation = generation
        self._lifecycle = Lifecycle()
        self._preflight = preflight
        self._renew = renew
        self._changed = changed
        self._now_ms = now_ms
        self._pending: _Pending | None = None
        # Shielded: whoever asked may leave, as others may have joined.
        self._check_scope = trio.CancelScope(shield=True)
        self._asked = trio.Event()
        self._started = trio.Event()
        self._leaving = trio.Event()
        self._stopping = trio.Event()
        self.reason = ""
        """Why the gateway restarts or stops, once it does."""

        self.last_restart: LastRestart | None = None
        """The restart that this generation began with."""

        self.problem: str | None = None
        """Why the restart that was last asked for was refused; None where it was not."""

        self.problem_at_ms: int | None = None
        """Since when that has been in its way (wall clock)."""

        self.requests_in_force: list[RestartRequest] = []
        """The restart that is under way: who asked for it, and who joined."""

    @property
    def state(self) -> State:
        """Where the gateway stands."""
        return self._lifecycle.state

    def lifecycle(self) -> str:
        """The same in words."""
        return self._lifecycle.state.value

    @property
    def restart_pending(self) -> bool:
        """Whether a restart was asked for, or is under way."""
        return self._pending is not None or self.state in (State.DRAINING, State.HANDING_OVER)

    def started(self) -> None:
        """Everything stands, and whoever connects is served."""
        if self._move(Happening.STARTED, "ready"):
            self._started.set()

    def stop(self, reason: str) -> None:
        """End the gateway; again is harmless."""
        if self._move(Happening.STOP, f"stopping: {reason}", reason):
            self._leaving.set()
            self._stopping.set()
            self._check_scope.cancel()

    async def request(self, wanted: RestartRequest) -> RestartTicket:
        """Restart, once the program to execute has proved itself. Raises RestartRefused.

        Returns when that is settled, before anything has begun.
        """
        await self._started.wait()
        if self.state is State.STOPPING:
            raise RestartRefused("the gateway is stopping")
        if self.state is not State.READY:
            self.requests_in_force.append(wanted)
            return RestartTicket(0, coalesced=True)
        delay_ms = max(0, min(wanted.delay_ms, MAX_DELAY_MS))
        due_s = trio.current_time() + delay_ms / 1000
        pending = self._pending
        if pending is None:
            return await self._examine(wanted, due_s)
        # Before the wait, as the restart may begin at its end. The sooner of the two: a later one would put
        # off what somebody waits for.
        pending.due_s = min(pending.due_s, due_s)
        pending.others.append(wanted)
        self._asked.set()
        await pending.examined.wait()
        if pending.refusal is not None:
            raise RestartRefused(pending.refusal)
        return RestartTicket(delay_ms, coalesced=True)

    def withdraw(self) -> None:
        """Nobody wants the restart any more that was refused."""
        self._refused_with(None)

    async def _examine(self, wanted: RestartRequest, due_s: float) -> RestartTicket:
        pending = self._pending = _Pending(wanted, due_s)
        fields = {"reason": wanted.reason, "kind": wanted.kind, "delayMs": wanted.delay_ms}
        # What is tried again and again is told when something else comes of it.
        _log.log(
            logging.DEBUG if wanted.again else logging.INFO, "restart requested", extra={"fields": fields}
        )
        with trio.CancelScope(shield=True) as self._check_scope:
            pending.refusal = await _outcome(self._preflight)
        if self._check_scope.cancelled_caught:
            pending.refusal = "the gateway is stopping"
        is_known = wanted.again and pending.refusal == self.problem
        self._refused_with(pending.refusal)
        pending.examined.set()
        if pending.refusal is not None:
            self._pending = None
            level = logging.DEBUG if is_known else logging.ERROR
            _log.log(level, "restart cancelled", extra={"fields": {**fields, "problem": pending.refusal}})
            if self.state is State.READY:
                self._changed(self.state, f"ready; restart cancelled: {pending.refusal}")
            raise RestartRefused(pending.refusal)
        self._asked.set()
        return RestartTicket(wanted.delay_ms, coalesced=False)

    def _refused_with(self, problem: str | None) -> None:
        if problem != self.problem:
            self.problem, self.problem_at_ms = problem, None if problem is None else self._now_ms()

    async def serve(self) -> None:
        """Begin restarts when they are due, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            while self._pending is not None and not self._leaving.is_set():
                pending = self._pending
                if not pending.examined.is_set():
                    break
                wait_s = pending.due_s - trio.current_time()
                if wait_s <= 0:
                    self._begin(pending)
                    break
                with trio.move_on_after(wait_s):
                    await self._asked.wait()
                    self._asked = trio.Event()

    def _begin(self, pending: _Pending) -> None:
        self._pending = None
        self.requests_in_force = [pending.request, *pending.others]
        reason = pending.request.reason
        if self._move(Happening.RESTART, f"draining, to restart: {reason}", reason):
            self._leaving.set()

    async def leaving(self) -> State:
        """Wait until the gateway is to restart (DRAINING) or to stop (STOPPING)."""
        await self._leaving.wait()
        return self.state

    async def drain(self, work: Callable[[], Awaitable[object]]) -> State:
        """Let `work` end what is under way, unless a stop comes; HANDING_OVER or STOPPING. READY when the
        program to execute cannot start any more: then the restart is off.
        """
        refusal: str | None = None
        async with trio.open_nursery(strict_exception_groups=True) as drain_nursery:

            async def give_up() -> None:
                await self._stopping.wait()
                drain_nursery.cancel_scope.cancel()

            drain_nursery.start_soon(give_up)
            await work()
            if self._renew is not None:
                refusal = await _outcome(self._renew)
            drain_nursery.cancel_scope.cancel()
        if refusal is not None and self.state is State.DRAINING:
            self._call_off(refusal)
            return self.state
        self._move(Happening.DRAINED, f"handing over to generation {self.generation + 1}", self.reason)
        return self.state

    def _call_off(self, refusal: str) -> None:
        self._refused_with(refusal)
        self.requests_in_force = []
        self._leaving = trio.Event()
        _log.error("restart cancelled", extra={"fields": {"reason": self.reason, "problem": refusal}})
        self._move(Happening.CALLED_OFF, f"ready; restart cancelled: {refusal}")

    def _move(self, happening: Happening, words: str, reason: str = "") -> bool:
        before = self.state
        if not self._lifecycle.move(happening):
            return False
        self.reason = reason or self.reason
        fields: dict[str, object] = {"from": before.value, "generation": self.generation}
        if self.reason:
            fields["reason"] = self.reason
        if self.state is not State.READY:  # the line of the start says more
            _log.info(self.state.value, extra={"fields": fields})
        with suppress(OSError):
            self._changed(self.state, words)
        return True


async def _outcome(check: Callable[[], Awaitable[str | None]]) -> str | None:
    try:
        return await check()
    except Exception as error:  # noqa: BLE001  the fence: a check that fails inside has not passed
        _log.exception("check failed")
        return f"the new program could not be checked: {type(error).__name__}: {error}"
