"""When clients write: together, in the loop's next turn.

What is said to a client in one turn of the loop, and to all others, leaves in one go: a burst of events costs
each client one system call, and no task where the network takes what it is given.
"""

import logging
from collections.abc import Callable

import trio

_log = logging.getLogger("openclawd.client")


class Flusher:
    """One for all clients of a gateway; `serve` must run for any of them to write."""

    def __init__(self) -> None:
        self._due: list[Callable[[], None]] = []
        self._idle = trio.lowlevel.ParkingLot()

    def soon(self, flush: Callable[[], None]) -> None:
        """Call `flush`, which must not wait, in the next turn."""
        if not self._due:
            self._idle.unpark()
        self._due.append(flush)

    async def serve(self) -> None:
        """Call what is due, turn after turn, until cancelled."""
        while True:
            if self._due:
                await trio.lowlevel.checkpoint()
            else:
                await self._idle.park()
            due, self._due = self._due, []
            for flush in due:
                try:
                    flush()
                except Exception:  # noqa: BLE001  the fence: one client ends nobody else's writing
                    _log.exception("client not written to")
