"""Keeping the house's parts alive: one that fails is started again, and one that keeps failing ends the
process.

Ending is loud and leaves it to systemd or launchd to start over; limping on without a part would look healthy
and not be.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from openclawd.store.errors import StoreError

# Long enough for a passing fault (a full disk, a busy file) to pass, short enough not to be noticed.
RESTART_DELAY_S: Final = 1.0
# This many failures within the window, and it is no passing fault.
MAX_FAILURES: Final = 5
WINDOW_S: Final = 60.0

# A disk that is full or fails is looked at again this often.
STORE_DELAY_S: Final = 5.0

_log = logging.getLogger("openclawd.supervisor")


class PartFailed(Exception):
    """A part failed again and again; what it raised last is the cause."""


async def supervise(name: str, part: Callable[[], Awaitable[None]]) -> None:
    """Run `part` until it returns, starting it again when it raises. Raises PartFailed when that does not
    help; for the disk it waits as long as it takes.
    """
    failures: deque[float] = deque(maxlen=MAX_FAILURES)
    while True:
        try:
            await part()
        except StoreError as error:
            # A full disk is no fault of the part, and ending would help nobody: what needs no disk goes on.
            _log.warning("part waits for the disk", extra={"fields": {"part": name, "reason": str(error)}})
            await trio.sleep(STORE_DELAY_S)
            continue
        except Exception as error:
            _log.exception("part failed", extra={"fields": {"part": name}})
            failures.append(trio.current_time())
            if len(failures) == MAX_FAILURES and failures[-1] - failures[0] < WINDOW_S:
                raise PartFailed(f"{name} failed {MAX_FAILURES} times within {WINDOW_S:.0f} s") from error
        else:
            return
        await trio.sleep(RESTART_DELAY_S)
