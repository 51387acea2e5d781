"""Telling everybody who is here: the `presence` event, soon after a change, and once for changes that come
together.

The event carries the whole list. When a thousand clients come or leave at once, as they do in a restart,
telling it after each of them would be a million entries.
"""

from collections.abc import Callable
from typing import Final

import trio

from openclawd.auth.scopes import READ
from openclawd.events.event import Event
from openclawd.vitals.presence import PresenceList

# Nobody sees the difference between now and a quarter of a second later; and the longer the list, the more
# it costs to tell a crowd that is still arriving.
ANNOUNCE_GAP_S: Final = 0.25
ANNOUNCE_GAP_PER_ENTRY_S: Final = 0.01


class PresenceAnnouncer:
    """One task that publishes the list when it was asked to."""

    def __init__(
        self,
        presence: PresenceList,
        *,
        publish: Callable[[Event], None],
        health_version: Callable[[], int],
    ) -> None:
        self._presence = presence
        self._publish = publish
        self._health_version = health_version
        self._wanted = trio.Event()
        self._only: int | None = None

    def request(self, *, only: int | None = None) -> None:
        """The list has changed, for all clients or `only` those of one wire generation; never waits."""
        self._only = only if not self._wanted.is_set() or self._only == only else None
        self._wanted.set()

    async def serve(self) -> None:
        """Publish on request until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            listing = self._presence.listing()
            versions = {"presence": self._presence.version, "health": self._health_version()}
            self._publish(
                Event(
                    "presence",
                    {"presence": listing},
                    only=self._only,
                    scope=READ,
                    drop_if_slow=True,
                    state_version=versions,
                )
            )
            await trio.sleep(ANNOUNCE_GAP_S + ANNOUNCE_GAP_PER_ENTRY_S * len(listing))
