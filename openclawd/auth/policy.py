"""The settings that admission depends on, as values."""

from typing import Final

import attrs

from openclawd.auth.credentials import SharedAuth
from openclawd.auth.hosts import IpNetwork
from openclawd.auth.locality import Locality, Peer, locate
from openclawd.auth.origins import OriginRules
from openclawd.auth.trusted_proxy import TrustedProxyRules

_ROOT_UID: Final = 0


@attrs.frozen
class Policy:
    """`own_uid`: whose Unix-socket peers are the owner, beside root; None where there is no such socket.
    `trusted_proxy` counts in mode `trusted-proxy` only.
    """

    shared: SharedAuth
    origins: OriginRules = attrs.field(factory=OriginRules)
    trusted_proxies: tuple[IpNetwork, ...] = ()
    allow_real_ip: bool = False
    allow_insecure_auth: bool = False
    disable_device_auth: bool = False
    own_uid: int | None = None
    trusted_proxy: TrustedProxyRules | None = None

    @property
    def named_headers(self) -> frozenset[str]:
        """The headers of a request that `Peer.headers` must hold, in lower case."""
        if self.shared.mode != "trusted-proxy" or self.trusted_proxy is None:
            return frozenset()
        return self.trusted_proxy.header_names

    def is_owner(self, peer: Peer) -> bool:
        """Whether the kernel vouches for the owner of the state directory, or for root, on the local socket.

        A page never is: a browser does not open such sockets, so an Origin there came through something else;
        nor is what a proxy brings.
        """
        if peer.unix_uid is None or self.own_uid is None or peer.origin is not None or peer.forwarded:
            return False
        return peer.unix_uid in (self.own_uid, _ROOT_UID)

    def locate(self, peer: Peer) -> Locality:
        """Resolve the client behind `peer`."""
        found = locate(peer, trusted_proxies=self.trusted_proxies, allow_real_ip=self.allow_real_ip)
        if peer.unix_uid is not None and not self.is_owner(peer):
            # Another user of this machine is a stranger here.
            return attrs.evolve(found, is_local=False, at_loopback=False)
        return found
