"""Who is charged for a wrong guess.

A device that is paired already and has signed the try pays for itself alone, so that nobody on its address
can slow its owner. Everybody else pays by where he comes from: an IPv4 address; an IPv6 network of 64 bits,
which is what one customer gets; for a page on this machine its Origin, since all its browsers share one
address. What comes through a proxy that is not trusted cannot be told apart, and shares a source that is not
the machine's own.
"""

import ipaddress
from typing import Final

from openclawd.auth.hosts import parse_address, parse_origin
from openclawd.auth.locality import Locality, Peer
from openclawd.auth.tries import EVERYBODY_HERE, Source

_NETWORK_BITS: Final = 64


def device_source(device_id: str) -> Source:
    """A paired device, by its signature."""
    return Source(f"device:{device_id}", alone=True)


def source_of(peer: Peer, locality: Locality) -> Source:
    """Where a connection comes from. Its key has at most some 300 characters, whatever the peer sends."""
    if peer.unix_uid is not None:
        return _page(peer.origin) if peer.origin is not None else _program(f"uid:{peer.unix_uid}")
    address = parse_address(locality.address)
    if address is None:
        return Source("unknown")
    if address.is_loopback:
        if peer.forwarded or (peer.origin is None and not locality.is_local):
            return Source(f"proxy:{address}")
        return _page(peer.origin) if peer.origin is not None else _program(str(address))
    if isinstance(address, ipaddress.IPv6Address):
        return Source(str(ipaddress.IPv6Network((int(address), _NETWORK_BITS), strict=False)))
    return Source(str(address))


def _program(key: str) -> Source:
    return Source(key, is_loopback=True, pool=EVERYBODY_HERE)


def _page(header: str) -> Source:
    # What a browser sends has a canonical form; anything else is one source.
    return Source(f"origin:{parse_origin(header) or 'null'}", pool=EVERYBODY_HERE)
