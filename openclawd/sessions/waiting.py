"""Waiting for the outcome of a run.

The store knows how a run ended; here one only learns when to look. So whoever waits misses nothing, whether
the run is under way, was over before, comes later, or goes on after a restart.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import trio

from openclawd.sessions.news import SessionNews
from openclawd.store.records import RunRecord, StoredMessage
from openclawd.store.runs import RunQueue

_ENDED = "run-end"
_CAME = "send"


@attrs.define(eq=False, repr=False)
class _Bell:
    """Rings once, for all who listen."""

    rung: trio.Event = attrs.field(factory=trio.Event)
    holders: int = 0


class Waiting:
    """SessionNews that passes on what it hears, and wakes those who wait for a run."""

    def __init__(self, news: SessionNews, runs: RunQueue) -> None:
        self._news = news
        self._runs = runs
        # By session key; under None for a run that nobody has heard of yet.
        self._bells: dict[str | None, _Bell] = {}

    def changed(self, key: str, reason: str) -> None:
        """See SessionNews."""
        self._news.changed(key, reason)
        if reason == _ENDED:
            self._ring(key)
        elif reason == _CAME:
            self._ring(None)

    def message(self, key: str, run_id: str | None, stored: StoredMessage) -> None:
        """See SessionNews."""
        self._news.message(key, run_id, stored)

    async def outcome(self, run_id: str, timeout_s: float) -> RunRecord | None:
        """The run when it has ended; as it stands after that time, None if there is no such run."""
        run = await self._runs.find(run_id)
        with trio.move_on_after(timeout_s):
            while run is None or not run.finished:
                key = None if run is None else run.session_key
                with self._listening(key) as rung:
                    # Looked at again, now that its end would be heard.
                    run = await self._runs.find(run_id)
                    if run is not None and (run.finished or key is None):
                        continue
                    await rung.wait()
        return run

    @contextmanager
    def _listening(self, key: str | None) -> Iterator[trio.Event]:
        bell = self._bells.setdefault(key, _Bell())
        bell.holders += 1
        try:
            yield bell.rung
        finally:
            bell.holders -= 1
            if not bell.holders and self._bells.get(key) is bell:
                del self._bells[key]

    def _ring(self, key: str | None) -> None:
        bell = self._bells.pop(key, None)
        if bell is not None:
            bell.rung.set()
