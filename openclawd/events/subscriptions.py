"""Who asked to be told about sessions: of changes to any of them, and of the messages of single ones.

Keys are canonical when they come here. What a client asked for is forgotten when it leaves; how much it may
ask for is bounded, as it is memory that a client takes from the gateway.
"""

from typing import Final

# A page shows a handful of conversations at once; at 512 characters a key this is 64 KiB at most.
MAX_SESSIONS: Final = 128

_NOBODY: Final[frozenset[str]] = frozenset()


class TooManySubscriptions(Exception):
    """The connection follows as many sessions as it may."""


class Subscriptions:
    """Connection ids by what they want to hear."""

    def __init__(self) -> None:
        self._of_all: set[str] = set()
        self._of_session: dict[str, set[str]] = {}
        self._keys: dict[str, set[str]] = {}

    @property
    def sessions_listeners(self) -> frozenset[str]:
        """Who wants to know of changes to sessions."""
        return frozenset(self._of_all)

    def message_listeners(self, key: str) -> frozenset[str]:
        """Who wants the messages of the session `key`."""
        return frozenset(self._of_session.get(key, _NOBODY))

    def sessions(self, connection_id: str, *, on: bool) -> None:
        """Begin or stop telling a connection of changes to sessions."""
        (self._of_all.add if on else self._of_all.discard)(connection_id)

    def messages(self, connection_id: str, key: str, *, on: bool) -> None:
        """Begin or stop giving a connection the messages of `key`. Raises TooManySubscriptions."""
        if on:
            keys = self._keys.setdefault(connection_id, set())
            if key not in keys and len(keys) >= MAX_SESSIONS:
                raise TooManySubscriptions
            keys.add(key)
            self._of_session.setdefault(key, set()).add(connection_id)
        else:
            self._stop(connection_id, key)

    def leave(self, connection_id: str) -> None:
        """Forget a connection; unknown ones are ignored."""
        self._of_all.discard(connection_id)
        for key in tuple(self._keys.get(connection_id, ())):
            self._stop(connection_id, key)

    def _stop(self, connection_id: str, key: str) -> None:
        _take(self._keys, connection_id, key)
        _take(self._of_session, key, connection_id)


def _take(sets: dict[str, set[str]], name: str, item: str) -> None:
    """Take `item` out of one of the sets; one that is empty then is not kept."""
    kept = sets.get(name)
    if kept is not None:
        kept.discard(item)
        if not kept:
            del sets[name]
