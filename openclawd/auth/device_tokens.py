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
# That nobody came back with a token yet says nothing of the newest ones.
_NEWEST_SPARED: Final = 4
# 256 bits, as in stock.
_TOKEN_BYTES: Final = 32


class TokenVerdict(Enum):
    """What a device token is worth for a role and the scopes asked for."""

    VALID = "valid"
    MISMATCH = "mismatch"
    """Unknown device, role or token, or revoked."""
    SCOPES = "scopes"
    """The token is right, but was issued for less."""


@attrs.frozen(eq=False, repr=False)
class TokenDigest:
    """One valid token: its SHA-256 in hex, what it was issued for, and when somebody first came with it."""

    digest: str
    scopes: tuple[str, ...]
    created_at_ms: int
    used_at_ms: int | None = None


@attrs.frozen(eq=False, repr=False)
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

    def used(self, token: TokenDigest, now_ms: int) -> "RoleTokens":
        """With a note that somebody came with `token`."""
        noted = attrs.evolve(token, used_at_ms=now_ms)
        return attrs.evolve(self, digests=tuple(noted if known is token else known for known in self.digests))

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
    """`known` with one more valid token; where there are too many, one that nobody ever came with gives way,
    so that a program which keeps none of its tokens does not void those of its device that are kept.
    """
    now_ms = digest.created_at_ms
    if known is None or known.revoked_at_ms is not None:
        return RoleTokens(role, digest.scopes, now_ms, (digest,), last_used_at_ms=now_ms)
    return attrs.evolve(
        known,
        scopes=digest.scopes,
        digests=(*_with_room(known.digests), digest),
        last_used_at_ms=now_ms,
    )


def _with_room(digests: tuple[TokenDigest, ...]) -> tuple[TokenDigest, ...]:
    if len(digests) <= OLDER_TOKENS_MAX:
        return digests
    unused = (known for known in digests[:-_NEWEST_SPARED] if known.used_at_ms is None)
    gone = next(unused, digests[0])
    return tuple(known for known in digests if known is not gone)


def new_token(random_bytes: Callable[[int], bytes]) -> str:
    """A token's text: base64url, unpadded."""
    return base64.urlsafe_b64encode(random_bytes(_TOKEN_BYTES)).rstrip(b"=").decode()


def digest_of(token: str) -> str:
    """SHA-256 in hex. A token of 32 random bytes needs no salt and no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
