"""News of sessions, for the clients that subscribed: what has changed, and what was said.

Whoever changes a session says so here in one call that never waits. When nobody listens, nothing happens;
else one task reads the row of each changed session once and tells of it, so that a burst of changes costs a
reading and not one each.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import trio

from openclawd.events.event import Event
from openclawd.events.session_events import session_changed, session_message
from openclawd.events.subscriptions import Subscriptions
from openclawd.sessions.history import LEFT_OUT_V3, LEFT_OUT_V4, MAX_TEXT_CHARS, numbered
from openclawd.store.errors import StoreError
from openclawd.store.records import StoredMessage

logger = logging.getLogger("openclawd.sessions")


class SessionNews(Protocol):
    """Where sessions tell what happens to them; keys are canonical. Neither call waits or fails."""

    def changed(self, key: str, reason: str) -> None:
        """A session was made, unmade or altered: `create`, `send`, `patch`, `reset`, `delete`, `compact`,
        `inject`, `run-start` or `run-end`.
        """
        ...

    def message(self, key: str, run_id: str | None, stored: StoredMessage) -> None:
        """A message was written into the transcript."""
        ...


class SubscribedNews:
    """SessionNews for those who listen; `serve` has to run for changes to be told."""

    def __init__(
        self,
        subscriptions: Subscriptions,
        *,
        publish: Callable[[Event], None],
        row: Callable[[str], Awaitable[Mapping[str, object] | None]],
        agent_of: Callable[[str], str],
        now_ms: Callable[[], int],
    ) -> None:
        self._subscriptions = subscriptions
        self._publish = publish
        self._row = row
        self._agent_of = agent_of
        self._now_ms = now_ms
        # Key to the reasons, in the order in which they came; as an ordered set, so that it stays small.
        self._owed: dict[str, dict[str, None]] = {}
        self._more = trio.Event()

    def changed(self, key: str, reason: str) -> None:
        """See SessionNews."""
        if self._subscriptions.sessions_listeners:
            self._owed.setdefault(key, {})[reason] = None
            self._more.set()

    def message(self, key: str, run_id: str | None, stored: StoredMessage) -> None:
        """See SessionNews."""
        listeners = self._subscriptions.message_listeners(key)
        if listeners:
            self._publish(
                session_message(
                    key,
                    agent_id=self._agent_of(key),
                    run_id=run_id,
                    message_id=str(stored.id),
                    message_seq=stored.seq,
                    form_v3=numbered(stored, MAX_TEXT_CHARS, LEFT_OUT_V3),
                    form_v4=numbered(stored, MAX_TEXT_CHARS, LEFT_OUT_V4),
                    listeners=listeners,
                )
            )

    async def serve(self) -> None:
        """Tell of changes until cancelled."""
        while True:
            await self._more.wait()
            self._more = trio.Event()
            while self._owed:
                key = next(iter(self._owed))
                reasons = self._owed.pop(key)
                try:
                    row = await self._row(key)
                except StoreError:
                    # The next change tells of this one, too.
                    logger.exception("session not read", extra={"fields": {"sessionKey": key}})
                    continue
                for reason in reasons:
                    self._tell(key, reason, row)

    def _tell(self, key: str, reason: str, row: Mapping[str, object] | None) -> None:
        listeners = self._subscriptions.sessions_listeners
        if listeners:
            self._publish(
                session_changed(
                    key,
                    reason,
                    agent_id=self._agent_of(key),
                    row=row,
                    now_ms=self._now_ms(),
                    listeners=listeners,
                )
            )
