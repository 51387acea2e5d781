"""Accepting connections, so that no flood of them uses up the descriptors.

Whoever is accepted is received (net/reception.py) and, when his turn has come, served in a fence of his own.
What can be received leaves a reserve of descriptors for the database, the log and calls to models.
"""

import errno
import logging
import resource
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

from openclawd.net.accepted import Connection
from openclawd.net.reception import Reception

# Database, log, lock, listeners, pipes and a few dozen calls to model providers.
RESERVED_DESCRIPTORS: Final = 128
# When even accepting fails for want of descriptors or memory.
ACCEPT_PAUSE_S: Final = 0.1
# More connections than this are no personal gateway's.
MAX_CONNECTIONS: Final = 20_000
# Accepted in one round of the event loop, so that everybody else has his turn, too.
ACCEPTED_A_ROUND: Final = 32

# The listener itself is gone; any other error of accept(2) is the network's or passes.
_FATAL: Final = {errno.EBADF, errno.EINVAL, errno.ENOTSOCK}
_log = logging.getLogger("openclawd.listener")

Handler = Callable[[Connection], Awaitable[None]]
Listeners = Sequence[tuple[socket.socket, Reception]]


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


async def serve_listeners(listeners: Listeners, handler: Handler) -> None:
    """Accept on every listener until cancelled or told to stop (`stop_accepting`); each connection runs
    `handler` in its own fence.
    """
    receptions = {reception for _, reception in listeners}
    try:
        async with trio.open_nursery(strict_exception_groups=True) as connection_nursery:
            for reception in receptions:
                _open(reception, handler, connection_nursery)
            for listening, reception in listeners:
                connection_nursery.start_soon(_accept_loop, listening, reception)
    finally:
        for reception in receptions:
            reception.close()


def stop_accepting(listeners: Listeners) -> None:
    """Take nobody in any more; who comes waits in the kernel's backlog, for the next generation."""
    for listening, reception in listeners:
        reception.leave()
        trio.lowlevel.notify_closing(listening)


def close_listeners(listeners: Listeners) -> None:
    """Take nobody in any more, and refuse who comes; who is in stays."""
    for listening, _ in listeners:
        trio.lowlevel.notify_closing(listening)
        listening.close()


def _open(reception: Reception, handler: Handler, connection_nursery: trio.Nursery) -> None:
    def start(connection: Connection) -> None:
        connection_nursery.start_soon(_serve_connection, connection, reception, handler)

    connection_nursery.start_soon(reception.listen)
    connection_nursery.start_soon(reception.give_turns, start)
    connection_nursery.start_soon(reception.send_away_the_silent)
    connection_nursery.start_soon(reception.floods.tell)


async def _accept_loop(listening: socket.socket, reception: Reception) -> None:
    if listening.fileno() < 0:
        return  # a stop came before the first round of the event loop
    listening.setblocking(False)
    while not reception.is_leaving():
        try:
            await trio.lowlevel.wait_readable(listening)
            for _ in range(ACCEPTED_A_ROUND):
                if reception.is_leaving():
                    return
                newcomer, address = listening.accept()
                newcomer.setblocking(False)
                await reception.receive(newcomer, address[0] if address else "")
        except BlockingIOError:
            pass
        except trio.ClosedResourceError:
            return  # the house takes nobody in any more
        except OSError as error:
            if listening.fileno() < 0:
                return
            if error.errno in _FATAL:
                raise
            _log.warning("cannot accept", extra={"fields": {"error": str(error)}})
            await trio.sleep(ACCEPT_PAUSE_S)


async def _serve_connection(connection: Connection, reception: Reception, handler: Handler) -> None:
    """The fence: what goes wrong in one connection ends that one only."""
    try:
        with connection.scope:
            await handler(connection)
    except* Exception as group:  # noqa: BLE001  the fence
        _log.error("connection failed", exc_info=group)
    finally:
        reception.give_back(connection)
        connection.stream.socket.close()
