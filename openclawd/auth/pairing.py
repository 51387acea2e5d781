"""Paired devices and requests to pair, as values and as documents.

The documents have the shape of the stock gateway's `paired.json` and `pending.json`, but a device token is
kept as its SHA-256 digest only: whoever reads the store learns no token. Members that a document has and this
version does not know are ignored, so that a newer version may add some and an older one still reads them.
"""

from collections.abc import Mapping
from typing import TypeVar

import attrs

from openclawd.auth.device_tokens import RoleTokens, TokenDigest
from openclawd.protocol.codec import structure, unstructure
from openclawd.protocol.fields import wire_fields

T = TypeVar("T")


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
    operator_label: str | None = None
    """What its owner calls it; the device's own name stays beside it."""

    tokens: Mapping[str, RoleTokens] = attrs.field(factory=dict)

    @property
    def name(self) -> str | None:
        """What to call it."""
        return self.operator_label or self.display_name

    def to_wire(self) -> dict[str, object]:
        """What `device.pair.list` shows of it; as `displayName`, which every client shows, the owner's."""
        wire = unstructure(attrs.evolve(self, display_name=self.name, tokens={}))
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
    browser_origin: str | None = None

    @property
    def name(self) -> str | None:
        """What it calls itself."""
        return self.display_name

    @property
    def ask(self) -> "PairingAsk":
        """What would be paired if somebody approved it."""
        return PairingAsk(
            device_id=self.device_id,
            public_key=self.public_key,
            client_id=self.client_id,
            client_mode=self.client_mode,
            role=self.role,
            scopes=self.scopes,
            display_name=self.display_name,
            platform=self.platform,
            device_family=self.device_family,
            remote_ip=self.remote_ip,
            browser_origin=self.browser_origin,
        )

    def to_wire(self) -> dict[str, object]:
        """As listed, and as the event `device.pair.requested` carries it."""
        return unstructure(self)


@attrs.frozen(eq=False)
class PairingAsk:
    """What a device asks to be paired for. `browser_origin`: of which page, if it is one."""

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
    browser_origin: str | None = None


def merged(older: tuple[str, ...], newer: tuple[str, ...]) -> tuple[str, ...]:
    """Both, in order of appearance, each once."""
    return tuple(dict.fromkeys((*older, *newer)))


def read_document(document: Mapping[str, object], cls: type[T]) -> T:
    """A stored document as a value. Raises InvalidValue."""
    known = known_members(document, cls)
    if cls is PairedDevice and isinstance(tokens := known.get("tokens"), Mapping):
        known["tokens"] = {role: _read_tokens(entry) for role, entry in tokens.items()}
    return structure(known, cls)


def _read_tokens(entry: object) -> object:
    if not isinstance(entry, Mapping):
        return entry
    known = known_members(entry, RoleTokens)
    if isinstance(digests := known.get("digests"), list):
        known["digests"] = [
            known_members(digest, TokenDigest) if isinstance(digest, Mapping) else digest
            for digest in digests
        ]
    return known


def known_members(document: Mapping[str, object], cls: type) -> dict[str, object]:
    """The members of `document` that `cls` has a name for."""
    keys = {field.key for field in wire_fields(cls)}
    return {key: value for key, value in document.items() if key in keys}
