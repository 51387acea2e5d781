"""What clients are told of an update while it goes on, made of what its process writes down. Pure.

The updater is another process, of the old version, that outlives the restart: so each generation of the
gateway goes by the file, and by whether anybody holds the lock.
"""

from typing import Any, Final

from openclawd.slots.progress import Progress

EVENT: Final = "openclawd.update"
# What says nothing to a client: which process it is, and when it last moved.
_OURS: Final = ("pid", "atMs")
_IDLE: Final[dict[str, Any]] = {"phase": None}


class UpdateWatch:
    """Told how things stand, it says what is new."""

    def __init__(self) -> None:
        self._under_way = False
        self._told: dict[str, Any] | None = None

    @property
    def under_way(self) -> bool:
        """Whether an updater was at work when it was last looked."""
        return self._under_way

    def look(self, progress: Progress | None, *, alive: bool) -> dict[str, Any] | None:
        """The payload of an event, or None. `alive`: an updater holds the lock.

        `phase` is null where an updater has ended without an end: there was nothing newer, or it died.
        """
        was, self._under_way = self._under_way, alive
        if not alive and not was:
            return None
        if progress is None:
            found = None if alive else _IDLE
        elif alive or progress.phase.is_end:
            found = {key: value for key, value in progress.document().items() if key not in _OURS}
        else:
            found = _IDLE
        if found is None or found == self._told:
            return None
        # The next update may go through the same.
        self._told = found if alive else None
        return found
