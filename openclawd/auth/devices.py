"""The registry of devices: who is paired and who waits for approval; its `tokens` say what they may show.

Every change is in the store before the call returns, and only then visible to the lookups; but for when and
where a device was last seen, which nobody shall wait for: `write_visits` writes that for all of them. The
lookups are synchronous, so that admission can ask them in the middle of a decision. Clock, randomness, store
and locks are handed in, because nothing here does I/O.
"""

import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final, Protocol

import attrs

from openclawd.auth.device_records import DeviceStore, Unreadable, read_rows
from openclawd.auth.device_tokens import TokenVerdict
from openclawd.auth.holders import Holder
from openclawd.auth.paired_devices import PairedDevices
from openclawd.auth.pairing import PairedDevice, PairingAsk, PairingRequest, merged
from openclawd.auth.pairing_requests import Ending, PairingRequests
from openclawd.auth.scopes import ADMIN, covers
from openclawd.auth.token_issuer import TokenIssuer
from openclawd.protocol.codec import unstructure

__all__ = ["DeviceView", "Devices", "TokenVerdict"]

_LOG: Final = logging.getLogger("openclawd.devices")

# A reconnecting page must not cost a write each time.
_TOUCH_INTERVAL_MS: Final = 60_000


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
        self._paired = PairedDevices(store, new_lock=new_lock)
        self._visits: set[str] = set()
        # Who needs its lock and a device's takes this one first.
        self.requests: Final = PairingRequests(
            store, now_ms=now_ms, random_bytes=random_bytes, lock=new_lock()
        )
        self.tokens: Final = TokenIssuer(self._paired, now_ms=now_ms, random_bytes=random_bytes)

    async def load(self) -> None:
        """Read the store. A device that cannot be read stays there, unknown; such a request is dropped."""
        device_rows, request_rows = await self._store.load()
        devices, unreadable = read_rows(device_rows, PairedDevice)
        self._paired.restore(devices, unreadable)
        for row in unreadable:
            _warn_of(row)
        requests, gone = read_rows(request_rows, PairingRequest)
        for row in gone:
            await self._store.delete_request(row.device_id)
        self.requests.restore(requests)

    def find(self, device_id: str) -> PairedDevice | None:
        """The paired device."""
        return self._paired.find(device_id)

    def verify_token(self, device_id: str, role: str, token: str, scopes: Collection[str]) -> TokenVerdict:
        """Judge a device token; the caller has checked the device's signature."""
        return self.tokens.verify(device_id, role, token, scopes)

    def list(self) -> dict[str, object]:
        """`device.pair.list`: what waits and what is paired, the newest first; no key material but public."""
        pending = sorted(self.waiting(), key=lambda request: request.ts, reverse=True)
        listed: dict[str, object] = {
            "pending": [request.to_wire() for request in pending],
            "paired": [device.to_wire() for device in self.paired()],
        }
        if self._paired.unreadable:
            listed["unreadable"] = [unstructure(row) for row in self._paired.unreadable]
        return listed

    def paired(self) -> tuple[PairedDevice, ...]:
        """Every paired device, the newest approval first."""
        return self._paired.all()

    def waiting(self) -> tuple[PairingRequest, ...]:
        """Requests that can still be approved."""
        return self.requests.waiting()

    async def pair(self, ask: PairingAsk) -> tuple[PairedDevice, tuple[str, ...]]:
        """Pair at once (a silent approval), or widen what the device is paired for.

        Also the ids of the requests that this settles, as the device has now what they asked for.
        """
        async with self._paired.lock(ask.device_id):
            device = await self._approve(ask, (ask.role,))
        if not self._settled_by(device):
            return device, ()
        async with self.requests.lock:
            settled = self._settled_by(device)
            for request_id in settled:
                await self.requests.end(request_id, Ending.APPROVED)
            return device, settled

    async def request(self, ask: PairingAsk) -> tuple[PairingRequest, bool]:
        """Store a request for approval; True when there is something new to approve."""
        async with self.requests.lock:
            is_repair = self._paired.find(ask.device_id) is not None
            return await self.requests.add(ask, is_repair=is_repair)

    async def approve(self, request_id: str, holder: Holder) -> tuple[PairingRequest, PairedDevice] | None:
        """Pair what the request asks for, added to what the device has; None when it is gone.

        Raises NotCovered when `holder` does not hold what is asked for.
        """
        async with self.requests.lock:
            await self.requests.expire()
            request = self.requests.find(request_id)
            if request is None:
                return None
            holder.may_give(request.roles, request.scopes)
            async with self._paired.lock(request.device_id):
                device = await self._approve(request.ask, request.roles)
            await self.requests.end(request_id, Ending.APPROVED)
            return request, device

    async def reject(self, request_id: str, holder: Holder) -> PairingRequest | None:
        """Forget a request; None when there is no such request. Raises NotCovered."""
        async with self.requests.lock:
            await self.requests.expire()
            request = self.requests.find(request_id)
            if request is not None:
                holder.may_refuse(request)
                await self.requests.end(request_id, Ending.REJECTED)
            return request

    async def remove(self, device_id: str, holder: Holder) -> bool:
        """Forget a device and its tokens; False when it is unknown. Raises NotCovered."""
        async with self._paired.lock(device_id):
            device = self._paired.find(device_id)
            if device is not None:
                holder.may_take(device)
            elif self._paired.is_unreadable(device_id):
                # Nobody knows what it holds.
                holder.may_give((), (ADMIN,))
            else:
                return False
            await self._paired.delete(device_id)
            return True

    async def remove_role(self, device_id: str, role: str, holder: Holder) -> bool:
        """Take a role and its tokens away, and the device with its last one; False where there is none."""
        async with self._paired.lock(device_id):
            device = self._paired.find(device_id)
            if device is None or role not in device.roles:
                return False
            holder.may_take(device)
            roles = tuple(other for other in device.roles if other != role)
            if not roles:
                await self._paired.delete(device_id)
                return True
            tokens = {name: entry for name, entry in device.tokens.items() if name != role}
            await self._paired.put(attrs.evolve(device, role=roles[0], roles=roles, tokens=tokens))
            return True

    async def rename(self, device_id: str, label: str, holder: Holder) -> bool:
        """Give a device its owner's name for it; False when it is unknown. Raises NotCovered."""
        async with self._paired.lock(device_id):
            device = self._paired.find(device_id)
            if device is None:
                return False
            holder.may_take(device)
            await self._paired.put(attrs.evolve(device, operator_label=label))
            return True

    async def adopt(self, devices: Iterable[PairedDevice]) -> int:
        """Take over devices that were paired elsewhere, save those that are known here; how many."""
        adopted = 0
        for device in devices:
            async with self._paired.lock(device.device_id):
                if self._paired.find(device.device_id) is None:
                    await self._paired.put(device)
                    adopted += 1
        return adopted

    def touch(self, device_id: str, role: str, remote_ip: str | None) -> None:
        """Note that the device is here, once a minute, and whenever its address is new."""
        touched = self._touched(device_id, role, remote_ip)
        if touched is not None:
            # It is lost where a change of the device is just being written, which knows nothing of it.
            self._paired.note(touched)
            self._visits.add(device_id)

    async def write_visits(self) -> None:
        """Write what was noted; what cannot be waits for the next time, unless the store is damaged."""
        if not self._visits:
            return
        visits, self._visits = self._visits, set()
        seen = (self._paired.find(device_id) for device_id in visits)
        try:
            await self._store.amend_devices(
                {device.device_id: partial(_amend, device) for device in seen if device is not None}
            )
        except BaseException:
            self._visits |= visits
            raise

    def _touched(self, device_id: str, role: str, remote_ip: str | None) -> PairedDevice | None:
        """The device as it is after a touch; None when there is nothing to write, or no such device."""
        device = self._paired.find(device_id)
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

    async def _approve(self, ask: PairingAsk, roles: tuple[str, ...]) -> PairedDevice:
        """The device with all that is asked for added to what it has; its lock is held."""
        now = self._now_ms()
        known = self._paired.find(ask.device_id)
        device = PairedDevice(
            device_id=ask.device_id,
            public_key=ask.public_key,
            client_id=ask.client_id,
            client_mode=ask.client_mode,
            role=ask.role,
            roles=merged(known.roles if known else (), roles),
            scopes=merged(known.scopes if known else (), ask.scopes),
            created_at_ms=known.created_at_ms if known else now,
            approved_at_ms=now,
            display_name=ask.display_name or (known.display_name if known else None),
            platform=ask.platform,
            device_family=ask.device_family,
            remote_ip=ask.remote_ip,
            operator_label=known.operator_label if known else None,
            tokens=known.tokens if known else {},
        )
        await self._paired.put(device)
        return device

    def _settled_by(self, device: PairedDevice) -> tuple[str, ...]:
        return tuple(
            request.request_id
            for request in self.requests.of_device(device.device_id)
            if set(request.roles) <= set(device.roles)
            and covers(device.scopes, request.scopes)
            and (request.platform, request.device_family) == (device.platform, device.device_family)
        )


def _amend(seen: PairedDevice, document: dict[str, object]) -> None:
    """Tell the document when and where the device was seen, and nothing else: the rest may be newer."""
    if seen.remote_ip is None:
        document.pop("remoteIp", None)
    else:
        document["remoteIp"] = seen.remote_ip
    stored = document.get("tokens")
    for role, tokens in seen.tokens.items():
        there = stored.get(role) if isinstance(stored, dict) else None
        if isinstance(there, dict) and tokens.last_used_at_ms is not None:
            there["lastUsedAtMs"] = tokens.last_used_at_ms


def _warn_of(row: Unreadable) -> None:
    fields = {
        "device": row.device_id,
        "problem": row.problem,
        "hint": f"it has to be paired again; to forget it: openclawd devices remove {row.device_id}",
    }
    _LOG.warning("device record unreadable", extra={"fields": fields})
