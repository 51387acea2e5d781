"""Sockets that nobody has said anything on. None of them has a task: thousands may lie here at no cost."""

import selectors
import socket
from typing import Generic, Protocol, TypeVar

import trio


class HasSocket(Protocol):
    """What is silent."""

    socket: socket.socket


Silent = TypeVar("Silent", bound=HasSocket)


class Silence(Generic[Silent]):
    """Who is silent, and since when (trio.current_time)."""

    def __init__(self) -> None:
        # A descriptor that can be waited for itself, of either kind that there is (epoll(7), kqueue(2)).
        self._selector = selectors.DefaultSelector()
        self._since: dict[Silent, float] = {}
        self._begun = trio.Event()

    def begin(self, silent: Silent) -> None:
        """From now on, until it is in `broken` or `end`ed."""
        self._selector.register(silent.socket, selectors.EVENT_READ, silent)
        self._since[silent] = trio.current_time()
        self._begun.set()

    def end(self, silent: Silent) -> None:
        """Nobody needs to listen any more; to be called before the socket is closed."""
        if self._since.pop(silent, None) is not None:
            self._selector.unregister(silent.socket)

    def close(self) -> None:
        """Nobody listens any more, to whoever is left."""
        self._since.clear()
        self._selector.close()

    def broken(self) -> list[Silent]:
        """Whose peer has spoken, or gone; they are silent no longer."""
        spoken: list[Silent] = [key.data for key, _ in self._selector.select(0)]
        for silent in spoken:
            self.end(silent)
        return spoken

    async def wait_broken(self) -> None:
        """Until `broken` has somebody to give."""
        await trio.lowlevel.wait_readable(self._selector.fileno())

    async def wait_longer_than(self, patience_s: float) -> list[Silent]:
        """Wait for some who have been silent for as long as that. They still are."""
        while True:
            while not self._since:
                self._begun = trio.Event()
                await self._begun.wait()
            await trio.sleep_until(next(iter(self._since.values())) + patience_s)
            limit = trio.current_time() - patience_s
            late: list[Silent] = []
            for silent, since in self._since.items():
                if since > limit:
                    break
                late.append(silent)
            if late:
                return late
