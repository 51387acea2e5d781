"""Whether the program to execute could start, and for how long that can be relied on.

Between its check and the moment in which it is executed lie a delay and the runs that may end first: a minute
and more. Another file may stand there by then, half of an update, or a certificate that is none.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import trio

from openclawd.config.watch import Signature, signature_of

Check = Callable[[], Awaitable[str | None]]
"""Why the program could not start, None when it could."""

# What the file itself does not tell (its libraries, a certificate) was so when it was looked at.
HOLDS_S: Final = 2.0
# Files that never come to rest keep nobody from restarting.
_LOOKS: Final = 3


class Proof:
    """The check of a program, made again when the last one does not count any more."""

    def __init__(self, program: Path, check: Check, again: Check) -> None:
        """`again` is the check for when everybody waits: it passes what a restart can live with."""
        self._program = program
        self._check = check
        self._again = again
        self._seen: Signature | None = None
        self._until_s = 0.0

    async def begin(self) -> str | None:
        """Why the program could not start, None when it could."""
        return await self._examine(self._check)

    async def renew(self) -> str | None:
        """The same, at once where nothing that is known of has changed since."""
        for _ in range(_LOOKS):
            if trio.current_time() < self._until_s and self._seen == self._signature():
                break
            if (refusal := await self._examine(self._again)) is not None:
                return refusal
        return None

    async def _examine(self, check: Check) -> str | None:
        # Before: what is replaced while it is looked at may not be what was seen.
        seen = self._signature()
        refusal = await check()
        self._seen, self._until_s = seen, trio.current_time() + HOLDS_S
        return refusal

    def _signature(self) -> Signature | None:
        with suppress(OSError):
            return signature_of(self._program.stat())
        return None
