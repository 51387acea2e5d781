"""Everybody who is admitted, so that the house can say goodbye to all of them."""

from collections.abc import Callable

import trio

from openclawd.auth.scopes import NODE
from openclawd.gateway.client import Client
from openclawd.protocol.closes import DEVICE_REMOVED, Close


class Clients:
    """The admitted clients of one gateway."""

    def __init__(self) -> None:
        self._clients: set[Client] = set()
        self._empty = trio.Event()
        self._empty.set()
        self._closing: Close | None = None

    def __len__(self) -> int:
        return len(self._clients)

    def add(self, client: Client) -> None:
        """A client was admitted; one that comes in the middle of the goodbye is part of it."""
        if self._closing is not None:
            client.end(self._closing)
        self._clients.add(client)
        if self._empty.is_set():
            self._empty = trio.Event()

    def remove(self, client: Client) -> None:
        """A client is gone."""
        self._clients.discard(client)
        if not self._clients:
            self._empty.set()

    def nodes(self) -> frozenset[str]:
        """The ids of devices that are connected as nodes now."""
        return frozenset(
            client.device_id
            for client in self._clients
            if client.device_id is not None and client.role == NODE
        )

    def dismiss_device(self, device_id: str) -> None:
        """Send a device away that is paired no longer."""
        self.dismiss_where(lambda client: client.device_id == device_id, lambda _: DEVICE_REMOVED)

    def dismiss_where(self, chosen: Callable[[Client], bool], close: Callable[[Client], Close]) -> int:
        """Send some clients what waits for them, then close them; how many. Returns at once."""
        leaving = [client for client in self._clients if chosen(client)]
        for client in leaving:
            client.end(close(client))
        return len(leaving)

    async def dismiss(self, close: Close) -> None:
        """Send every client what waits for it, then close it; returns when all are gone."""
        self._closing = close
        for client in tuple(self._clients):
            client.end(close)
        await self._empty.wait()
