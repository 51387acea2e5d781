"""Who is at the other end: the client's address, and whether the client is on this machine.

Local means a loopback peer *and* a loopback Host *and* no forwarding header, and for a page a loopback Origin
as well: a page in the owner's browser can make loopback connections (DNS rebinding shows in the Host), and so
can a proxy (its headers show it, or the page's Origin does).
Forwarding headers are believed from trusted proxies only; from anyone else they prove nothing but that the
peer is not the client, so they end locality.
"""

import ipaddress
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final

import attrs

from openclawd.auth.hosts import (
    IpAddress,
    IpNetwork,
    is_loopback,
    parse_address,
    parse_origin,
    split_host,
)

# What the proxies, tunnels and content networks that people use say of the client; any of it will do.
_FORWARDING_HEADERS: Final = frozenset(
    (
        "forwarded",
        "via",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "true-client-ip",
        "fly-client-ip",
        "cdn-loop",
        "x-original-host",
    )
)
# Some proxies name the WebSocket's scheme for an upgrade.
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_FORWARDING_PREFIXES: Final = ("x-forwarded", "cf-", "tailscale-", "x-envoy-", "x-original-forwarded-")


@attrs.frozen(eq=False, repr=False)
class Peer:
    """What the transport and the upgrade request say about a connection.

    `address` is the IP of the TCP peer, empty for a Unix socket, whose peer's uid is `unix_uid` then.
    `forwarded` tells whether there was any forwarding header at all, `tls` whether the bytes come encrypted.
    `headers` holds those that the policy names (`auth.trusted_proxy`), in lower case.
    """

    address: str
    port: int | None = None
    host_header: str | None = None
    origin: str | None = None
    forwarded_for: str | None = None
    real_ip: str | None = None
    forwarded_host: str | None = None
    forwarded_proto: str | None = None
    forwarded: bool = False
    user_agent: str | None = None
    unix_uid: int | None = None
    tls: bool = False
    headers: Mapping[str, str] = _NO_HEADERS


@attrs.frozen
class Locality:
    """`address` is the best known one, for logs and limits; `host` is the Host that the client asked for,
    `scheme` (http, https) how, where that is known. `at_loopback`: local, but for the page's Origin; it may
    have come through a proxy that hides itself.
    """

    address: str
    host: str | None
    is_local: bool
    scheme: str | None = None
    at_loopback: bool = False


def peer_from_headers(
    address: str, port: int | None, headers: Iterable[tuple[str, str]], keep: Collection[str] = ()
) -> Peer:
    """The peer of a request. Names in any case; a repeated header counts as one list; `keep` names headers,
    in lower case, that the policy asks for.
    """
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
        forwarded_proto=found.get("x-forwarded-proto"),
        forwarded=any(name in _FORWARDING_HEADERS or name.startswith(_FORWARDING_PREFIXES) for name in found),
        user_agent=found.get("user-agent"),
        headers={name: found[name] for name in keep if name in found} if keep else _NO_HEADERS,
    )


def parse_proxies(entries: Iterable[str]) -> tuple[IpNetwork, ...]:
    """`gateway.trustedProxies`: addresses and CIDR ranges. Raises ValueError for anything else."""
    return tuple(ipaddress.ip_network(entry.strip(), strict=False) for entry in entries)


def locate(
    peer: Peer, *, trusted_proxies: tuple[IpNetwork, ...] = (), allow_real_ip: bool = False
) -> Locality:
    """Resolve the client behind `peer`."""
    if peer.unix_uid is not None:
        return Locality("unix", peer.host_header, is_local=True, at_loopback=True)
    address = parse_address(peer.address)
    if address is None:
        return Locality(peer.address, peer.host_header, is_local=False)
    # What a trusted proxy passes on says so. A program beside it on this machine says nothing, and is local.
    if not peer.forwarded or not within(address, trusted_proxies):
        here = address.is_loopback and not peer.forwarded and _asks_for_loopback(peer.host_header)
        return Locality(
            str(address),
            peer.host_header,
            is_local=here and _may_be_local(peer.origin),
            scheme="https" if peer.tls else None,
            at_loopback=here,
        )
    host = _last(peer.forwarded_host) or peer.host_header
    proto = (_last(peer.forwarded_proto) or "").lower()
    # Nobody who comes through a proxy is local: a client can put a loopback address into the headers itself.
    # Without an address, the proxy does not say for whom it speaks.
    client = _behind_proxies(peer, trusted_proxies, allow_real_ip=allow_real_ip) or address
    return Locality(str(client), host, is_local=False, scheme=_SCHEMES.get(proto))


def _asks_for_loopback(host_header: str | None) -> bool:
    parsed = split_host(host_header) if host_header is not None else None
    return parsed is not None and is_loopback(parsed[0])


def _may_be_local(origin: str | None) -> bool:
    """A program, or a page under a loopback name. Any other page came through a proxy that hides itself and
    its Host, or belongs to somebody else.
    """
    if origin is None:
        return True
    parsed = parse_origin(origin)
    return parsed is not None and is_loopback(parsed.host)


def _behind_proxies(
    peer: Peer, trusted_proxies: tuple[IpNetwork, ...], *, allow_real_ip: bool
) -> IpAddress | None:
    """The right-most entry that no trusted proxy of ours wrote about another trusted proxy."""
    if peer.forwarded_for is not None:
        for entry in reversed(peer.forwarded_for.split(",")):
            address = _parse_hop(entry)
            if address is None or not within(address, trusted_proxies):
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


def within(address: IpAddress, networks: tuple[IpNetwork, ...]) -> bool:
    """Whether one of the networks holds the address."""
    return any(address in network for network in networks)


def _last(header: str | None) -> str | None:
    return header.rsplit(",", 1)[-1].strip() if header else None
