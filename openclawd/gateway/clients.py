"""Everybody who is admitted, so that the house can say goodbye to all of them."""

from collections.abc import Callable, Iterator, Set
from functools import partial
from typing import Final

import trio

from openclawd.auth.scopes import NODE
from openclawd.gateway.client import Client
from openclawd.gateway.wire import CLOSE_PATIENCE_S
from openclawd.protocol.closes import Close, invalidated

_LOOK_AGAIN_S: Final = 0.01


class Clients:
    """The admitted clients of one gateway."""

    def __init__(self) -> None:
        self._clients: dict[Client, Callable[[Close], None]] = {}
        self._empty = trio.Event()
        self._empty.set()
        self._closing: Close | None = None
        self.asleep = 0
        """Those that are gone and whose tasks sleep on (see `dismiss`)."""
        self._patience_s = CLOSE_PATIENCE_S
        self._dropped_by_gone = 0

    def __len__(self) -> int:
        return len(self._clients)

    def __iter__(self) -> Iterator[Client]:
        return iter(self._clients)

    @property
    def dropped_events(self) -> int:
        """Events that were skipped for clients that did not read, gone ones included."""
        return self._dropped_by_gone + sum(client.dropped_events for client in self._clients)

    @property
    def are_leaving(self) -> bool:
        """Whether all of them are being sent away."""
        return self._closing is not None

    def add(self, client: Client, gone: Callable[[Close], None]) -> None:
        """A client was admitted; one that comes in the middle of the goodbye is part of it. `gone` is called
        once, with how it ended.
        """
        if self._closing is not None:
            client.end(self._closing, self._patience_s)
        self._clients[client] = gone
        if self._empty.is_set():
            self._empty = trio.Event()

    def remove(self, client: Client, close: Close) -> None:
        """A client is gone; again is harmless."""
        gone = self._clients.pop(client, None)
        if gone is None:
            return
        self._dropped_by_gone += client.dropped_events
        if not self._clients:
            self._empty.set()
        gone(close)

    def nodes(self) -> frozenset[str]:
        """The ids of devices that are connected as nodes now."""
        return frozenset(
            client.device_id
            for client in self._clients
            if client.device_id is not None and client.role == NODE
        )

    def dismiss_device(self, device_id: str, role: str | None, cause: str) -> None:
        """Send a device away whose credential is void, whatever let it in: in one role, or in all."""
        self.dismiss_where(
            lambda client: client.device_id == device_id and role in (None, client.role),
            lambda client: invalidated(cause, client.wire_generation),
        )

    def dismiss_where(self, chosen: Callable[[Client], bool], close: Callable[[Client], Close]) -> int:
        """Send some clients what waits for them, then close them; how many. Returns at once."""
        leaving = [client for client in self._clients if chosen(client)]
        for client in leaving:
            client.end(close(client))
        return len(leaving)

    async def catch_up(self, within_s: float, close: Close) -> None:
        """Let those for whom something waits now take it; who has not within that time is cut off."""
        behind = self._behind(self._clients.keys())
        with trio.move_on_after(within_s):
            while behind:
                await trio.sleep(_LOOK_AGAIN_S)
                behind = self._behind(behind)
        # Once more: one turn of the loop, in which a crowd is written to, may last longer than that.
        for client in self._behind(behind):
            client.cut(close)

    def _behind(self, among: Set[Client]) -> set[Client]:
        return {client for client in among & self._clients.keys() if client.buffered_bytes}

    async def dismiss(
        self,
        close: Close,
        patience_s: float = CLOSE_PATIENCE_S,
        heir: Callable[[int], None] | None = None,
        heir_takes: int = 0,
    ) -> None:
        """Send every client what waits for it, then close it, and wait `patience_s` for its answer to that;
        returns when all are gone. For as many as `heir_takes`, `heir` gets the connection's descriptor, and
        nobody waits for an answer. Who had asked for nothing leaves a task that sleeps until it is cancelled:
        to end a task is much more work than a goodbye, and a process that is about to be another need not.
        """
        self._closing = close
        self._patience_s = patience_s
        for number, client in enumerate(tuple(self._clients)):
            parted = None
            if heir is not None and number < heir_takes:
                parted = partial(self._part, client, close, heir)
            client.end(close, patience_s, parted)
        await self._empty.wait()

    def _part(self, client: Client, close: Close, heir: Callable[[int], None], descriptor: int) -> None:
        heir(descriptor)
        if client.is_idle:
            self.asleep += 1
            self.remove(client, close)
        else:
            client.cut(close)
