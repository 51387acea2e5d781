"""Those whom the generation before has told to go.

They have its last words and the end of what it sends, and nobody waits for their answers: they connect anew
already. But a socket that is closed with unread bytes resets the connection, which would take the last words
along where these are still on their way, so it stays open for a while.
"""

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import trio

# For the slowest link that is worth it.
PATIENCE_S: Final = 2.0
# An answer is a few bytes; in front of it stands what was under way.
_READ_BYTES: Final = 64 * 1024
_READS_MAX: Final = 16
# Closed in one round of the event loop.
_A_ROUND: Final = 32


async def see_off(parting: Sequence[int]) -> None:
    """Close these descriptors of sockets that do not block, after PATIENCE_S; at once when cancelled."""
    left = list(parting)
    try:
        await trio.sleep(PATIENCE_S)
        while left:
            for _ in left[-_A_ROUND:]:
                _empty(left[-1])
                os.close(left.pop())
            await trio.lowlevel.checkpoint()
    finally:
        for each in left:
            os.close(each)


def _empty(descriptor: int) -> None:
    with suppress(OSError):
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            for _ in range(_READS_MAX):
                if not os.read(descriptor, _READ_BYTES):
                    return
