"""Paired devices and requests to pair, as values and as documents.

The documents have the shape of the stock gateway's `paired.json` and `pending.json`, but a device token is
kept as its SHA-256 digest only: whoever reads the store learns no token. Members that a document has and this
version does not know are ignored, so that a newer version may add some and an older one still reads them.
"""

import hashlib
from collections.abc import Mapping
from typing import Final, TypeVar

import attrs

from openclawd.protocol.codec import structure, unstructure
from openclawd.protocol.fields import wire_fields

T = TypeVar("T")

# Several tabs and programs share one device; each may hold a token of its own.
OLDER_TOKENS_MAX: Final = 8


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

    def to_wire(self) -> dict[str, object]:
        """What `device.pair.list` shows of it."""
        wire = unstructure(self)
        del wire["digests"]
        return wire


@attrs.frozen
class PairedDevice:
    """A device that somebody approved. `public_key` is base64url of the raw key, unpadded."""

    device_id: str
    public_key: str
    client_id: str
    client_mode: str
    role: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    created_at_ms: int
    approved_at_ms: int
    display_name: str | None = None
    platform: str | None = None
    device_family: str | None = None
    remote_ip: str | None = None
    tokens: Mapping[str, RoleTokens] = attrs.field(factory=dict)

    def to_wire(self) -> dict[str, object]:
        """What `device.pair.list` shows of it."""
        wire = unstructure(attrs.evolve(self, tokens={}))
        del wire["tokens"]
        if self.tokens:
            wire["tokens"] = [tokens.to_wire() for tokens in self.tokens.values()]
        return wire


@attrs.frozen
class PairingRequest:
    """A device that waits for approval. `ts` is when it last asked, in milliseconds."""

    request_id: str
    device_id: str
    public_key: str
    client_id: str
    client_mode: str
    role: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    silent: bool
    is_repair: bool
    ts: int
    display_name: str | None = None
    platform: str | None = None
    device_family: str | None = None
    remote_ip: str | None = None

    def to_wire(self) -> dict[str, object]:
        """As listed, and as the event `device.pair.requested` carries it."""
        return unstructure(self)


@attrs.frozen
class PairingAsk:
    """What a connecting device asks to be paired for."""

    device_id: str
    public_key: str
    client_id: str
    client_mode: str
    role: str
    scopes: tuple[str, ...]
    display_name: str | None = None
    platform: str | None = None
    device_family: str | None = None
    remote_ip: str | None = None


def digest_of(token: str) -> str:
    """SHA-256 in hex. A token of 32 random bytes needs no salt and no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def merged(older: tuple[str, ...], newer: tuple[str, ...]) -> tuple[str, ...]:
    """Both, in order of appearance, each once."""
    return tuple(dict.fromkeys((*older, *newer)))


def read_document(document: Mapping[str, object], cls: type[T]) -> T:
    """A stored document as a value. Raises InvalidValue."""
    known = _known_members(document, cls)
    if cls is PairedDevice and isinstance(tokens := known.get("tokens"), Mapping):
        known["tokens"] = {role: _read_tokens(entry) for role, entry in tokens.items()}
    return structure(known, cls)


def _read_tokens(entry: object) -> object:
    if not isinstance(entry, Mapping):
        return entry
    known = _known_members(entry, RoleTokens)
    if isinstance(digests := known.get("digests"), list):
        known["digests"] = [
            _known_members(digest, TokenDigest) if isinstance(digest, Mapping) else digest
            for digest in digests
        ]
    return known


def _known_members(document: Mapping[str, object], cls: type) -> dict[str, object]:
    keys = {field.key for field in wire_fields(cls)}
    return {key: value for key, value in document.items() if key in keys}
