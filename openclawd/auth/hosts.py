"""The names in Host and Origin headers (RFC 9110 section 7.2, RFC 6454 section 7), read strictly.

Whatever browsers send is understood: they send names in ASCII (punycode) and addresses in canonical form.
What they never send is None here and refused by whoever asks, and what is understood may be shown: it holds
no character that means something to a shell or to HTML.
"""

import ipaddress
import re
from typing import Final

import attrs

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# RFC 1035 section 2.3.4; the underscore stands in the names of services.
_NAME: Final = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_NAME_MAX_CHARACTERS: Final = 253
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
_PORT_MAX: Final = 65_535


@attrs.frozen
class Origin:
    """A parsed Origin; `port` is the scheme's default when the header names none. Its text is canonical."""

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.port is None or self.port == DEFAULT_PORTS.get(self.scheme):
            return f"{self.scheme}://{host}"
        return f"{self.scheme}://{host}:{self.port}"


def parse_origin(header: str) -> Origin | None:
    """The Origin header's value, or None for `null` and whatever else is not scheme://host[:port]."""
    scheme, separator, authority = header.strip().lower().partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        return None
    asked = split_host(authority.removesuffix("/"))
    if asked is None:
        return None
    host, port = asked
    return Origin(scheme, host, port if port is not None else DEFAULT_PORTS.get(scheme))


def split_host(header: str) -> tuple[str, int | None] | None:
    """Host and port of a Host header, the host in lower case, without brackets and the dot at its end."""
    text = header.strip().lower()
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not _is_ipv6(host) or (rest and not rest.startswith(":")):
            return None
        port = rest[1:]
    else:
        host, _, port = text.partition(":")
        host = host.removesuffix(".")
        if len(host) > _NAME_MAX_CHARACTERS or not _NAME.fullmatch(host):
            return None
    if not port:
        return host, None
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= _PORT_MAX):
        return None
    return host, int(port)


def parse_address(text: str) -> IpAddress | None:
    """An IP address; an IPv4 address mapped into IPv6 (dual-stack sockets) is the IPv4 one."""
    try:
        address = ipaddress.ip_address(text.strip().strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_loopback(host: str) -> bool:
    """Whether a host name or literal is this machine by definition: localhost, 127/8, ::1."""
    if host.lower().rstrip(".") == "localhost":
        return True
    address = parse_address(host)
    return address is not None and address.is_loopback


def _is_ipv6(text: str) -> bool:
    """Without a zone, which browsers strip and which may hold any character."""
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return "%" not in text
