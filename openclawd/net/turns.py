"""Whose turn it is: sources in a circle, and each source's own in the order in which they came.

So a newcomer waits for one of every other source at most, and for those of his own. A pure queue.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

Holder = TypeVar("Holder", bound=Hashable)


class Turns(Generic[Holder]):
    """Who waits for a turn. A holder without a source (None) stands for itself."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, dict[Holder, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def wait(self, holder: Holder, source: str | None) -> None:
        """`holder` wants a turn."""
        self._queues.setdefault(holder if source is None else source, {})[holder] = None

    def give_up(self, holder: Holder, source: str | None) -> None:
        """`holder` wants none any more, if it wanted one."""
        key = holder if source is None else source
        queue = self._queues.get(key)
        if queue is not None:
            queue.pop(holder, None)
            if not queue:
                del self._queues[key]

    def next(self) -> Holder:
        """Whose turn it is now; its source is the last in the circle then. There must be somebody."""
        key = next(iter(self._queues))
        queue = self._queues.pop(key)
        holder = next(iter(queue))
        del queue[holder]
        if queue:
            self._queues[key] = queue
        return holder
