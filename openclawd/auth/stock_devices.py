"""Devices that were paired with a stock gateway: its `paired.json`, read once when this gateway first starts.

The file keeps device tokens in clear text; here only their digests are kept, so a device comes with the token
that it has. An entry that cannot be read is left out and named. What waits in `pending.json` is not taken
over: it is five minutes old at most, and the device asks again.
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

import attrs

from openclawd.auth.device_tokens import RoleTokens, TokenDigest, digest_of
from openclawd.auth.pairing import PairedDevice, known_members
from openclawd.auth.scopes import NODE, OPERATOR
from openclawd.auth.signature import device_key
from openclawd.protocol.codec import InvalidValue, NonEmptyStr, NotJson, decode, structure

# Old releases did not note which program had paired.
_UNKNOWN_CLIENT: Final = "unknown"


class NotStockDevices(Exception):
    """The file is not a stock gateway's list of devices."""


@attrs.frozen
class StockDevices:
    """What the file holds: devices, and by its id the problem of each entry that is none."""

    devices: tuple[PairedDevice, ...]
    unreadable: Mapping[str, str]


@attrs.frozen
class _StockToken:
    token: NonEmptyStr = attrs.field(repr=False)
    scopes: tuple[str, ...] = ()
    created_at_ms: int = 0
    rotated_at_ms: int | None = None
    revoked_at_ms: int | None = None
    last_used_at_ms: int | None = None


@attrs.frozen
class _StockDevice:
    device_id: NonEmptyStr
    public_key: NonEmptyStr
    role: NonEmptyStr | None = None
    roles: tuple[NonEmptyStr, ...] = ()
    scopes: tuple[str, ...] | None = None
    approved_scopes: tuple[str, ...] | None = None
    client_id: NonEmptyStr | None = None
    client_mode: NonEmptyStr | None = None
    display_name: NonEmptyStr | None = None
    platform: NonEmptyStr | None = None
    device_family: NonEmptyStr | None = None
    remote_ip: NonEmptyStr | None = None
    created_at_ms: int = 0
    approved_at_ms: int = 0
    tokens: Mapping[str, _StockToken] = attrs.field(factory=dict)


def read_stock_devices(text: bytes) -> StockDevices:
    """The devices in the text of a `paired.json`. Raises NotStockDevices."""
    try:
        entries = decode(text)
    except NotJson as error:
        raise NotStockDevices(f"not JSON: {error}") from error
    if not isinstance(entries, dict):
        raise NotStockDevices("not a JSON object")
    devices, unreadable = [], {}
    for device_id, entry in entries.items():
        try:
            devices.append(_device(device_id, entry))
        except InvalidValue as error:
            unreadable[device_id] = error.text()
    return StockDevices(tuple(devices), unreadable)


def _device(device_id: str, entry: object) -> PairedDevice:
    stock = structure(_members(entry, _StockDevice), _StockDevice)
    key = device_key(stock.public_key, device_id)
    if key is None or stock.device_id != device_id:
        raise InvalidValue(("the public key is not the one that the device id stands for",))
    roles = tuple(role for role in dict.fromkeys((*stock.roles, stock.role)) if role in (OPERATOR, NODE))
    if not roles:
        raise InvalidValue(("it has no role",))
    scopes = stock.scopes if stock.scopes is not None else stock.approved_scopes
    return PairedDevice(
        device_id=device_id,
        public_key=base64.urlsafe_b64encode(key).rstrip(b"=").decode(),
        client_id=stock.client_id or _UNKNOWN_CLIENT,
        client_mode=stock.client_mode or _UNKNOWN_CLIENT,
        role=stock.role if stock.role in roles else roles[0],
        roles=roles,
        scopes=tuple(dict.fromkeys(scopes or ())),
        created_at_ms=stock.created_at_ms,
        approved_at_ms=stock.approved_at_ms,
        display_name=stock.display_name,
        platform=stock.platform,
        device_family=stock.device_family,
        remote_ip=stock.remote_ip,
        tokens={role: _tokens(role, token) for role, token in stock.tokens.items() if role in roles},
    )


def _tokens(role: str, stock: _StockToken) -> RoleTokens:
    digest = TokenDigest(digest_of(stock.token), stock.scopes, stock.rotated_at_ms or stock.created_at_ms)
    return RoleTokens(
        role,
        stock.scopes,
        stock.created_at_ms,
        (digest,) if stock.revoked_at_ms is None else (),
        rotated_at_ms=stock.rotated_at_ms,
        revoked_at_ms=stock.revoked_at_ms,
        last_used_at_ms=stock.last_used_at_ms,
    )


def _members(entry: object, cls: type) -> object:
    """The members that are known here; null is what stock's own tools write for absent."""
    if not isinstance(entry, Mapping):
        return entry
    known: dict[str, Any] = {
        key: value for key, value in known_members(entry, cls).items() if value is not None
    }
    if isinstance(tokens := known.get("tokens"), Mapping):
        known["tokens"] = {role: _members(token, _StockToken) for role, token in tokens.items()}
    return known
