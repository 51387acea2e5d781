"""Which web pages may talk to the gateway: the Origin header (RFC 6454) against the Host.

A browser always sends both truthfully, so a page that another site served shows in its Origin, and a rebound
DNS name shows in the Host. Hence: the Origin must equal the Host, port and all, and the Host must be a name
that nobody else can own: an IP literal, localhost, a name of this machine, or a listed one. Loopback pages
may come from another port (an SSH tunnel, a development server); the credential still decides about them.
"""

from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

import attrs

from openclawd.auth.locality import is_loopback, parse_address, split_host

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_ANY: Final = "*"


class OriginFault(StrEnum):
    """Why an Origin is refused, in the words of v4's error details."""

    MISSING_OR_INVALID = "origin missing or invalid"
    NOT_ALLOWED = "origin not allowed"


def _normalised(entries: tuple[str, ...]) -> frozenset[str]:
    return frozenset(entry.strip().lower().rstrip("/") for entry in entries)


@attrs.frozen
class OriginRules:
    """`allowed` holds full origins (`https://gw.example.com`) or `*`; `own_names` the machine's own names."""

    allowed: frozenset[str] = attrs.field(default=(), converter=_normalised)
    own_names: frozenset[str] = attrs.field(default=(), converter=_normalised)
    host_fallback: bool = False
    """`dangerouslyAllowHostHeaderOriginFallback`: any Host will do that equals the Origin."""


@attrs.frozen
class Origin:
    """A parsed Origin; `port` is the scheme's default when the header names none."""

    scheme: str
    host: str
    port: int | None


def parse_origin(header: str) -> Origin | None:
    """The Origin header's value, or None for `null` and whatever else is not scheme://host[:port]."""
    text = header.strip().lower()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if not parts.scheme or not parts.hostname or parts.path not in ("", "/"):
        return None
    if parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return Origin(
        parts.scheme,
        parts.hostname.rstrip("."),
        port if port is not None else _DEFAULT_PORTS.get(parts.scheme),
    )


def judge_origin(header: str | None, host: str | None, rules: OriginRules) -> OriginFault | None:
    """None when a page of that origin may connect to that Host."""
    origin = parse_origin(header) if header is not None else None
    if origin is None or header is None:
        return OriginFault.MISSING_OR_INVALID
    if _ANY in rules.allowed or header.strip().lower().rstrip("/") in rules.allowed:
        return None
    asked = split_host(host) if host is not None else None
    if asked is None or origin.scheme not in _DEFAULT_PORTS:
        return OriginFault.NOT_ALLOWED
    name, port = asked
    if is_loopback(origin.host) and is_loopback(name):
        return None
    if not same_address(origin, name, port):
        return OriginFault.NOT_ALLOWED
    if rules.host_fallback or _is_own(name, rules) or parse_address(name) is not None:
        return None
    return OriginFault.NOT_ALLOWED


def _is_own(name: str, rules: OriginRules) -> bool:
    # MACHINE.TAILNET.ts.net is Tailscale's to resolve, and it points nowhere else.
    if name in rules.own_names:
        return True
    machine, *rest = name.split(".")
    return machine in rules.own_names and len(rest) == 3 and rest[1:] == ["ts", "net"]


def equals_host(header: str | None, host: str | None) -> bool:
    """Whether the page came from the very address it connects to; loopback names are equal, ports count."""
    origin = parse_origin(header) if header is not None else None
    asked = split_host(host) if host is not None else None
    return origin is not None and asked is not None and same_address(origin, *asked)


def same_address(origin: Origin, name: str, port: int | None) -> bool:
    """Same host and same port, where a Host without a port has the default one of the origin's scheme."""
    if (port if port is not None else _DEFAULT_PORTS.get(origin.scheme)) != origin.port:
        return False
    if is_loopback(origin.host) and is_loopback(name):
        return True
    ours, theirs = parse_address(name), parse_address(origin.host)
    return (ours == theirs) if ours is not None else (name == origin.host)
