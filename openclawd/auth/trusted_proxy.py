"""Authentication by a proxy in front (`gateway.auth.mode: "trusted-proxy"`): it has authenticated the user
and says in a header who that is.

Such a header is worth something from a proxy that was listed only: from anyone else it is a claim, refused
whatever it says. The reasons are the stock gateway's words.
"""

from collections.abc import Mapping
from typing import Final

import attrs

from openclawd.auth.hosts import IpNetwork, parse_address
from openclawd.auth.locality import Peer, within

TRUSTED_PROXY: Final = "trusted-proxy"

NOT_CONFIGURED: Final = "trusted_proxy_config_missing"
UNTRUSTED_SOURCE: Final = "trusted_proxy_untrusted_source"
LOOPBACK_SOURCE: Final = "trusted_proxy_loopback_source"
USER_MISSING: Final = "trusted_proxy_user_missing"
USER_NOT_ALLOWED: Final = "trusted_proxy_user_not_allowed"
# Followed by the header's name.
MISSING_HEADER: Final = "trusted_proxy_missing_header_"


def _header_name(name: str) -> str:
    return name.strip().lower()


def _header_names(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_header_name(name) for name in names)


@attrs.frozen
class TrustedProxyRules:
    """`gateway.auth.trustedProxy`: whose header names the user, which others must be there, who may come.

    Header names are compared in lower case. An empty `allow_users` means every user that a proxy names.
    `allow_loopback`: also proxies on this machine, where any other program could pretend to be one.
    """

    user_header: str = attrs.field(converter=_header_name)
    required_headers: tuple[str, ...] = attrs.field(default=(), converter=_header_names)
    allow_users: tuple[str, ...] = ()
    allow_loopback: bool = False

    @property
    def header_names(self) -> frozenset[str]:
        """The headers that `identify` reads, in lower case: what `Peer.headers` must hold."""
        return frozenset((self.user_header, *self.required_headers))


@attrs.frozen(eq=False, repr=False)
class ProxyVerdict:
    """Who came, or why nobody did; exactly one of the two."""

    user: str | None = None
    failure: str | None = None


def identify(
    peer: Peer, rules: TrustedProxyRules | None, trusted_proxies: tuple[IpNetwork, ...]
) -> ProxyVerdict:
    """The user that a trusted proxy vouches for, in the stock order of checks."""
    if rules is None or not rules.user_header or not trusted_proxies:
        return ProxyVerdict(failure=NOT_CONFIGURED)
    address = parse_address(peer.address)
    if address is None or not within(address, trusted_proxies):
        return ProxyVerdict(failure=UNTRUSTED_SOURCE)
    if address.is_loopback and not rules.allow_loopback:
        return ProxyVerdict(failure=LOOPBACK_SOURCE)
    for name in rules.required_headers:
        if not _value(peer.headers, name):
            return ProxyVerdict(failure=MISSING_HEADER + name)
    user = _value(peer.headers, rules.user_header)
    if not user:
        return ProxyVerdict(failure=USER_MISSING)
    if rules.allow_users and user not in rules.allow_users:
        return ProxyVerdict(failure=USER_NOT_ALLOWED)
    return ProxyVerdict(user)


def _value(headers: Mapping[str, str], name: str) -> str:
    return headers.get(name, "").strip()
