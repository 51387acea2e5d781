"""Requests to pair: who waits for a person, one a device, for five minutes after it last asked.

A device that asks again for what it waits for goes on waiting under the same id. One that asks for more gets
a new id, so that nobody approves what he has not seen. At most 64 wait; where more come, the oldest of the
address that has most of them gives way, so that nobody crowds out the owner's. How a request ended is
remembered for a while, for who waits for that.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Final
from uuid import UUID

import attrs

from openclawd.auth.device_records import DeviceStore
from openclawd.auth.pairing import PairingAsk, PairingRequest, merged
from openclawd.protocol.codec import unstructure

# As in stock: long enough to walk to another terminal.
REQUEST_TTL_MS: Final = 300_000
# Each is a few hundred bytes; nobody approves more than these by hand.
REQUESTS_MAX: Final = 64
# What a live upgrade may name (protocol.schema.json); more than these together are no longer one wish.
SCOPES_TOGETHER_MAX: Final = 8
# A device that asks every second must not cost a write each time.
_RENEW_INTERVAL_MS: Final = 60_000
# For those who ask how it ended a little late.
_ENDINGS_KEPT: Final = 256
# Pages that wait ask every few seconds; by then all tabs of the device have heard that it was turned down.
_REJECTION_TOLD_MS: Final = 6_000


class Ending(Enum):
    """How a request ended."""

    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    """Nobody answered in time, or the device asked for something else meanwhile."""


@attrs.define(eq=False, repr=False)
class Ended:
    """A request that waits no longer; `told_ms` is when its device came again and heard of that."""

    request: PairingRequest
    ending: Ending
    at_ms: int
    told_ms: int | None = None


class PairingRequests:
    """Those that wait. Who changes anything holds `lock`, also across the calls that belong together."""

    def __init__(
        self,
        store: DeviceStore,
        *,
        now_ms: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        lock: AbstractAsyncContextManager[object],
    ) -> None:
        self.lock = lock
        self._store = store
        self._now_ms = now_ms
        self._random_bytes = random_bytes
        self._waiting: dict[str, PairingRequest] = {}
        # By id: when it was last written, as a request that is renewed often is not written each time.
        self._written_ms: dict[str, int] = {}
        self._ended: OrderedDict[str, Ended] = OrderedDict()
        self._watchers: dict[str, list[Callable[[], None]]] = {}

    def restore(self, requests: Mapping[str, PairingRequest]) -> None:
        """Take what the store held."""
        self._waiting = dict(requests)
        self._written_ms = {request.request_id: request.ts for request in requests.values()}

    def waiting(self) -> tuple[PairingRequest, ...]:
        """Those that can still be approved."""
        horizon = self._now_ms() - REQUEST_TTL_MS
        return tuple(request for request in self._waiting.values() if request.ts > horizon)

    def of_device(self, device_id: str) -> tuple[PairingRequest, ...]:
        """Those of one device: none or one."""
        return tuple(request for request in self.waiting() if request.device_id == device_id)

    def find(self, request_id: str) -> PairingRequest | None:
        """The request, if it can still be approved."""
        return next((request for request in self.waiting() if request.request_id == request_id), None)

    def ended(self, request_id: str) -> Ended | None:
        """How a request ended; None when it waits, never was, or ended long ago."""
        return self._ended.get(request_id)

    def tell_rejection(self, device_id: str) -> PairingRequest | None:
        """What the device was turned down for, when it comes and has not heard of it: told once, and to its
        other tabs that ask at about the same time. After that it may ask anew.
        """
        now_ms = self._now_ms()
        latest = next(
            (ended for ended in reversed(self._ended.values()) if ended.request.device_id == device_id), None
        )
        if latest is None or latest.ending is not Ending.REJECTED:
            return None
        is_over = now_ms - latest.at_ms >= REQUEST_TTL_MS
        if is_over or (latest.told_ms is not None and now_ms - latest.told_ms >= _REJECTION_TOLD_MS):
            return None
        if latest.told_ms is None:
            latest.told_ms = now_ms
        return latest.request

    def watch(self, request_id: str, ended: Callable[[], None]) -> Callable[[], None]:
        """Call `ended` when the request ends otherwise than by its time; the result takes that back."""
        watchers = self._watchers.setdefault(request_id, [])
        watchers.append(ended)

        def unwatch() -> None:
            watchers.remove(ended)
            if not watchers:
                self._watchers.pop(request_id, None)

        return unwatch

    async def add(self, ask: PairingAsk, *, is_repair: bool) -> tuple[PairingRequest, bool]:
        """Store what a device asks for; True when there is something new to approve."""
        await self.expire()
        waiting = next(iter(self.of_device(ask.device_id)), None)
        request = self._merged(waiting, ask, is_repair=is_repair)
        if waiting is not None and (request.roles, request.scopes) != (waiting.roles, waiting.scopes):
            await self.end(waiting.request_id, Ending.EXPIRED)
            request = attrs.evolve(request, request_id=self._new_id())
            waiting = None
        if waiting is None and len(self._waiting) >= REQUESTS_MAX:
            await self.end(self._most_dispensable().request_id, Ending.EXPIRED)
        if waiting is None or self._is_worth_writing(waiting, request):
            await self._store.put_request(request.request_id, unstructure(request))
            self._written_ms[request.request_id] = request.ts
        self._waiting[request.request_id] = request
        return request, waiting is None

    async def end(self, request_id: str, ending: Ending) -> None:
        """Forget a request, for that reason."""
        await self._store.delete_request(request_id)
        request = self._waiting.pop(request_id, None)
        self._written_ms.pop(request_id, None)
        if request is None:
            return
        self._ended[request_id] = Ended(request, ending, self._now_ms())
        if len(self._ended) > _ENDINGS_KEPT:
            self._ended.popitem(last=False)
        for ended in tuple(self._watchers.get(request_id, ())):
            ended()

    async def expire(self) -> None:
        """Forget those whose time is over."""
        live = {request.request_id for request in self.waiting()}
        for request_id in self._waiting.keys() - live:
            await self.end(request_id, Ending.EXPIRED)

    def _merged(self, waiting: PairingRequest | None, ask: PairingAsk, *, is_repair: bool) -> PairingRequest:
        scopes = merged(waiting.scopes if waiting else (), ask.scopes)
        return PairingRequest(
            request_id=waiting.request_id if waiting else self._new_id(),
            device_id=ask.device_id,
            public_key=ask.public_key,
            client_id=ask.client_id,
            client_mode=ask.client_mode,
            role=waiting.role if waiting else ask.role,
            roles=merged(waiting.roles if waiting else (), (ask.role,)),
            scopes=scopes if len(scopes) <= SCOPES_TOGETHER_MAX else merged((), ask.scopes),
            silent=False,
            is_repair=is_repair,
            ts=self._now_ms(),
            display_name=ask.display_name or (waiting.display_name if waiting else None),
            platform=ask.platform,
            device_family=ask.device_family,
            remote_ip=ask.remote_ip,
            browser_origin=ask.browser_origin,
        )

    def _is_worth_writing(self, waiting: PairingRequest, request: PairingRequest) -> bool:
        written_ms = self._written_ms.get(request.request_id, 0)
        return request.ts - written_ms >= _RENEW_INTERVAL_MS or request != attrs.evolve(
            waiting, ts=request.ts
        )

    def _most_dispensable(self) -> PairingRequest:
        crowds = Counter(request.remote_ip for request in self._waiting.values())
        return max(self._waiting.values(), key=lambda request: (crowds[request.remote_ip], -request.ts))

    def _new_id(self) -> str:
        return str(UUID(bytes=self._random_bytes(16), version=4))
