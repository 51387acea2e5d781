"""One attempt on its way through admission's steps."""

from typing import Final

import attrs

from openclawd.auth.charges import Charge
from openclawd.auth.credentials import Judgement, SharedAuth
from openclawd.auth.decisions import Facts
from openclawd.auth.devices import DeviceView
from openclawd.auth.locality import Locality, Peer
from openclawd.auth.pairing import PairedDevice, PairingAsk
from openclawd.auth.policy import Policy
from openclawd.auth.scopes import OPERATOR
from openclawd.auth.signature import ProvenDevice
from openclawd.auth.sources import device_source, source_of
from openclawd.auth.tries import Source
from openclawd.auth.trusted_proxy import TRUSTED_PROXY, ProxyVerdict
from openclawd.protocol.connect import ConnectParams, DeviceProof
from openclawd.protocol.frames import Request
from openclawd.protocol.versions import V3, V4

_CONTROL_UI: Final = "openclaw-control-ui"
_WEBCHAT_UI: Final = "webchat-ui"
_WEBCHAT_MODE: Final = "webchat"

# A case that no step judged would be refused.
_UNJUDGED: Final = Judgement("unauthorized")


@attrs.frozen(eq=False, repr=False)
class Attempt:
    """One `connect`: who sent it, over which nonce, when."""

    peer: Peer
    nonce: str
    request: Request
    now_ms: int


@attrs.define(eq=False, repr=False)
class Case:
    """What is known of an attempt; below the empty line is what the steps found out."""

    attempt: Attempt
    policy: Policy
    devices: DeviceView
    locality: Locality
    params: ConnectParams
    protocol: int
    facts: Facts

    judgement: Judgement = _UNJUDGED
    proxy: ProxyVerdict | None = None
    device: ProvenDevice | None = None
    device_token: str | None = None
    pairing: PairingAsk | None = None

    @property
    def charge(self) -> Charge | None:
        """What the limiter said, if it was asked."""
        return self.judgement.charge

    @property
    def shared(self) -> SharedAuth:
        return self.policy.shared

    @property
    def paired(self) -> PairedDevice | None:
        """The device that proved itself, if it is paired with that very key."""
        known = self.devices.find(self.device.id) if self.device is not None else None
        if known is None or self.device is None or known.public_key != self.device.public_key:
            return None
        return known

    @property
    def source(self) -> Source:
        """Who pays for a wrong guess: a paired device for itself, anybody else by where he comes from."""
        known = self.paired
        return device_source(known.device_id) if known else source_of(self.attempt.peer, self.locality)

    @property
    def proof(self) -> DeviceProof | None:
        """The client's device, unless the operator switched device checks off for the stock page."""
        return None if self.is_control_ui and self.device_auth_disabled else self.params.device

    @property
    def is_control_ui(self) -> bool:
        return self.params.client.id == _CONTROL_UI

    @property
    def is_webchat(self) -> bool:
        return self.params.client.mode == _WEBCHAT_MODE or self.params.client.id == _WEBCHAT_UI

    @property
    def is_local_backend(self) -> bool:
        """v4: a program on this machine that holds the shared secret itself."""
        client = self.params.client
        return (
            self.protocol == V4
            and client.id == "gateway-client"
            and client.mode == "backend"
            and self.locality.is_local
            and self.attempt.peer.origin is None
        )

    @property
    def is_proxied_page(self) -> bool:
        """A page whose user the proxy in front has authenticated, which takes the place of a device."""
        vouched = self.proxy is not None and self.proxy.user is not None
        return vouched and self.is_control_ui and self.params.role == OPERATOR

    @property
    def by_proxy(self) -> bool:
        """Whether a proxy authenticates users here."""
        return self.shared.mode == TRUSTED_PROXY

    @property
    def device_auth_disabled(self) -> bool:
        # v4 dropped both switches.
        return self.policy.disable_device_auth and self.protocol == V3

    @property
    def insecure_auth_allowed(self) -> bool:
        return self.policy.allow_insecure_auth and self.protocol == V3 and self.locality.is_local
