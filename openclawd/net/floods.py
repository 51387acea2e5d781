"""What had to be done about too many strangers, told once a flood and not once a connection."""

import logging
from collections.abc import Callable
from typing import Final

import trio

# A flood is told of a second after its first victim, and every ten for as long as it lasts.
FIRST_TOLD_S: Final = 1.0
TOLD_EVERY_S: Final = 10.0

_log = logging.getLogger("openclawd.listener")


class Floods:
    """Counts since the start; `facts` gives what else the log's line should say."""

    def __init__(self, facts: Callable[[], dict[str, object]]) -> None:
        self._facts = facts
        self._begun = trio.Event()
        self._told = (0, 0)
        self.evicted = 0
        self.refused = 0

    def evict(self) -> None:
        """Somebody had to go."""
        self.evicted += 1
        self._begun.set()

    def refuse(self) -> None:
        """Somebody could not come in."""
        self.refused += 1
        self._begun.set()

    def hold_up(self) -> None:
        """Everybody has to wait, which the kernel's backlog does for them."""
        self._begun.set()

    async def tell(self) -> None:
        """Write the lines, for ever."""
        while True:
            await self._begun.wait()
            await trio.sleep(FIRST_TOLD_S)
            self._begun = trio.Event()
            evicted, refused = self.evicted - self._told[0], self.refused - self._told[1]
            self._told = (self.evicted, self.refused)
            fields = {"evicted": evicted, "refused": refused, **self._facts()}
            _log.warning(
                "more strangers than places; who is missed least has to go", extra={"fields": fields}
            )
            await trio.sleep(TOLD_EVERY_S)
