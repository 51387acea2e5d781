"""Where an HTTP request comes from: a person or program of the owner's, or another site's page.

A browser carries its owner's place in the network to every site that he visits, and says so in three headers.
The *Host* shows a rebound DNS name: the page is `evil.example`, whose address has become ours, so the browser
takes our answers for its own site's. The *Origin* shows pages of other sites wherever it is sent, which is
with each request that could change anything. *Sec-Fetch-...* (Fetch Metadata, sent to https and loopback
addresses) shows the rest: pictures, scripts and frames. A page can neither leave these three out nor change
them, and programs send none of them but the Host.
"""

from enum import StrEnum
from typing import Final

import attrs

from openclawd.auth.hosts import DEFAULT_PORTS, Origin, parse_origin, split_host
from openclawd.auth.locality import Locality, Peer
from openclawd.auth.origins import OriginRules, equals_host, is_public

_READING: Final = frozenset(("GET", "HEAD"))
_FRAMES: Final = frozenset(("iframe", "frame", "embed", "object", "fencedframe"))


class RequestFault(StrEnum):
    """Why a request is refused, in the words of the log."""

    HOST = "host-not-known"
    ORIGIN = "origin-not-allowed"
    FRAMED = "framed"
    CROSS_SITE = "cross-site-request"


@attrs.frozen(eq=False, repr=False)
class FetchMetadata:
    """The Sec-Fetch-Site, -Mode and -Dest headers; None where the browser, or a program, sent none."""

    site: str | None = None
    mode: str | None = None
    dest: str | None = None


def judge_request(
    method: str,
    peer: Peer,
    locality: Locality,
    fetch: FetchMetadata,
    rules: OriginRules,
    *,
    any_host: bool = False,
    page_part: bool = False,
) -> RequestFault | None:
    """None when the request may be answered.

    `any_host` is for probes, which monitors ask under any name. `page_part` is for the scripts, styles and
    pictures that a page is made of, which are no secret: behind a proxy that changes the Host, their Origin
    looks foreign (browsers send one for modules), and only a page that loads can say what is wrong.
    """
    on_local_socket = peer.unix_uid is not None
    if not (any_host or on_local_socket or strange_host(peer, locality, rules) is None):
        return RequestFault.HOST
    if peer.origin is not None:
        origin = parse_origin(peer.origin)
        if on_local_socket or origin is None:
            return RequestFault.ORIGIN
        if rules.lists(origin):
            return None
        same = rules.knows(origin.host) and equals_host(peer.origin, locality.host, locality.scheme)
        if not (same or (page_part and method in _READING)):
            return RequestFault.ORIGIN
    if fetch.dest in _FRAMES:
        return RequestFault.FRAMED
    if fetch.site in (None, "same-origin", "none"):
        return None
    # A link on another site, opened in a tab of its own.
    if method in _READING and (fetch.mode, fetch.dest) == ("navigate", "document"):
        return None
    return RequestFault.CROSS_SITE


def strange_host(peer: Peer, locality: Locality, rules: OriginRules) -> str | None:
    """The name under which another gateway, or another site, was meant; None when it was this one."""
    if locality.host is None:
        return None  # HTTP/1.0: no browser
    asked = split_host(locality.host)
    if asked is None or not rules.knows(asked[0]):
        return locality.host
    if peer.host_header is None or peer.host_header == locality.host:
        return None
    # A trusted proxy said what was asked for, and calls us by whatever name it likes; but a page that was
    # rebound to our own port can add headers, too, and only its Host gives it away.
    called = split_host(peer.host_header)
    if called is None or (not rules.knows(called[0]) and is_public(called[0])):
        return peer.host_header
    return None


def origin_at(host: str, peer: Peer, locality: Locality, fetch: FetchMetadata) -> Origin | None:
    """The origin that a page would have there, as far as it can be told; for a hint, not for a decision."""
    asked = split_host(host)
    if asked is None:
        return None
    name, port = asked
    claimed = (peer.forwarded_proto or "").strip().lower()
    if locality.scheme is not None:
        scheme = locality.scheme
    elif claimed in DEFAULT_PORTS:
        scheme = claimed
    else:
        # Browsers send the metadata to secure places only; without any, a port of its own looks like ours.
        scheme = "https" if fetch.site is not None or port in (None, DEFAULT_PORTS["https"]) else "http"
    return Origin(scheme, name, port)
