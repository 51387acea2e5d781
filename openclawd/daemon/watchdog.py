"""Telling systemd regularly that the event loop turns, and the log where it stands when it does not.

Everything here is for `WatchdogSec=` (sd_watchdog_enabled(3)): systemd kills a process that has not been
heard of for so long, and starts another. We are heard of only while the loop is on time: a loop that comes
round every ten seconds is as bad to clients as one that does not. Before the time is up, a thread beside the
loop writes down what every thread and every task was doing, since nobody could tell afterwards.
A thread cannot run while an extension of Python holds the interpreter; for that, faulthandler writes the
threads' stacks to stderr when systemd's SIGABRT comes.
"""

import logging
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from types import FrameType
from typing import Final

import attrs
import trio

from openclawd.daemon.lifecycle import State
from openclawd.daemon.notify import Notifier

# How often the loop is looked at, if the watchdog does not want it sooner.
_BEAT_S: Final = 1.0
# How often it is told how we are, where that has changed: people look, programs do not.
_TELL_EVERY_S: Final = 5.0
# How often systemd is asked for more time, and for how much: three of them may be lost.
_EXTEND_EVERY_S: Final = 5.0
_EXTENSION_S: Final = 20.0
# For how long more time is asked for. A large database is converted at a start; a drain is bounded by
# `openclawd.restart.drainMs`; goodbyes and the last write take seconds.
_PATIENCE_S: Final[Mapping[State, float]] = {
    State.STARTING: 1800.0,
    State.DRAINING: 330.0,
    State.HANDING_OVER: 30.0,
    State.STOPPING: 60.0,
}
# Thousands of connections wait at the same few places.
_STACKS_SHOWN: Final = 40

_log = logging.getLogger("openclawd.loop")


def watchdog_timeout_s(environ: Mapping[str, str], pid: int) -> float | None:
    """How long systemd waits for a word of process `pid`; None when it does not."""
    text, whose = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", str(pid))
    if not (text.isascii() and text.isdigit() and int(text)) or whose != str(pid):
        return None
    return int(text) / 1_000_000


@attrs.frozen
class Schedule:
    """When what is due, for one watchdog. Pure."""

    timeout_s: float

    @property
    def beat_s(self) -> float:
        """Between two looks at the loop."""
        return min(_BEAT_S, self.timeout_s / 16)

    @property
    def stuck_after_s(self) -> float:
        """Without a beat for so long, the loop is stuck: there is time to write it down before the end."""
        return self.timeout_s / 4

    def ping(self, since_last_s: float, lag_s: float) -> bool:
        """Whether systemd is to be told now: within half the time, and while the loop is on time."""
        on_time = lag_s <= self.timeout_s / 8
        return on_time and since_last_s >= self.timeout_s / 2 - 2 * self.beat_s


def wants_time(state: State, in_state_s: float) -> bool:
    """Whether systemd is to wait longer for what is under way."""
    return _EXTEND_EVERY_S <= in_state_s <= _PATIENCE_S.get(state, 0.0)


class Heart:
    """The loop's last beat, which the thread beside it reads."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._last_s = now_s()
        self.root: trio.lowlevel.Task | None = None
        """All tasks are below it."""

    def beat(self) -> None:
        """The loop turns."""
        self._last_s = self._now_s()

    def silent_s(self) -> float:
        """For how long it has not."""
        return self._now_s() - self._last_s


@asynccontextmanager
async def reported(
    notifier: Notifier, state: Callable[[], State], timeout_s: float | None, serving: Callable[[], str]
) -> AsyncIterator[None]:
    """Keep systemd informed inside the block. `timeout_s` is the watchdog's, None without one; `serving`
    tells how a gateway that is ready is.
    """
    if not notifier.listened_to:
        yield
        return
    failure: Exception | None = None
    async with trio.open_nursery(strict_exception_groups=True) as report_nursery:
        report_nursery.start_soon(_report, notifier, state, timeout_s, serving)
        try:
            yield
        except Exception as error:  # noqa: BLE001  raised below as it is, in no group
            failure = error
        report_nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _report(
    notifier: Notifier, state: Callable[[], State], timeout_s: float | None, serving: Callable[[], str]
) -> None:
    if timeout_s is None:
        await _beat(notifier, state, None, Heart(), serving)
        return
    import faulthandler

    faulthandler.enable()
    notifier.alive()
    schedule, heart, over = Schedule(timeout_s), Heart(), threading.Event()
    heart.root = trio.lowlevel.current_root_task()
    beside = (heart, schedule.stuck_after_s, over)
    threading.Thread(target=observe, args=beside, name="watchdog", daemon=True).start()
    try:
        await _beat(notifier, state, schedule, heart, serving)
    finally:
        over.set()


async def _beat(
    notifier: Notifier,
    state: Callable[[], State],
    schedule: Schedule | None,
    heart: Heart,
    serving: Callable[[], str],
) -> None:
    beat_s = schedule.beat_s if schedule is not None else _BEAT_S
    pinged_s = extended_s = entered_s = told_s = trio.current_time()
    before = state()
    while True:
        due_s = trio.current_time() + beat_s
        await trio.sleep_until(due_s)
        now_s = trio.current_time()
        heart.beat()
        if schedule is not None and schedule.ping(now_s - pinged_s, now_s - due_s):
            notifier.alive()
            pinged_s = now_s
        if state() is not before:
            before, entered_s = state(), now_s
        if wants_time(before, now_s - entered_s) and now_s - extended_s >= _EXTEND_EVERY_S:
            notifier.extend(_EXTENSION_S)
            extended_s = now_s
        if before is State.READY and now_s - told_s >= _TELL_EVERY_S:
            notifier.serves(serving())
            told_s = now_s


def observe(heart: Heart, stuck_after_s: float, over: threading.Event) -> None:
    """Until `over`, on a thread: write the stacks down, once each time that the loop gets stuck."""
    told = False
    look_s = stuck_after_s / 4
    while True:
        asleep_s = time.monotonic()
        if over.wait(look_s):
            return
        if time.monotonic() - asleep_s > 2 * look_s:
            continue  # the whole process stood still; the loop has its chance first
        silent_s = heart.silent_s()
        if silent_s < stuck_after_s:
            told = False
        elif not told:
            told = True
            _log.error(
                "loop stuck", extra={"fields": {"forMs": round(silent_s * 1000), **stacks(heart.root)}}
            )


def stacks(root: trio.lowlevel.Task | None) -> dict[str, object]:
    """What every thread but this one and every task below `root` is doing: file, line and function,
    innermost last.
    """
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    threads = {
        names.get(ident, str(ident)): _places(traceback.walk_stack(frame))[::-1]
        for ident, frame in sys._current_frames().items()  # noqa: SLF001  a documented interface
        if ident != threading.get_ident()
    }
    tasks: Counter[tuple[str, tuple[str, ...]]] = Counter()
    waiting = [root] if root is not None else []
    while waiting:
        task = waiting.pop()
        try:
            waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
            tasks[task.name, tuple(_places(task.iter_await_frames()))] += 1
        except (AttributeError, RuntimeError, ValueError):
            continue  # it has moved on while we looked
    shown = [
        {"task": name, "count": count, "stack": list(places)}
        for (name, places), count in tasks.most_common(_STACKS_SHOWN)
    ]
    return {"threads": threads, "tasks": shown}


def _places(frames: Iterable[tuple[FrameType, int]]) -> list[str]:
    # The source is not read: a name and a line are enough, and the disk may be what everybody waits for.
    found = traceback.StackSummary.extract(iter(frames), lookup_lines=False)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in found]
