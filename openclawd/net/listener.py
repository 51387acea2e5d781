"""Accepting connections, so that no flood of them can use up the descriptors.

Every connection has a slot. When there are no more, the oldest stranger (who was not admitted yet) makes room
for the newcomer, so that the right client gets in during a flood; admitted clients are never sent away. The
slots leave a reserve of descriptors for the database, the log and calls to models.
"""

import errno
import logging
import resource
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import attrs
import trio

# Database, log, lock, listeners, pipes and a few dozen calls to model providers.
RESERVED_DESCRIPTORS: Final = 128
# When even accepting fails for want of descriptors or memory.
ACCEPT_PAUSE_S: Final = 0.1
# More connections than this are no personal gateway's.
MAX_CONNECTIONS: Final = 20_000

# The listener itself is gone; any other error of accept(2) is the network's or passes.
_FATAL: Final = {errno.EBADF, errno.EINVAL, errno.ENOTSOCK}
_log = logging.getLogger("openclawd.listener")


@attrs.define(eq=False, repr=False)
class Slot:
    """One connection's place."""

    stream: trio.SocketStream
    scope: trio.CancelScope = attrs.Factory(trio.CancelScope)

    def evict(self) -> None:
        """End the connection at once and without a word: in a flood a goodbye would cost the descriptor."""
        self.scope.cancel()
        self.stream.socket.close()


Handler = Callable[[trio.SocketStream, Slot], Awaitable[None]]


class Slots:
    """The places that there are."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._strangers: dict[Slot, None] = {}
        self._clients: set[Slot] = set()

    def __len__(self) -> int:
        return len(self._strangers) + len(self._clients)

    def take(self, stream: trio.SocketStream) -> Slot | None:
        """A place for a newcomer; None when every place is a client's."""
        if len(self) >= self._limit:
            if not self._strangers:
                return None
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.evict()
        slot = Slot(stream)
        self._strangers[slot] = None
        return slot

    def settle(self, slot: Slot) -> None:
        """The connection is a client's now."""
        if slot in self._strangers:
            del self._strangers[slot]
            self._clients.add(slot)

    def give_back(self, slot: Slot) -> None:
        """The connection has ended."""
        self._strangers.pop(slot, None)
        self._clients.discard(slot)


def raise_descriptor_limit() -> int:
    """Raise the soft limit to the hard one; returns how many connections fit below it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + RESERVED_DESCRIPTORS
    target = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < target:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
            soft = target
        except (OSError, ValueError):
            _log.warning("descriptor limit stays low", extra={"fields": {"limit": soft}})
    available = MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else soft - RESERVED_DESCRIPTORS
    return max(16, min(MAX_CONNECTIONS, available))


async def serve_listeners(listeners: Sequence[trio.SocketListener], handler: Handler, slots: Slots) -> None:
    """Accept on every listener until cancelled; each connection runs `handler` in its own fence."""
    async with (
        trio.open_nursery(strict_exception_groups=True) as connection_nursery,
        trio.open_nursery(strict_exception_groups=True) as accept_nursery,
    ):
        for listener in listeners:
            accept_nursery.start_soon(_accept_loop, listener, handler, slots, connection_nursery)


async def _accept_loop(
    listener: trio.SocketListener, handler: Handler, slots: Slots, connection_nursery: trio.Nursery
) -> None:
    while True:
        try:
            stream = await listener.accept()
        except trio.ClosedResourceError:
            return  # the house takes nobody in any more
        except OSError as error:
            if error.errno in _FATAL:
                raise
            _log.warning("cannot accept", extra={"fields": {"error": str(error)}})
            await trio.sleep(ACCEPT_PAUSE_S)
            continue
        slot = slots.take(stream)
        if slot is None:
            await trio.aclose_forcefully(stream)
            _log.warning("connection refused", extra={"fields": {"reason": "every slot is a client's"}})
            continue
        connection_nursery.start_soon(_serve_connection, stream, handler, slots, slot)


async def _serve_connection(stream: trio.SocketStream, handler: Handler, slots: Slots, slot: Slot) -> None:
    """The fence: what goes wrong in one connection ends that one only."""
    try:
        with slot.scope:
            await handler(stream, slot)
    except* Exception as group:  # noqa: BLE001  the fence
        _log.error("connection failed", exc_info=group)
    finally:
        slots.give_back(slot)
        await trio.aclose_forcefully(stream)
