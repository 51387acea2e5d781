"""Admission: the ordered decision that turns a connection into a client, or refuses it.

The order is the stock gateway's and part of what clients see, so it stands as one tuple, `_STEPS`. Each step
reads the case, may add what it found out, and may end it; a case that passes all of them is admitted. The
device's proof is checked before any secret is examined: who it shows to be paired pays for his mistakes
alone, and a proof that does not hold ends the case before anything can be guessed.

Nothing here does I/O: what the decision asks for (a pairing to write, a token to issue, a request to store, a
while to wait) is part of its result. A signature alone proves identity and never admits, and scopes are those
of the credential: what was approved for the device, what its token was issued for, or all for who holds the
gateway's own secret.
"""

from collections.abc import Callable
from typing import Final

import attrs

from openclawd.auth import refusals
from openclawd.auth.approval import is_silent, missing_approval, pairing_ask
from openclawd.auth.bearer import BearerVerdict, judge_bearer
from openclawd.auth.case import Attempt, Case
from openclawd.auth.charges import Till
from openclawd.auth.credentials import (
    DeviceToken,
    Judgement,
    judge_at_once,
    judge_beside,
    judge_guess,
    presented_secret,
    told_failure,
)
from openclawd.auth.decisions import Admitted, Facts, Refused, TokenRequest
from openclawd.auth.devices import DeviceView
from openclawd.auth.limiter import Limiter
from openclawd.auth.locality import Locality, Peer
from openclawd.auth.origins import judge_origin
from openclawd.auth.policy import Policy
from openclawd.auth.scopes import OPERATOR, ROLES
from openclawd.auth.signature import SignatureFault, verify_proof
from openclawd.auth.sources import source_of
from openclawd.auth.trusted_proxy import TRUSTED_PROXY, identify
from openclawd.protocol.codec import InvalidValue, structure
from openclawd.protocol.connect import ConnectParams
from openclawd.protocol.versions import V3, negotiate

LOCAL_SOCKET: Final = "local-socket"


def peer_facts(peer: Peer, policy: Policy) -> Facts:
    """What is known of a connection before its first message; for refusals by the connection itself."""
    return _facts(peer, policy.locate(peer))


class Admission:
    """The door's judge: the policy, which may change while connections wait, the devices, the limiter."""

    def __init__(self, policy: Policy, devices: DeviceView, limiter: Limiter) -> None:
        self._policy = policy
        self._devices = devices
        self._limiter = limiter

    @property
    def policy(self) -> Policy:
        """The one in force now. A decision holds for as long as it is this very one."""
        return self._policy

    def change(self, policy: Policy) -> None:
        """From the next decision on."""
        self._policy = policy

    def decide(self, attempt: Attempt) -> Admitted | Refused:
        """The decision on one `connect`. Never raises for what a client sent."""
        policy = self._policy
        locality = policy.locate(attempt.peer)
        if attempt.request.method != "connect":
            return refusals.not_connect(_facts(attempt.peer, locality))
        try:
            params = structure(attempt.request.params, ConnectParams)
        except InvalidValue as error:
            return refusals.invalid_params(_facts(attempt.peer, locality), error.text())
        protocol = negotiate(params.min_protocol, params.max_protocol, mode=params.client.mode)
        facts = Facts(
            locality.address,
            attempt.peer.origin,
            locality.host,
            locality.is_local,
            client_id=params.client.id,
            client_mode=params.client.mode,
            client_version=params.client.version,
            device_id=params.device.id if params.device is not None else None,
            role=params.role,
            protocol=protocol,
        )
        if protocol is None:
            return refusals.protocol_mismatch(facts, params)
        return self._judge(Case(attempt, policy, self._devices, locality, params, protocol, facts))

    def judge_bearer(self, peer: Peer, credential: str | None, now_ms: int) -> BearerVerdict:
        """The verdict on an HTTP request; `credential` is what it bears, None if nothing."""
        policy = self._policy
        till = Till(self._limiter, lambda: source_of(peer, policy.locate(peer)), now_ms)
        return judge_bearer(peer, credential, policy, till)

    def _judge(self, case: Case) -> Admitted | Refused:
        till = Till(self._limiter, lambda: case.source, case.attempt.now_ms)
        for step in _STEPS:
            ended = step(case, till)
            if ended is not None:
                # Right and wrong wait alike, whatever comes of it in the end.
                return ended if case.charge is None else attrs.evolve(ended, charge=case.charge)
        return _admit(case)


def _check_role(case: Case, _: Till) -> Refused | None:
    return None if case.params.role in ROLES else refusals.invalid_role(case.facts)


def _admit_local_socket(case: Case, _: Till) -> Admitted | None:
    """The owner of the state directory needs no secret to reach it: the kernel vouches for the uid."""
    if not case.policy.is_owner(case.attempt.peer) or case.params.role != OPERATOR:
        return None
    return Admitted(case.params, case.protocol, OPERATOR, case.params.scopes, LOCAL_SOCKET, case.facts)


def _check_origin(case: Case, _: Till) -> Refused | None:
    header = case.attempt.peer.origin
    if header is None and not (case.is_control_ui or case.is_webchat):
        return None
    rules = case.policy.origins
    fault = judge_origin(header, case.locality.host, rules, case.locality.scheme)
    if fault is None:
        return None
    return refusals.origin_not_allowed(case.facts, case.params.auth, fault, rules)


def _identify_user(case: Case, _: Till) -> None:
    if case.by_proxy:
        case.proxy = identify(case.attempt.peer, case.policy.trusted_proxy, case.policy.trusted_proxies)
        case.facts = attrs.evolve(case.facts, user=case.proxy.user)


def _require_secure_context(case: Case, _: Till) -> Refused | None:
    """A page shows a device; without one, the right secret would not help it either."""
    if case.proof is not None or not case.is_control_ui or case.by_proxy:
        return None
    if case.device_auth_disabled or case.insecure_auth_allowed:
        return None
    return refusals.device_required(case.facts, case.params.auth, control_ui=True)


def _verify_device(case: Case, _: Till) -> Refused | None:
    if case.proof is None:
        return None
    verdict = verify_proof(case.params, case.proof, nonce=case.attempt.nonce, now_ms=case.attempt.now_ms)
    if isinstance(verdict, SignatureFault):
        return refusals.device_invalid(case.facts, case.params.auth, verdict)
    case.device = verdict
    return None


def _judge_credentials(case: Case, till: Till) -> None:
    """A device token admits only with the signature of the device it was issued to."""
    auth, shared = case.params.auth, case.shared
    guess = presented_secret(auth, shared)
    if case.proxy is not None:
        at_once: Judgement | None = Judgement(case.proxy.failure, TRUSTED_PROXY)
    else:
        at_once = judge_at_once(shared, guess)
    token = None
    if case.device is not None and auth is not None:
        case.device_token = auth.device_token or auth.token
        if case.device_token:
            worth = case.devices.verify_token(
                case.device.id, case.params.role, case.device_token, case.params.scopes
            )
            token = DeviceToken(case.device_token, worth, named=bool(auth.device_token))
    if token is not None:
        found = judge_beside(token, at_once, guess, shared, till)
    else:
        found = at_once or judge_guess(shared, guess, till)
    case.judgement = told_failure(found, token, case.protocol) if found.failure is not None else found


def _check_missing_device(case: Case, _: Till) -> Refused | None:
    if case.proof is not None or case.is_proxied_page:
        return None
    auth = case.params.auth
    if case.params.role == OPERATOR and case.judgement.by_secret:
        return None
    showed_secret = auth is not None and bool(auth.token or auth.password)
    if case.judgement.failure is not None and (showed_secret or (case.by_proxy and case.is_control_ui)):
        return _unauthorized(case)
    return refusals.device_required(case.facts, auth, control_ui=case.by_proxy and case.is_control_ui)


def _enforce(case: Case, _: Till) -> Refused | None:
    return None if case.judgement.failure is None else _unauthorized(case)


def _check_pairing(case: Case, _: Till) -> Refused | None:
    missing = missing_approval(case)
    if missing is None or case.device is None:
        return None
    ask = pairing_ask(case, case.device)
    if is_silent(case, missing):
        case.pairing = ask
        return None
    known = case.devices.find(case.device.id)
    return refusals.pairing_required(case.facts, case.params.auth, ask, missing, known)


_STEPS: Final[tuple[Callable[[Case, Till], Admitted | Refused | None], ...]] = (
    _check_role,
    _admit_local_socket,
    _check_origin,
    _identify_user,
    _require_secure_context,
    _verify_device,
    _judge_credentials,
    _check_missing_device,
    _enforce,
    _check_pairing,
)


def _admit(case: Case) -> Admitted:
    scopes = case.params.scopes if case.device is not None or _keeps_scopes(case) else ()
    token_request = None
    if case.device is not None and not case.is_local_backend and not case.is_proxied_page:
        token_request = TokenRequest(case.device.id, case.params.role, scopes, case.device_token)
    return Admitted(
        case.params,
        case.protocol,
        case.params.role,
        scopes,
        case.judgement.credential,
        case.facts,
        case.device,
        case.pairing,
        token_request,
        case.charge,
    )


def _keeps_scopes(case: Case) -> bool:
    """Without a device: always in v3; in v4 local programs, and a page whose user a proxy names."""
    if case.protocol == V3 or case.is_local_backend or case.is_proxied_page:
        return True
    return case.params.client.id == "cli" and case.locality.is_local


def _facts(peer: Peer, locality: Locality) -> Facts:
    return Facts(locality.address, peer.origin, locality.host, locality.is_local)


def _unauthorized(case: Case) -> Refused:
    return refusals.unauthorized(
        case.facts,
        case.params,
        case.judgement.failure or "unauthorized",
        case.charge,
        has_device=case.proof is not None,
    )
