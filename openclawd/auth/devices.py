"""The registry of devices: who is paired, who waits for approval, which device tokens are valid.

Every change is in the store before the call returns, and only then visible to the lookups; the lookups are
synchronous, so that admission can ask them in the middle of a decision. The changes of one device follow each
other, and so do those of the requests; those of different devices may share one flush to disk. `new_lock`
makes a reusable asynchronous context manager that excludes (a `trio.Lock`); it is handed in, as are clock,
randomness and store, because nothing here does I/O. At most 64 requests wait at once, and the oldest gives
way, so strangers cannot fill the store.
"""

import base64
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Final, Protocol, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

import attrs

from openclawd.auth.pairing import (
    OLDER_TOKENS_MAX,
    PairedDevice,
    PairingAsk,
    PairingRequest,
    RoleTokens,
    TokenDigest,
    digest_of,
    merged,
    read_document,
)
from openclawd.auth.scopes import covers
from openclawd.protocol.codec import InvalidValue, unstructure
from openclawd.protocol.hello import IssuedToken

_LOG: Final = logging.getLogger("openclawd.devices")

# As in stock: long enough to walk to another terminal.
REQUEST_TTL_MS: Final = 300_000
# Each is a few hundred bytes; nobody approves more than these by hand.
REQUESTS_MAX: Final = 64
# 256 bits, as in stock.
_TOKEN_BYTES: Final = 32
# A reconnecting page must not cost a write each time.
_TOUCH_INTERVAL_MS: Final = 60_000

T = TypeVar("T")


class DeviceStore(Protocol):
    """Where the documents live. Each call returns once the change is durable."""

    async def load(self) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
        """Devices and requests."""

    async def put_device(self, device_id: str, document: dict[str, object]) -> None:
        """Insert or replace."""

    async def delete_device(self, device_id: str) -> None:
        """Remove; absent is fine."""

    async def put_request(self, request_id: str, document: dict[str, object]) -> None:
        """Insert or replace."""

    async def delete_request(self, request_id: str) -> None:
        """Remove; absent is fine."""


class NotCovered(Exception):
    """Who approves or removes holds less than what it is about."""


class TokenVerdict(Enum):
    """What a device token is worth for a role and the scopes asked for."""

    VALID = "valid"
    MISMATCH = "mismatch"
    """Unknown device, role or token, or revoked."""
    SCOPES = "scopes"
    """The token is right, but was issued for less."""


class DeviceView(Protocol):
    """What admission may ask, all of it from memory."""

    def find(self, device_id: str) -> PairedDevice | None:
        """The paired device."""

    def verify_token(self, device_id: str, role: str, token: str, scopes: Collection[str]) -> TokenVerdict:
        """Judge a device token."""


class Devices:
    """The registry. Call `load` once before anything else."""

    def __init__(
        self,
        store: DeviceStore,
        *,
        now_ms: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        new_lock: Callable[[], AbstractAsyncContextManager[object]],
    ) -> None:
        self._store = store
        self._now_ms = now_ms
        self._random_bytes = random_bytes
        self._new_lock = new_lock
        # Who needs both takes this one first.
        self._requests_lock = new_lock()
        # A lock lives as long as somebody holds it or waits for it.
        self._device_locks: WeakValueDictionary[str, AbstractAsyncContextManager[object]] = (
            WeakValueDictionary()
        )
        self._paired: dict[str, PairedDevice] = {}
        self._requests: dict[str, PairingRequest] = {}

    async def load(self) -> None:
        """Read the store. A document that cannot be read is left there, logged, and its device unknown."""
        devices, requests = await self._store.load()
        self._paired = {device.device_id: device for device in _readable(devices, PairedDevice)}
        self._requests = {request.request_id: request for request in _readable(requests, PairingRequest)}

    def find(self, device_id: str) -> PairedDevice | None:
        """The paired device."""
        return self._paired.get(device_id)

    def verify_token(self, device_id: str, role: str, token: str, scopes: Collection[str]) -> TokenVerdict:
        """Judge a device token; the caller has checked the device's signature."""
        known = self._known_token(device_id, role, token)
        if known is None:
            return TokenVerdict.MISMATCH
        return TokenVerdict.VALID if covers(known.scopes, scopes) else TokenVerdict.SCOPES

    def list(self) -> dict[str, object]:
        """`device.pair.list`: what waits and what is paired, the newest first; no key material but public."""
        pending = sorted(self.waiting(), key=lambda request: request.ts, reverse=True)
        return {
            "pending": [request.to_wire() for request in pending],
            "paired": [device.to_wire() for device in self.paired()],
        }

    def paired(self) -> tuple[PairedDevice, ...]:
        """Every paired device, the newest approval first."""
        return tuple(sorted(self._paired.values(), key=lambda device: device.approved_at_ms, reverse=True))

    async def pair(self, ask: PairingAsk) -> PairedDevice:
        """Pair at once (a silent approval), or widen what the device is paired for."""
        async with self._device_lock(ask.device_id):
            device = await self._approve(ask)
        if self._requests_of(ask.device_id):
            async with self._requests_lock:
                for request in self._requests_of(ask.device_id):
                    await self._drop_request(request.request_id)
        return device

    async def request(self, ask: PairingAsk) -> tuple[PairingRequest, bool]:
        """Store a request for approval; True when there is something new to approve.

        A device that asks again for what it waits for goes on waiting under the same id. One that asks for
        more gets a new id, so that nobody approves what he has not seen.
        """
        async with self._requests_lock:
            await self._expire()
            waiting = next(iter(self._requests_of(ask.device_id)), None)
            request = self._merged_request(waiting, ask)
            if waiting is not None and (request.roles, request.scopes) != (waiting.roles, waiting.scopes):
                await self._drop_request(waiting.request_id)
                request = attrs.evolve(request, request_id=self._new_request_id())
                waiting = None
            if waiting is None and len(self._requests) >= REQUESTS_MAX:
                oldest = min(self._requests.values(), key=lambda other: other.ts)
                await self._drop_request(oldest.request_id)
            await self._store.put_request(request.request_id, unstructure(request))
            self._requests[request.request_id] = request
            return request, waiting is None

    async def approve(self, request_id: str, *, approver: Collection[str]) -> PairedDevice | None:
        """Pair what the request asks for, added to what the device has; None when it is gone.

        Raises NotCovered when `approver`, the scopes of who approves, do not cover what is asked for: nobody
        gives away what he does not hold himself.
        """
        async with self._requests_lock:
            await self._expire()
            request = self._requests.get(request_id)
            if request is None:
                return None
            if not covers(approver, request.scopes):
                raise NotCovered
            async with self._device_lock(request.device_id):
                device = await self._approve(_ask_of(request), roles=request.roles)
            await self._drop_request(request_id)
            return device

    async def reject(self, request_id: str) -> PairingRequest | None:
        """Forget a request; None when there is no such request."""
        async with self._requests_lock:
            await self._expire()
            request = self._requests.get(request_id)
            if request is not None:
                await self._drop_request(request_id)
            return request

    async def remove(self, device_id: str, *, remover: Collection[str]) -> bool:
        """Forget a device and its tokens; False when it is unknown. Raises NotCovered, as `approve` does."""
        async with self._device_lock(device_id):
            device = self._paired.get(device_id)
            if device is None:
                return False
            if not covers(remover, device.scopes):
                raise NotCovered
            await self._store.delete_device(device_id)
            del self._paired[device_id]
            return True

    async def issue_token(
        self, device_id: str, role: str, scopes: tuple[str, ...], presented: str | None = None
    ) -> IssuedToken | None:
        """A device token for a paired device: the presented one where it will do, else a new one.

        Only digests are kept, so a token that the client did not present cannot be given back; older tokens
        of the device and role stay valid, at most 8 of them. None when the device is gone meanwhile.
        """
        if presented is not None:
            known = self._known_token(device_id, role, presented)
            if known is not None and covers(known.scopes, scopes):
                return IssuedToken(presented, known.created_at_ms, known.scopes)
        async with self._device_lock(device_id):
            device = self._paired.get(device_id)
            if device is None:
                return None
            now = self._now_ms()
            token = _base64url(self._random_bytes(_TOKEN_BYTES))
            digest = TokenDigest(digest_of(token), tuple(sorted(scopes)), now)
            await self._put(_with_token(device, role, digest, now))
            return IssuedToken(token, now, digest.scopes)

    async def touch(self, device_id: str, role: str, remote_ip: str | None) -> None:
        """Note that the device is here; written at most once a minute, and at once for a new address."""
        if self._touched(device_id, role, remote_ip) is None:
            return
        async with self._device_lock(device_id):
            touched = self._touched(device_id, role, remote_ip)
            if touched is not None:
                await self._put(touched)

    def _touched(self, device_id: str, role: str, remote_ip: str | None) -> PairedDevice | None:
        """The device as it is after a touch; None when there is nothing to write, or no such device."""
        device = self._paired.get(device_id)
        if device is None:
            return None
        now = self._now_ms()
        tokens = device.tokens.get(role)
        used = tokens.last_used_at_ms if tokens is not None else None
        if device.remote_ip == remote_ip and (
            tokens is None or (used is not None and now - used < _TOUCH_INTERVAL_MS)
        ):
            return None
        every = dict(device.tokens)
        if tokens is not None:
            every[role] = attrs.evolve(tokens, last_used_at_ms=now)
        return attrs.evolve(device, remote_ip=remote_ip, tokens=every)

    def _device_lock(self, device_id: str) -> AbstractAsyncContextManager[object]:
        lock = self._device_locks.get(device_id)
        if lock is None:
            lock = self._device_locks[device_id] = self._new_lock()
        return lock

    def _known_token(self, device_id: str, role: str, token: str) -> TokenDigest | None:
        device = self._paired.get(device_id)
        tokens = device.tokens.get(role) if device is not None else None
        return tokens.find(token) if tokens is not None else None

    def waiting(self) -> tuple[PairingRequest, ...]:
        """Requests that can still be approved."""
        horizon = self._now_ms() - REQUEST_TTL_MS
        return tuple(request for request in self._requests.values() if request.ts > horizon)

    def _requests_of(self, device_id: str) -> tuple[PairingRequest, ...]:
        return tuple(request for request in self._requests.values() if request.device_id == device_id)

    def _merged_request(self, waiting: PairingRequest | None, ask: PairingAsk) -> PairingRequest:
        return PairingRequest(
            request_id=waiting.request_id if waiting else self._new_request_id(),
            device_id=ask.device_id,
            public_key=ask.public_key,
            client_id=ask.client_id,
            client_mode=ask.client_mode,
            role=waiting.role if waiting else ask.role,
            roles=merged(waiting.roles if waiting else (), (ask.role,)),
            scopes=merged(waiting.scopes if waiting else (), ask.scopes),
            silent=False,
            is_repair=ask.device_id in self._paired,
            ts=self._now_ms(),
            display_name=ask.display_name or (waiting.display_name if waiting else None),
            platform=ask.platform,
            device_family=ask.device_family,
            remote_ip=ask.remote_ip,
        )

    def _new_request_id(self) -> str:
        return str(UUID(bytes=self._random_bytes(16), version=4))

    async def _approve(self, ask: PairingAsk, *, roles: tuple[str, ...] = ()) -> PairedDevice:
        now = self._now_ms()
        known = self._paired.get(ask.device_id)
        device = PairedDevice(
            device_id=ask.device_id,
            public_key=ask.public_key,
            client_id=ask.client_id,
            client_mode=ask.client_mode,
            role=ask.role,
            roles=merged(known.roles if known else (), (*roles, ask.role)),
            scopes=merged(known.scopes if known else (), ask.scopes),
            created_at_ms=known.created_at_ms if known else now,
            approved_at_ms=now,
            display_name=ask.display_name or (known.display_name if known else None),
            platform=ask.platform,
            device_family=ask.device_family,
            remote_ip=ask.remote_ip,
            tokens=known.tokens if known else {},
        )
        await self._put(device)
        return device

    async def _put(self, device: PairedDevice) -> None:
        await self._store.put_device(device.device_id, unstructure(device))
        self._paired[device.device_id] = device

    async def _drop_request(self, request_id: str) -> None:
        await self._store.delete_request(request_id)
        self._requests.pop(request_id, None)

    async def _expire(self) -> None:
        live = {request.request_id for request in self.waiting()}
        for request_id in self._requests.keys() - live:
            await self._drop_request(request_id)


def _with_token(device: PairedDevice, role: str, digest: TokenDigest, now: int) -> PairedDevice:
    known = device.tokens.get(role)
    if known is None or known.revoked_at_ms is not None:
        tokens = RoleTokens(role, digest.scopes, now, (digest,), last_used_at_ms=now)
    else:
        tokens = attrs.evolve(
            known,
            scopes=digest.scopes,
            digests=(*known.digests[-OLDER_TOKENS_MAX:], digest),
            last_used_at_ms=now,
        )
    return attrs.evolve(device, tokens={**device.tokens, role: tokens})


def _ask_of(request: PairingRequest) -> PairingAsk:
    return PairingAsk(
        device_id=request.device_id,
        public_key=request.public_key,
        client_id=request.client_id,
        client_mode=request.client_mode,
        role=request.role,
        scopes=request.scopes,
        display_name=request.display_name,
        platform=request.platform,
        device_family=request.device_family,
        remote_ip=request.remote_ip,
    )


def _readable(documents: Iterable[Mapping[str, object]], cls: type[T]) -> list[T]:
    values = []
    for document in documents:
        try:
            values.append(read_document(document, cls))
        except InvalidValue as error:
            fields = {"deviceId": document.get("deviceId"), "problem": error.text()}
            _LOG.warning("device record unreadable", extra={"fields": fields})
    return values


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
