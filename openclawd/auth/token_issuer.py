"""Device tokens of paired devices: judged, issued, rotated, revoked; durable before they count."""

from collections.abc import Callable, Collection

import attrs

from openclawd.auth.device_tokens import (
    RoleTokens,
    TokenDigest,
    TokenVerdict,
    digest_of,
    issued,
    new_token,
)
from openclawd.auth.holders import Holder
from openclawd.auth.paired_devices import PairedDevices
from openclawd.auth.pairing import PairedDevice
from openclawd.auth.scopes import OPERATOR, covers
from openclawd.protocol.hello import IssuedToken


class TokenIssuer:
    """Everything about the tokens of the devices in `paired`."""

    def __init__(
        self,
        paired: PairedDevices,
        *,
        now_ms: Callable[[], int],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._paired = paired
        self._now_ms = now_ms
        self._random_bytes = random_bytes

    def verify(self, device_id: str, role: str, token: str, scopes: Collection[str]) -> TokenVerdict:
        """Judge a token; the caller has checked the device's signature."""
        tokens = self._tokens(device_id, role)
        return TokenVerdict.MISMATCH if tokens is None else tokens.verdict(token, scopes)

    async def issue(
        self,
        device_id: str,
        role: str,
        scopes: tuple[str, ...],
        presented: str | None = None,
        *,
        may_be_new: bool = True,
    ) -> IssuedToken | None:
        """A token for a paired device: the presented one where it will do, else a new one.

        Older tokens of the device and role stay valid, at most 8 of them, and rather those that somebody came
        with. None when the device is gone meanwhile, or the role taken away; and, unless it `may_be_new`,
        where the presented one will not do.
        """
        known = _found(self._tokens(device_id, role), presented, scopes)
        if presented is not None and known is not None and known.used_at_ms is not None:
            return IssuedToken(presented, known.created_at_ms, known.scopes)
        async with self._paired.lock(device_id):
            device = self._paired.find(device_id)
            if device is None or role not in device.roles:
                return None
            tokens = device.tokens.get(role)
            known = _found(tokens, presented, scopes)
            if tokens is not None and presented is not None and known is not None:
                await self._put(device, tokens.used(known, self._now_ms()))
                return IssuedToken(presented, known.created_at_ms, known.scopes)
            if not may_be_new:
                return None
            token, digest = self._draw(scopes)
            await self._put(device, issued(device.tokens.get(role), role, digest))
            return IssuedToken(token, digest.created_at_ms, digest.scopes)

    async def rotate(
        self, device_id: str, role: str, scopes: Collection[str] | None, holder: Holder
    ) -> IssuedToken | None:
        """The one token that the device has for the role from now on; `scopes` None: for what it has now.

        None where the device has no such role, or was not approved for those scopes. Raises NotCovered: who
        rotates takes the old tokens away, and gives away what the new one is for.
        """
        async with self._paired.lock(device_id):
            device = self._paired.find(device_id)
            if device is None or role not in device.roles:
                return None
            known = device.tokens.get(role)
            if scopes is None:
                scopes = known.scopes if known is not None else device.scopes if role == OPERATOR else ()
            holder.may_take(device)
            if not covers(device.scopes, scopes):
                return None
            holder.may_give((role,), scopes)
            token, digest = self._draw(scopes)
            before = known or RoleTokens(role, digest.scopes, digest.created_at_ms)
            await self._put(device, before.rotated(digest))
            return IssuedToken(token, digest.created_at_ms, digest.scopes)

    async def revoke(self, device_id: str, role: str, holder: Holder) -> int | None:
        """Void every token that the device has for the role; when, in milliseconds since 1970.

        None where it never had one. Raises NotCovered.
        """
        async with self._paired.lock(device_id):
            device = self._paired.find(device_id)
            known = self._tokens(device_id, role)
            if device is None or known is None:
                return None
            holder.may_take(device)
            now_ms = self._now_ms()
            await self._put(device, known.revoked(now_ms))
            return now_ms

    def _tokens(self, device_id: str, role: str) -> RoleTokens | None:
        device = self._paired.find(device_id)
        return device.tokens.get(role) if device is not None else None

    def _draw(self, scopes: Collection[str]) -> tuple[str, TokenDigest]:
        token = new_token(self._random_bytes)
        return token, TokenDigest(digest_of(token), tuple(sorted(set(scopes))), self._now_ms())

    async def _put(self, device: PairedDevice, tokens: RoleTokens) -> None:
        await self._paired.put(attrs.evolve(device, tokens={**device.tokens, tokens.role: tokens}))


def _found(tokens: RoleTokens | None, presented: str | None, scopes: Collection[str]) -> TokenDigest | None:
    """The presented token, where it will do."""
    known = tokens.find(presented) if tokens is not None and presented is not None else None
    return known if known is not None and covers(known.scopes, scopes) else None
