"""Device tokens: 256 random bits that a paired device shows beside its signature, kept as digests.

A device has tokens of its own for each role, several of them at once, as tabs and programs share one device
and only digests are kept: a token that a client did not bring cannot be given to it again. Rotating or
revoking ends all of them.
"""

import base64
import hashlib
from collections.abc import Callable, Collection
from enum import Enum
from typing import Final

import attrs

from openclawd.auth.scopes import covers
from openclawd.protocol.codec import unstructure

# Several tabs and programs share one device; each may hold a token of its own.
OLDER_TOKENS_MAX: Final = 8
# 256 bits, as in stock.
_TOKEN_BYTES: Final = 32


class TokenVerdict(Enum):
    """What a device token is worth for a role and the scopes asked for."""

    VALID = "valid"
    MISMATCH = "mismatch"
    """Unknown device, role or token, or revoked."""
    SCOPES = "scopes"
    """The token is right, but was issued for less."""


@attrs.frozen
class TokenDigest:
    """One valid token: its SHA-256 in hex, and what it was issued for."""

    digest: str
    scopes: tuple[str, ...]
    created_at_ms: int


@attrs.frozen
class RoleTokens:
    """The tokens of one device for one role, the newest last. `scopes` are the newest one's."""

    role: str
    scopes: tuple[str, ...]
    created_at_ms: int
    digests: tuple[TokenDigest, ...] = ()
    rotated_at_ms: int | None = None
    revoked_at_ms: int | None = None
    last_used_at_ms: int | None = None

    def find(self, token: str) -> TokenDigest | None:
        """The digest of `token`, unless revoked. A digest lookup reveals nothing by its timing."""
        if self.revoked_at_ms is not None:
            return None
        digest = digest_of(token)
        return next((known for known in self.digests if known.digest == digest), None)

    def verdict(self, token: str, scopes: Collection[str]) -> TokenVerdict:
        """What `token` is worth for `scopes`."""
        known = self.find(token)
        if known is None:
            return TokenVerdict.MISMATCH
        return TokenVerdict.VALID if covers(known.scopes, scopes) else TokenVerdict.SCOPES

    def rotated(self, digest: TokenDigest) -> "RoleTokens":
        """With `digest` as the only valid token."""
        return attrs.evolve(
            self,
            scopes=digest.scopes,
            digests=(digest,),
            rotated_at_ms=digest.created_at_ms,
            revoked_at_ms=None,
        )

    def revoked(self, now_ms: int) -> "RoleTokens":
        """Without any valid token."""
        return attrs.evolve(self, digests=(), revoked_at_ms=now_ms)

    def to_wire(self) -> dict[str, object]:
        """What `device.pair.list` shows of it."""
        wire = unstructure(self)
        del wire["digests"]
        return wire


def issued(known: RoleTokens | None, role: str, digest: TokenDigest) -> RoleTokens:
    """`known` with one more valid token; the oldest ones give way."""
    now_ms = digest.created_at_ms
    if known is None or known.revoked_at_ms is not None:
        return RoleTokens(role, digest.scopes, now_ms, (digest,), last_used_at_ms=now_ms)
    return attrs.evolve(
        known,
        scopes=digest.scopes,
        digests=(*known.digests[-OLDER_TOKENS_MAX:], digest),
        last_used_at_ms=now_ms,
    )


def new_token(random_bytes: Callable[[int], bytes]) -> str:
    """A token's text: base64url, unpadded."""
    return base64.urlsafe_b64encode(random_bytes(_TOKEN_BYTES)).rstrip(b"=").decode()


def digest_of(token: str) -> str:
    """SHA-256 in hex. A token of 32 random bytes needs no salt and no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
