"""What signals mean to a gateway.

SIGTERM and SIGINT end it. So does SIGHUP where it was started from a terminal: the terminal has gone. Where
there is none, SIGHUP asks it to go by its configuration as it is now, as of any daemon. Those that restart a
stock gateway are ignored in words.
"""

import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import trio

_STOP: Final = (signal.SIGTERM, signal.SIGINT)
# Stock v3 and v4 restart on these; without a handler they would kill.
_RESTART: Final = (signal.SIGUSR1, signal.SIGUSR2)

_log = logging.getLogger("openclawd.gateway")


@contextmanager
def received_signals() -> Iterator[AsyncIterator[int]]:
    """The signals that come, for `stop_signal`, and no handler of them left behind.

    A second signal changes nothing: not during the goodbye, as the receiver is open to the very end, and not
    behind it, where trio hands unread ones to whatever handled them before. A hang-up that was ignored from
    the start (nohup) stays so. An interrupt does not: shells ignore it for what they start in the background,
    and who sends it all the same means it.
    """
    nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    heeded = _STOP if nohup else (*_STOP, signal.SIGHUP)
    for each in heeded:
        signal.signal(each, signal.SIG_IGN)
    with trio.open_signal_receiver(*heeded, *_RESTART) as signals:
        yield signals


async def stop_signal(signals: AsyncIterator[int], reload: Callable[[], Awaitable[None]] | None) -> str:
    """The name of the signal that asks for an end. A hang-up is one only where there is no `reload`."""
    async for number in signals:
        name = signal.Signals(number).name
        if number == signal.SIGHUP and reload is not None:
            await reload()
        elif number in _STOP or number == signal.SIGHUP:
            return name
        else:
            hint = "restart in place comes with a later version; stop the gateway and start it again"
            _log.warning("signal ignored", extra={"fields": {"signal": name, "hint": hint}})
    raise AssertionError("the signal receiver ended by itself")


def has_terminal() -> bool:
    """Whether a hang-up would say that our terminal is gone: whether we have one at all (tty(4))."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
