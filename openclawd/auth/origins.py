"""Which web pages may talk to the gateway: the Origin header (RFC 6454) against the Host.

A browser always sends both truthfully, so a page that another site served shows in its Origin, and a rebound
DNS name shows in the Host. Hence: the Origin must equal the Host, port and all, and the Host must be a name
that nobody else can own: an IP literal, localhost, a name of this machine, or a listed one. Loopback pages
may come from another port (an SSH tunnel, a development server); the credential still decides about them.
"""

import shlex
from enum import StrEnum
from typing import Final

import attrs

from openclawd.auth.hosts import DEFAULT_PORTS, Origin, is_loopback, parse_address, parse_origin, split_host

_ANY: Final = "*"
# Nobody can register a name below these: RFC 6761, RFC 6762 with its appendix G, RFC 8375, ICANN's .internal.
# A router gives them to the machines of its network, so this machine's name below them is its own.
_PRIVATE: Final = frozenset(
    ("local", "lan", "home", "home.arpa", "internal", "intranet", "private", "corp", "localdomain")
)


class OriginFault(StrEnum):
    """Why an Origin is refused, in the words of v4's error details."""

    MISSING_OR_INVALID = "origin missing or invalid"
    NOT_ALLOWED = "origin not allowed"


def _canonical(entry: str) -> str:
    origin = parse_origin(entry)
    return str(origin) if origin is not None else entry.strip().lower()


def _lowered(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name.strip().lower().rstrip(".") for name in names)


@attrs.frozen
class OriginRules:
    """`allowed` holds full origins (`https://gw.example.com`) or `*`; `own_names` the machine's own names,
    the short one among them.
    """

    allowed: tuple[str, ...] = ()
    own_names: frozenset[str] = attrs.field(default=(), converter=_lowered)
    host_fallback: bool = False
    """`dangerouslyAllowHostHeaderOriginFallback`: any Host will do that equals the Origin."""

    public_origin: str | None = None
    """One more that is allowed: where people reach the page through a proxy."""

    listed: frozenset[str] = attrs.field(init=False, repr=False)
    listed_hosts: frozenset[str] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        entries = self.allowed if self.public_origin is None else (*self.allowed, self.public_origin)
        origins = [parse_origin(entry) for entry in entries]
        object.__setattr__(self, "listed", frozenset(map(_canonical, entries)))
        object.__setattr__(self, "listed_hosts", frozenset(found.host for found in origins if found))

    def lists(self, origin: Origin) -> bool:
        """Whether the owner named this very origin, or all of them."""
        return _ANY in self.listed or str(origin) in self.listed

    def knows(self, name: str) -> bool:
        """Whether a request for this host name was meant for the gateway: nobody else can own the name, or
        the owner listed it.
        """
        return (
            self.host_fallback or _ANY in self.listed or name in self.listed_hosts or is_own_name(name, self)
        )


def judge_origin(
    header: str | None, host: str | None, rules: OriginRules, scheme: str | None = None
) -> OriginFault | None:
    """None when a page of that origin may connect to that Host. `scheme` is how the page's browser reaches
    us, where that is known.
    """
    origin = parse_origin(header) if header is not None else None
    if origin is None:
        return OriginFault.MISSING_OR_INVALID
    if rules.lists(origin):
        return None
    asked = split_host(host) if host is not None else None
    if asked is None or origin.scheme not in DEFAULT_PORTS:
        return OriginFault.NOT_ALLOWED
    name, port = asked
    if is_loopback(origin.host) and is_loopback(name):
        return None
    if not _same_address(origin, name, port, scheme):
        return OriginFault.NOT_ALLOWED
    return None if rules.host_fallback or is_own_name(name, rules) else OriginFault.NOT_ALLOWED


def is_own_name(name: str, rules: OriginRules) -> bool:
    """Whether a host name, as `split_host` gives it, can be nobody's but this machine's."""
    if name in rules.own_names or name == "localhost" or parse_address(name) is not None:
        return True
    if name.endswith(".localhost"):  # RFC 6761 section 6.3
        return True
    machine, _, suffix = name.partition(".")
    # MACHINE.TAILNET.ts.net is Tailscale's to resolve, and it points nowhere else.
    tailnet = suffix.removesuffix(".ts.net")
    in_tailnet = tailnet != suffix and "." not in tailnet
    return machine in rules.own_names and (suffix in _PRIVATE or in_tailnet)


def is_public(name: str) -> bool:
    """Whether a stranger could own the name in the public DNS, and point it at us."""
    labels = name.split(".")
    return len(labels) > 1 and labels[-1] not in _PRIVATE and ".".join(labels[-2:]) not in _PRIVATE


def equals_host(header: str | None, host: str | None, scheme: str | None = None) -> bool:
    """Whether the page came from the very address it connects to; loopback names are equal, ports count."""
    origin = parse_origin(header) if header is not None else None
    asked = split_host(host) if host is not None else None
    return origin is not None and asked is not None and _same_address(origin, *asked, scheme)


def allowing(origin: Origin, rules: OriginRules) -> str:
    """The one command after which pages of `origin` may connect, and its host is known."""
    key, value = "openclawd.publicOrigin", str(origin)
    if rules.public_origin is not None or origin.scheme not in DEFAULT_PORTS:
        # Beside the others: a list that there is grows by the place after its last.
        key = "gateway.controlUi.allowedOrigins"
        if rules.allowed:
            key = f"{key}.{len(rules.allowed)}"
        else:
            value = f'["{origin}"]'
    return f"openclawd config set {key} {shlex.quote(value)}"


def _same_address(origin: Origin, name: str, port: int | None, scheme: str | None) -> bool:
    """Same host, port and, where it is known, scheme; a Host without a port has the origin's default one."""
    if scheme is not None and scheme != origin.scheme:
        return False
    if (port if port is not None else DEFAULT_PORTS.get(origin.scheme)) != origin.port:
        return False
    if is_loopback(origin.host) and is_loopback(name):
        return True
    ours, theirs = parse_address(name), parse_address(origin.host)
    return (ours == theirs) if ours is not None else (name == origin.host)
