"""Admission: the ordered decision that turns a connection into a client, or refuses it.

The order is the stock gateway's and part of what clients see, so it stands as one tuple, `_STEPS`: role,
local socket, origin, shared secret, missing device, device proof, device token, enforcement, pairing. Each
step reads the case, may add what it found out, and may end it with a refusal; a case that passes all of them
is admitted. Nothing here does I/O: what the decision asks for (a pairing to write, a token to issue, a
request to store) is part of its result. A signature alone proves identity and never admits.
"""

from collections.abc import Callable
from typing import Final

import attrs

from openclawd.auth import refusals
from openclawd.auth.credentials import (
    DEVICE_MISMATCH,
    RATE_LIMITED,
    SCOPE_MISMATCH,
    Judgement,
    SharedAuth,
    judge_shared_secret,
)
from openclawd.auth.decisions import Admitted, Facts, Refused, TokenRequest
from openclawd.auth.devices import DeviceView, TokenVerdict
from openclawd.auth.limiter import Limiter
from openclawd.auth.locality import IpNetwork, Locality, Peer, locate
from openclawd.auth.origins import OriginRules, equals_host, judge_origin
from openclawd.auth.pairing import PairedDevice, PairingAsk
from openclawd.auth.scopes import OPERATOR, ROLES, covers
from openclawd.auth.signature import ProvenDevice, SignatureFault, normalise_metadata, verify_proof
from openclawd.protocol.codec import InvalidValue, structure
from openclawd.protocol.connect import ConnectParams, DeviceProof
from openclawd.protocol.frames import Request
from openclawd.protocol.versions import V3, V4, negotiate

_CONTROL_UI: Final = "openclaw-control-ui"
_WEBCHAT_UI: Final = "webchat-ui"
_WEBCHAT_MODE: Final = "webchat"

BY_DEVICE: Final = "device-token"
NO_CREDENTIAL: Final = "none"
LOCAL_SOCKET: Final = "local-socket"


# A case that no step judged would be refused.
_UNJUDGED: Final = Judgement("unauthorized")


@attrs.frozen
class Policy:
    """The settings that admission depends on. `own_uid` is whose Unix-socket peers are the owner."""

    shared: SharedAuth
    origins: OriginRules = attrs.field(factory=OriginRules)
    trusted_proxies: tuple[IpNetwork, ...] = ()
    allow_real_ip: bool = False
    allow_insecure_auth: bool = False
    disable_device_auth: bool = False
    own_uid: int | None = None


@attrs.frozen(eq=False, repr=False)
class Attempt:
    """One `connect`: who sent it, over which nonce, when. `retry_after_ms` is a limiter's verdict: above
    zero, what can be guessed is refused unexamined."""

    peer: Peer
    nonce: str
    request: Request
    now_ms: int
    retry_after_ms: int = 0


def peer_facts(peer: Peer, policy: Policy) -> Facts:
    """What is known of a connection before its first message; for refusals by the connection itself."""
    return _facts(peer, _locate(peer, policy))


def decide(attempt: Attempt, policy: Policy, devices: DeviceView) -> Admitted | Refused:
    """The decision on one `connect`. Never raises for what a client sent."""
    locality = _locate(attempt.peer, policy)
    facts = _facts(attempt.peer, locality)
    if attempt.request.method != "connect":
        return refusals.not_connect(facts)
    try:
        params = structure(attempt.request.params, ConnectParams)
    except InvalidValue as error:
        return refusals.invalid_params(facts, error.text())
    facts = attrs.evolve(
        facts,
        client_id=params.client.id,
        client_mode=params.client.mode,
        client_version=params.client.version,
        device_id=params.device.id if params.device is not None else None,
        role=params.role,
    )
    protocol = negotiate(params.min_protocol, params.max_protocol, mode=params.client.mode)
    if protocol is None:
        return refusals.protocol_mismatch(facts, params)
    facts = attrs.evolve(facts, protocol=protocol)
    case = _Case(attempt, policy, devices, locality, params, protocol, facts)
    for step in _STEPS:
        ended = step(case)
        if ended is not None:
            return ended
    return _admit(case)


class Admission:
    """The door's judge: the policy, which may change while connections wait, the devices, the limiter."""

    def __init__(self, policy: Policy, devices: DeviceView, limiter: Limiter) -> None:
        self._policy = policy
        self._devices = devices
        self._limiter = limiter

    @property
    def policy(self) -> Policy:
        """The one in force now."""
        return self._policy

    def change(self, policy: Policy) -> None:
        """From the next decision on."""
        self._policy = policy

    def decide(self, attempt: Attempt) -> Admitted | Refused:
        """The decision on one `connect`. Never raises for what a client sent."""
        return decide(attempt, self._policy, self._devices)


@attrs.define(eq=False, repr=False)
class _Case:
    """One attempt on its way through the steps; below the line is what they found out."""

    attempt: Attempt
    policy: Policy
    devices: DeviceView
    locality: Locality
    params: ConnectParams
    protocol: int
    facts: Facts

    judgement: Judgement = _UNJUDGED
    credential: str = NO_CREDENTIAL
    device: ProvenDevice | None = None
    device_token: str | None = None
    pairing: PairingAsk | None = None

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
    def device_auth_disabled(self) -> bool:
        # v4 dropped both switches.
        return self.policy.disable_device_auth and self.protocol == V3

    @property
    def insecure_auth_allowed(self) -> bool:
        return self.policy.allow_insecure_auth and self.protocol == V3 and self.locality.is_local


def _check_role(case: _Case) -> Refused | None:
    return None if case.params.role in ROLES else refusals.invalid_role(case.facts)


def _admit_local_socket(case: _Case) -> Admitted | None:
    """The owner of the state directory needs no secret to reach it: the kernel vouches for the uid."""
    uid = case.attempt.peer.unix_uid
    if uid is None or uid != case.policy.own_uid or case.params.role != OPERATOR:
        return None
    return Admitted(case.params, case.protocol, OPERATOR, case.params.scopes, LOCAL_SOCKET, case.facts)


def _check_origin(case: _Case) -> Refused | None:
    header = case.attempt.peer.origin
    if header is None and not (case.is_control_ui or case.is_webchat):
        return None
    fault = judge_origin(header, case.locality.host, case.policy.origins)
    if fault is None:
        return None
    return refusals.origin_not_allowed(case.facts, case.params.auth, fault)


def _judge_shared_secret(case: _Case) -> None:
    case.judgement = judge_shared_secret(
        case.params.auth, case.policy.shared, retry_after_ms=case.attempt.retry_after_ms
    )
    case.credential = case.policy.shared.mode


def _check_missing_device(case: _Case) -> Refused | None:
    if case.proof is not None:
        return None
    auth = case.params.auth
    if case.is_control_ui and not (case.device_auth_disabled or case.insecure_auth_allowed):
        return refusals.device_required(case.facts, auth, control_ui=True)
    if case.params.role == OPERATOR and case.judgement.by_secret:
        return None
    if case.judgement.failure is not None and auth is not None and (auth.token or auth.password):
        return _unauthorized(case)
    return refusals.device_required(case.facts, auth, control_ui=False)


def _verify_device(case: _Case) -> Refused | None:
    if case.proof is None:
        return None
    verdict = verify_proof(case.params, case.proof, nonce=case.attempt.nonce, now_ms=case.attempt.now_ms)
    if isinstance(verdict, SignatureFault):
        return refusals.device_invalid(case.facts, case.params.auth, verdict)
    case.device = verdict
    return None


def _try_device_token(case: _Case) -> None:
    """A device token admits only with the signature of the device it was issued to."""
    auth = case.params.auth
    if case.device is None or auth is None:
        return
    case.device_token = auth.device_token or auth.token
    if case.judgement.failure is None or not case.device_token:
        return
    verdict = case.devices.verify_token(
        case.device.id, case.params.role, case.device_token, case.params.scopes
    )
    if verdict is TokenVerdict.VALID:
        case.judgement = Judgement(None)
        case.credential = BY_DEVICE
    elif verdict is TokenVerdict.SCOPES and case.protocol == V4:
        case.judgement = Judgement(SCOPE_MISMATCH)
    elif case.attempt.retry_after_ms > 0:
        case.judgement = Judgement(RATE_LIMITED)
    elif auth.device_token:
        case.judgement = Judgement(DEVICE_MISMATCH)


def _enforce(case: _Case) -> Refused | None:
    return None if case.judgement.failure is None else _unauthorized(case)


def _check_pairing(case: _Case) -> Refused | None:
    if case.device is None:
        return None
    known = case.devices.find(case.device.id)
    reason = _pairing_reason(case, case.device, known)
    if reason is None:
        return None
    ask = _pairing_ask(case, case.device)
    if reason in ("not-paired", "scope-upgrade") and _may_pair_silently(case):
        case.pairing = ask
        return None
    return refusals.pairing_required(case.facts, case.params.auth, ask, reason, known)


_STEPS: Final[tuple[Callable[[_Case], Admitted | Refused | None], ...]] = (
    _check_role,
    _admit_local_socket,
    _check_origin,
    _judge_shared_secret,
    _check_missing_device,
    _verify_device,
    _try_device_token,
    _enforce,
    _check_pairing,
)


def _admit(case: _Case) -> Admitted:
    scopes = case.params.scopes if case.device is not None or _keeps_scopes(case) else ()
    token_request = None
    if case.device is not None and not case.is_local_backend:
        token_request = TokenRequest(case.device.id, case.params.role, scopes, case.device_token)
    return Admitted(
        case.params,
        case.protocol,
        case.params.role,
        scopes,
        case.credential,
        case.facts,
        case.device,
        case.pairing,
        token_request,
    )


def _keeps_scopes(case: _Case) -> bool:
    """Without a device: always in v3; in v4 only the command line and local programs."""
    client = case.params.client
    return case.protocol == V3 or case.is_local_backend or (client.id == "cli" and case.locality.is_local)


def _pairing_reason(case: _Case, device: ProvenDevice, known: PairedDevice | None) -> str | None:
    if case.is_local_backend:
        return None
    if known is None or known.public_key != device.public_key:
        return "not-paired"
    client = case.params.client
    if _differs(known.platform, client.platform) or _differs(known.device_family, client.device_family):
        return "metadata-upgrade"
    if case.params.role not in known.roles:
        return "role-upgrade"
    if not covers(known.scopes, case.params.scopes):
        return "scope-upgrade"
    return None


def _differs(pinned: str | None, claimed: str | None) -> bool:
    """What was pinned at pairing may not change; what was not, may come later."""
    return bool(normalise_metadata(pinned)) and normalise_metadata(pinned) != normalise_metadata(claimed)


def _may_pair_silently(case: _Case) -> bool:
    """The human act: presenting the shared secret on this machine. Where there is no secret, only a page that
    this gateway served itself, or a program, may be taken for the owner."""
    if not case.locality.is_local:
        return False
    origin = case.attempt.peer.origin
    if case.policy.shared.mode == "none":
        return origin is None or equals_host(origin, case.locality.host)
    return case.judgement.by_secret and (origin is None or case.is_control_ui or case.is_webchat)


def _pairing_ask(case: _Case, device: ProvenDevice) -> PairingAsk:
    client = case.params.client
    return PairingAsk(
        device_id=device.id,
        public_key=device.public_key,
        client_id=client.id,
        client_mode=client.mode,
        role=case.params.role,
        scopes=case.params.scopes,
        display_name=client.display_name,
        platform=client.platform,
        device_family=client.device_family,
        remote_ip=None if case.locality.is_local else case.locality.address,
    )


def _locate(peer: Peer, policy: Policy) -> Locality:
    found = locate(peer, trusted_proxies=policy.trusted_proxies, allow_real_ip=policy.allow_real_ip)
    if peer.unix_uid is not None and peer.unix_uid != policy.own_uid:
        # Another user of this machine is a stranger here.
        return attrs.evolve(found, is_local=False)
    return found


def _facts(peer: Peer, locality: Locality) -> Facts:
    return Facts(locality.address, peer.origin, locality.host, locality.is_local)


def _unauthorized(case: _Case) -> Refused:
    return refusals.unauthorized(
        case.facts,
        case.params,
        case.judgement.failure or "unauthorized",
        has_device=case.proof is not None,
        retry_after_ms=case.attempt.retry_after_ms,
    )
