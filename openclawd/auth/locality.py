"""Who is at the other end: the client's address, and whether the client is on this machine.

Local means a loopback peer *and* a loopback Host *and* no forwarding header: a page in the owner's browser
can make loopback connections (DNS rebinding shows in the Host), and so can a proxy (its headers show it).
Forwarding headers are believed from trusted proxies only; from anyone else they prove nothing but that the
peer is not the client, so they end locality.
"""

import ipaddress
from collections.abc import Iterable
from typing import Final

import attrs

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_FORWARDING_HEADERS: Final = frozenset(
    ("forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip", "fly-client-ip")
)
_FORWARDING_PREFIX: Final = "x-forwarded-"


@attrs.frozen(eq=False, repr=False)
class Peer:
    """What the transport and the upgrade request say about a connection.

    `address` is the IP of the TCP peer, empty for a Unix socket, whose peer's uid is `unix_uid` then.
    `forwarded` tells whether there was any forwarding header at all.
    """

    address: str
    port: int | None = None
    host_header: str | None = None
    origin: str | None = None
    forwarded_for: str | None = None
    real_ip: str | None = None
    forwarded_host: str | None = None
    forwarded: bool = False
    user_agent: str | None = None
    unix_uid: int | None = None


@attrs.frozen
class Locality:
    """`address` is the best known one, for logs and limits; `host` is the Host that the client asked for."""

    address: str
    host: str | None
    is_local: bool


def peer_from_headers(address: str, port: int | None, headers: Iterable[tuple[str, str]]) -> Peer:
    """The peer of an upgrade request. Names in any case; a repeated header counts as one list."""
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return Peer(
        address=address,
        port=port,
        host_header=found.get("host"),
        origin=found.get("origin"),
        forwarded_for=found.get("x-forwarded-for"),
        real_ip=found.get("x-real-ip"),
        forwarded_host=found.get("x-forwarded-host"),
        forwarded=any(name in _FORWARDING_HEADERS or name.startswith(_FORWARDING_PREFIX) for name in found),
        user_agent=found.get("user-agent"),
    )


def parse_address(text: str) -> IpAddress | None:
    """An IP address; an IPv4 address mapped into IPv6 (dual-stack sockets) is the IPv4 one."""
    try:
        address = ipaddress.ip_address(text.strip().strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def parse_proxies(entries: Iterable[str]) -> tuple[IpNetwork, ...]:
    """`gateway.trustedProxies`: addresses and CIDR ranges. Raises ValueError for anything else."""
    return tuple(ipaddress.ip_network(entry.strip(), strict=False) for entry in entries)


def is_loopback(host: str) -> bool:
    """Whether a host name or literal is this machine by definition: localhost, 127/8, ::1."""
    if host.lower().rstrip(".") == "localhost":
        return True
    address = parse_address(host)
    return address is not None and address.is_loopback


def locate(
    peer: Peer, *, trusted_proxies: tuple[IpNetwork, ...] = (), allow_real_ip: bool = False
) -> Locality:
    """Resolve the client behind `peer`."""
    if peer.unix_uid is not None:
        return Locality("unix", peer.host_header, is_local=True)
    address = parse_address(peer.address)
    if address is None:
        return Locality(peer.address, peer.host_header, is_local=False)
    if not _within(address, trusted_proxies):
        local = address.is_loopback and not peer.forwarded and _asks_for_loopback(peer.host_header)
        return Locality(str(address), peer.host_header, is_local=local)
    host = _last(peer.forwarded_host) or peer.host_header
    client = _behind_proxies(peer, trusted_proxies, allow_real_ip=allow_real_ip)
    if client is None:
        # The proxy does not say for whom it speaks.
        return Locality(str(address), host, is_local=False)
    # Whoever comes through a proxy is not local: a client can put a loopback address into the headers itself.
    return Locality(str(client), host, is_local=False)


def split_host(header: str) -> tuple[str, int | None] | None:
    """Host and port of a Host header (RFC 9110 section 7.2), the host in lower case without brackets."""
    text = header.strip().lower()
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or parse_address(host) is None or (rest and not rest.startswith(":")):
            return None
        port = rest[1:]
    else:
        host, _, port = text.partition(":")
    host = host.rstrip(".")
    if not host or any(character in host for character in "/?#@ "):
        return None
    if not port:
        return host, None
    if not (port.isascii() and port.isdigit() and len(port) <= 5):
        return None
    return host, int(port)


def _asks_for_loopback(host_header: str | None) -> bool:
    parsed = split_host(host_header) if host_header is not None else None
    return parsed is not None and is_loopback(parsed[0])


def _behind_proxies(
    peer: Peer, trusted_proxies: tuple[IpNetwork, ...], *, allow_real_ip: bool
) -> IpAddress | None:
    """The right-most entry that no trusted proxy of ours wrote about another trusted proxy."""
    if peer.forwarded_for is not None:
        for entry in reversed(peer.forwarded_for.split(",")):
            address = _parse_hop(entry)
            if address is None or not _within(address, trusted_proxies):
                return address
        # Every hop is one of ours: the nearest is the only one that a proxy of ours wrote for certain.
        return _parse_hop(peer.forwarded_for.split(",")[-1])
    if allow_real_ip and peer.real_ip is not None:
        return parse_address(peer.real_ip)
    return None


def _parse_hop(entry: str) -> IpAddress | None:
    address = parse_address(entry)
    if address is None:
        parsed = split_host(entry)
        address = parse_address(parsed[0]) if parsed is not None else None
    return address


def _within(address: IpAddress, networks: tuple[IpNetwork, ...]) -> bool:
    return any(address in network for network in networks)


def _last(header: str | None) -> str | None:
    return header.rsplit(",", 1)[-1].strip() if header else None
