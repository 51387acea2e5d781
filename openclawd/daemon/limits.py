"""The limiter's state on disk: read before anybody is let in, written at most once a second.

So a flood of wrong guesses costs one commit a second, whatever it is made of, and the chat, which waits for
its own commits, no more than that; a crash forgets the last second of it. What cannot be written is written
later, as a whole: the table in memory is what counts.
"""

import logging
import secrets
from collections.abc import Callable
from typing import Final

import trio

from openclawd.auth.limiter import Limiter
from openclawd.auth.tries import BucketRow
from openclawd.store.errors import StoreError
from openclawd.store.facts import Facts
from openclawd.store.limits import LimitStore, StoredLimit

FLUSH_INTERVAL_S: Final = 1.0
_KEY_FACT: Final = "limiter key"
_KEY_BYTES: Final = 32

_log = logging.getLogger("openclawd.limits")


async def limiter_key(facts: Facts) -> bytes:
    """The key of the digests, the same in every life of this state; made at the first start."""
    key = await facts.get(_KEY_FACT)
    if key is None or len(key) != _KEY_BYTES:
        key = secrets.token_bytes(_KEY_BYTES)
        await facts.put(_KEY_FACT, key)
    return key


class LimitKeeper:
    """Keeps a limiter's table and the stored one the same."""

    def __init__(self, limiter: Limiter, store: LimitStore, *, now_ms: Callable[[], int]) -> None:
        self._limiter = limiter
        self._store = store
        self._now_ms = now_ms
        # Whether the stored table is not what the changes since the last flush would make right.
        self._stale = False

    async def load(self) -> None:
        """What the process before has seen. StoreError when it cannot be read."""
        rows = await self._store.load()
        now_ms = self._now_ms()
        self._limiter.load(map(_row, rows), now_ms)
        # What was not taken, as it is too old, goes from the disk as well.
        self._stale = len(self._limiter.rows(now_ms)) != len(rows)

    async def serve(self) -> None:
        """Write what has changed, until cancelled."""
        while True:
            await trio.sleep(FLUSH_INTERVAL_S)
            await self.flush()

    async def flush(self) -> None:
        """Write what has changed since the last time."""
        if not (self._stale or self._limiter.has_changes):
            return
        rows, gone = self._limiter.take_changes()
        # Until this is written, so also when it is cancelled.
        was_stale, self._stale = self._stale, True
        try:
            if was_stale:
                await self._store.replace(self._limiter.rows(self._now_ms()))
            else:
                await self._store.save(rows, gone)
        except StoreError as error:
            if not was_stale:
                _log.warning("limits not written", extra={"fields": {"reason": str(error)}})
        else:
            self._stale = False


def _row(stored: StoredLimit) -> BucketRow:
    return BucketRow(
        source=stored.source,
        kind=stored.kind,
        spent=stored.spent,
        updated_at_ms=stored.updated_at_ms,
        seen_at_ms=stored.seen_at_ms,
        digests=stored.digests,
    )
