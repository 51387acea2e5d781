"""Telling everybody who is here: the `presence` event, soon after a change, and once for changes that come
together.

The event carries the whole list. When a thousand clients leave at once, as they do in a restart, telling it
after each of them would be a million entries.
"""

from collections.abc import Callable
from typing import Final

import trio

from openclawd.events.event import Event
from openclawd.vitals.presence import PresenceList

# Nobody sees the difference between now and a quarter of a second later.
ANNOUNCE_GAP_S: Final = 0.25


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

    def request(self) -> None:
        """The list has changed; never waits."""
        self._wanted.set()

    async def serve(self) -> None:
        """Publish on request until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            versions = {"presence": self._presence.version, "health": self._health_version()}
            payload = {"presence": self._presence.listing()}
            self._publish(
                Event(
                    "presence",
                    payload,
                    scope="operator.read",
                    drop_if_slow=True,
                    state_version=versions,
                )
            )
            await trio.sleep(ANNOUNCE_GAP_S)
