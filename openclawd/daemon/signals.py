"""What signals mean to a gateway.

SIGTERM and SIGINT end it. So does SIGHUP where it was started from a terminal: the terminal has gone. Where
there is none, SIGHUP asks it to go by its configuration as it is now, as of any daemon. SIGUSR1 and SIGUSR2
restart it, as they do stock gateways of either generation.
"""

import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

import trio

from openclawd.daemon.image import hold_signals_back, let_signals_through

_STOP: Final = (signal.SIGTERM, signal.SIGINT)
_RESTART: Final = (signal.SIGUSR1, signal.SIGUSR2)
# Threads that wait for work take some in microseconds.
_PATIENCE_S: Final = 1.0


@contextmanager
def received_signals() -> Iterator[AsyncIterator[int]]:
    """The signals that come, for `heed_signals`, and no effect of those that come behind it.

    A second signal changes nothing: not during the goodbye, as the receiver is open to the very end, and not
    behind it, where trio hands unread ones to whatever handled them before. A hang-up that was ignored from
    the start (nohup) stays so. An interrupt does not: shells ignore it for what they start in the background,
    and who sends it all the same means it.
    """
    nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    heeded = (*_STOP, *_RESTART) if nohup else (*_STOP, *_RESTART, signal.SIGHUP)
    for each in heeded:
        # Not SIG_IGN: that would drop what waits from the generation before, and outlive this one.
        signal.signal(each, _too_late)
    with trio.open_signal_receiver(*heeded) as signals:
        let_signals_through()
        yield signals


async def heed_signals(
    signals: AsyncIterator[int],
    *,
    stop: Callable[[str], None],
    restart: Callable[[str], None],
    reload: Callable[[], None] | None,
) -> None:
    """Call what each signal asks for, with its name; none of it may wait. For ever. A hang-up is a stop where
    there is no `reload`.
    """
    async for number in signals:
        name = signal.Signals(number).name
        if number in _RESTART:
            restart(name)
        elif number == signal.SIGHUP and reload is not None:
            reload()
        else:
            stop(name)


async def keep_signals_for_the_next() -> None:
    """From here on signals wait for the next generation, whichever thread the kernel would give them to: of
    those that do not hold them back it takes any (signal(7)), and execve(2) ends it with what it was told.
    Where there is to be none, nobody takes them, and the process ends as it would without.
    """
    hold_signals_back()
    others = threading.active_count() - 1
    if not others:
        return
    together = threading.Barrier(others)
    limiter = trio.CapacityLimiter(others)

    def hold() -> None:
        hold_signals_back()
        # Nobody takes a second turn before each has had one.
        with suppress(threading.BrokenBarrierError):
            together.wait(_PATIENCE_S)

    async with trio.open_nursery(strict_exception_groups=True) as thread_nursery:
        for _ in range(others):
            thread_nursery.start_soon(partial(trio.to_thread.run_sync, hold, limiter=limiter))


def _too_late(number: int, _frame: object) -> None:
    """For a signal that nobody here acts on any more: while signals are held back, one that reached another
    thread waits with them for the next generation.
    """
    if number in signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        signal.raise_signal(number)


def has_terminal() -> bool:
    """Whether a hang-up would say that our terminal is gone: whether we have one at all (tty(4))."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
