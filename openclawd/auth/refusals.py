"""Every way in which a handshake fails: reason, error code, message, details, close.

The texts are the stock gateway's, since clients match some of them; v3 and v4 differ in a few and mostly in
the details. Where no version is negotiated yet, the message is v3's and the details are v4's. `retryable` is
false where the same request fails again whoever waits, and absent where it is for somebody to approve it.
Whoever refuses, pipeline or connection, takes the refusal from here, so that all end in one shape and one log
line.
"""

from collections.abc import Mapping
from typing import Final

import attrs

from openclawd.auth import advice
from openclawd.auth.charges import Charge
from openclawd.auth.credentials import (
    DEVICE_MISMATCH,
    RATE_LIMITED,
    SCOPE_MISMATCH,
    SHARED_MISMATCH,
    presented_kinds,
)
from openclawd.auth.decisions import PAIRING_REQUIRED, Facts, Refused
from openclawd.auth.origins import OriginFault, OriginRules
from openclawd.auth.pairing import PairedDevice, PairingAsk
from openclawd.auth.signature import SignatureFault
from openclawd.auth.trusted_proxy import MISSING_HEADER
from openclawd.protocol import closes
from openclawd.protocol.connect import AuthParams, ClientInfo, ConnectParams
from openclawd.protocol.errors import ErrorCode, ErrorShape
from openclawd.protocol.versions import V3, V4

# A full disk is not mended within milliseconds.
RETRY_UNWRITABLE_MS: Final = 5_000

_FIRST_MUST_CONNECT: Final = "invalid handshake: first request must be connect"
_ORIGIN_NOT_ALLOWED: Final = (
    "origin not allowed "
    "(open the Control UI from the gateway host or allow it in gateway.controlUi.allowedOrigins)"
)
_DEVICE_REQUIRED: Final = "device identity required"
_CONTROL_UI_DEVICE_REQUIRED: Final = (
    "control ui requires device identity (use HTTPS or localhost secure context)"
)

_DETAIL_CODES: Final[Mapping[str, str]] = {
    "token_missing": "AUTH_TOKEN_MISSING",
    SHARED_MISMATCH: "AUTH_TOKEN_MISMATCH",
    "token_missing_config": "AUTH_TOKEN_NOT_CONFIGURED",
    "password_missing": "AUTH_PASSWORD_MISSING",
    "password_mismatch": "AUTH_PASSWORD_MISMATCH",
    "password_missing_config": "AUTH_PASSWORD_NOT_CONFIGURED",
    DEVICE_MISMATCH: "AUTH_DEVICE_TOKEN_MISMATCH",
    SCOPE_MISMATCH: "AUTH_SCOPE_MISMATCH",
    RATE_LIMITED: "AUTH_RATE_LIMITED",
}

# What a v4 client should do next.
_NEXT_STEPS: Final[Mapping[str, str]] = {
    "token_missing": "update_auth_configuration",
    "token_missing_config": "update_auth_configuration",
    "password_missing": "update_auth_configuration",
    "password_missing_config": "update_auth_configuration",
    SHARED_MISMATCH: "update_auth_credentials",
    "password_mismatch": "update_auth_credentials",
    DEVICE_MISMATCH: "update_auth_credentials",
    RATE_LIMITED: "wait_then_retry",
}
_NEXT_STEP_OTHERWISE: Final = "review_auth_configuration"

# Pairing reason: what is missing, and what its owner does about it (v4).
_PAIRING_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "not-paired": (
        "device is not approved yet",
        "Approve this device from the pending pairing requests.",
    ),
    "role-upgrade": (
        "device is asking for a higher role than currently approved",
        "Review the requested role upgrade, then approve the pending request.",
    ),
    "scope-upgrade": (
        "device is asking for more scopes than currently approved",
        "Review the requested scopes, then approve the pending upgrade.",
    ),
    "metadata-upgrade": (
        "device identity changed and must be re-approved",
        "Review the refreshed device details, then approve the pending request.",
    ),
}


def not_json(facts: Facts) -> Refused:
    """The first message is not JSON."""
    return _silent(closes.INVALID_FRAME, "not-json", facts)


def malformed_frame(facts: Facts) -> Refused:
    """The first message is JSON, but not a request."""
    return _silent(closes.INVALID_FRAME, "invalid-request-frame", facts)


def handshake_timeout(facts: Facts) -> Refused:
    """No `connect` came in time."""
    return _silent(closes.HANDSHAKE_TIMEOUT, "handshake-timeout", facts)


def too_big(facts: Facts) -> Refused:
    """A stranger's message was above the limit for strangers."""
    return _silent(closes.TOO_BIG, "too-big", facts)


def device_removed(facts: Facts, auth: AuthParams | None = None) -> Refused:
    """The device was removed between the decision and hello-ok."""
    details = {"code": "PAIRING_REQUIRED", "reason": "not-paired"}
    return _refuse(facts, "device-removed", ErrorCode.NOT_PAIRED, "pairing required", details, auth=auth)


def auth_changed(facts: Facts, presented: str) -> Refused:
    """The gateway's settings changed after the decision; by the new ones it may be another."""
    close = closes.invalidated(closes.GATEWAY_AUTH_CHANGED, facts.protocol or V3)
    shape = ErrorShape(ErrorCode.UNAVAILABLE, closes.GATEWAY_AUTH_CHANGED, retryable=True, retry_after_ms=0)
    next_step = advice.for_reason("auth-changed")
    return Refused(close, "auth-changed", facts, shape, presented, next_step=next_step)


def unwritable(facts: Facts) -> Refused:
    """A new device cannot be remembered now; it may come back when the disk takes it."""
    message = "the gateway cannot write its state; the log says why"
    shape = ErrorShape(ErrorCode.UNAVAILABLE, message, retryable=True, retry_after_ms=RETRY_UNWRITABLE_MS)
    next_step = advice.for_reason("state-unwritable")
    return Refused(closes.INTERNAL_ERROR, "state-unwritable", facts, shape, next_step=next_step)


def protocol_breach(facts: Facts, close: closes.Close) -> Refused:
    """The peer broke RFC 6455; the close has been sent."""
    return _silent(close, "websocket-breach", facts)


def not_connect(facts: Facts) -> Refused:
    """The first request is another method."""
    return _refuse(facts, "not-connect", ErrorCode.INVALID_REQUEST, _FIRST_MUST_CONNECT)


def invalid_params(facts: Facts, problems: str) -> Refused:
    """`connect` does not fit its schema."""
    message = f"invalid connect params: {problems}"
    return _refuse(facts, "invalid-connect-params", ErrorCode.INVALID_REQUEST, message)


def protocol_mismatch(facts: Facts, params: ConnectParams) -> Refused:
    """The client speaks none of our versions."""
    details = {
        "code": "PROTOCOL_MISMATCH",
        "clientMinProtocol": params.min_protocol,
        "clientMaxProtocol": params.max_protocol,
        "expectedProtocol": V4,
        "minimumProbeProtocol": V3,
    }
    error = ErrorShape(ErrorCode.INVALID_REQUEST, "protocol mismatch", details, retryable=False)
    return Refused(
        closes.PROTOCOL_MISMATCH,
        "protocol-mismatch",
        facts,
        error,
        presented_kinds(params.auth),
        next_step=advice.for_reason("protocol-mismatch"),
    )


def invalid_role(facts: Facts) -> Refused:
    """A role that is neither operator nor node."""
    return _refuse(facts, "invalid-role", ErrorCode.INVALID_REQUEST, "invalid role")


def origin_not_allowed(
    facts: Facts, auth: AuthParams | None, fault: OriginFault, rules: OriginRules
) -> Refused:
    """A page of that origin may not connect; v3 says so without details. Ours: the command that helps."""
    step = advice.for_origin(facts.origin, rules)
    details: dict[str, object] | None = None
    if facts.protocol == V4:
        details = {"code": "CONTROL_UI_ORIGIN_NOT_ALLOWED", "reason": fault.value, "command": step}
    refused = _refuse(
        facts, "origin-not-allowed", ErrorCode.INVALID_REQUEST, _ORIGIN_NOT_ALLOWED, details, auth=auth
    )
    return attrs.evolve(refused, next_step=f"if the page is yours: {step}")


def device_required(facts: Facts, auth: AuthParams | None, *, control_ui: bool) -> Refused:
    """No device, and nothing that makes up for it."""
    if control_ui:
        return _refuse(
            facts,
            "control-ui-device-required",
            ErrorCode.INVALID_REQUEST,
            _CONTROL_UI_DEVICE_REQUIRED,
            {"code": "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"},
            auth=auth,
        )
    details = {"code": "DEVICE_IDENTITY_REQUIRED"}
    return _refuse(facts, "device-required", ErrorCode.NOT_PAIRED, _DEVICE_REQUIRED, details, auth=auth)


def device_invalid(facts: Facts, auth: AuthParams | None, fault: SignatureFault) -> Refused:
    """The proof of the device does not hold."""
    words = fault.value
    code = words.code if facts.protocol == V4 else "DEVICE_AUTH_INVALID"
    details = {"code": code, "reason": words.reason}
    return _refuse(facts, words.reason, ErrorCode.INVALID_REQUEST, words.message, details, auth=auth)


def unauthorized(
    facts: Facts, params: ConnectParams, failure: str, charge: Charge | None, *, has_device: bool
) -> Refused:
    """No credential let the client in; `failure` is the wire's reason."""
    message = _auth_message(failure, params.client, facts.protocol)
    details: dict[str, object] = {
        "code": _detail_code(failure, facts.protocol),
        "authReason": failure,
    }
    if facts.protocol == V4:
        only_token = params.auth is not None and params.auth.device_token is None
        can_retry = failure == SHARED_MISMATCH and has_device and only_token
        details["canRetryWithDeviceToken"] = can_retry
        details["recommendedNextStep"] = (
            "retry_with_device_token" if can_retry else _NEXT_STEPS.get(failure, _NEXT_STEP_OTHERWISE)
        )
    limited = charge if failure == RATE_LIMITED else None
    error = ErrorShape(
        ErrorCode.INVALID_REQUEST,
        message,
        details,
        retryable=limited is not None,
        retry_after_ms=limited.verdict.retry_after_ms if limited is not None else None,
    )
    return Refused(
        closes.policy(message),
        failure,
        facts,
        error,
        presented_kinds(params.auth),
        next_step=advice.for_limit(limited.verdict.empty or limited.source.key)
        if limited is not None
        else advice.for_proxy(failure, facts.address, facts.user),
    )


def pairing_required(
    facts: Facts, auth: AuthParams | None, ask: PairingAsk, reason: str, known: PairedDevice | None
) -> Refused:
    """The device must be approved first. The id of the stored request is put in later."""
    if facts.protocol != V4:
        message = PAIRING_REQUIRED
        details: dict[str, object] = {"code": "PAIRING_REQUIRED", "requestId": "", "reason": reason}
    else:
        requirement, hint = _PAIRING_WORDS[reason]
        message = f"{PAIRING_REQUIRED}: {requirement}"
        details = {
            "code": "PAIRING_REQUIRED",
            "reason": reason,
            "requestId": "",
            "remediationHint": hint,
            # Once somebody approves, the device gets in without a further act: it may go on knocking.
            "recommendedNextStep": "wait_then_retry",
            "retryable": True,
            "pauseReconnect": False,
            "deviceId": ask.device_id,
            "requestedRole": ask.role,
            "requestedScopes": list(ask.scopes),
        }
        if known is not None:
            details |= {"approvedRoles": list(known.roles), "approvedScopes": list(known.scopes)}
    error = ErrorShape(ErrorCode.NOT_PAIRED, message, details)
    return Refused(closes.policy(message), reason, facts, error, presented_kinds(auth), ask)


def _silent(close: closes.Close, reason: str, facts: Facts) -> Refused:
    """There is no request that a `res` could answer."""
    return Refused(close, reason, facts, next_step=advice.for_reason(reason))


def _refuse(
    facts: Facts,
    reason: str,
    code: ErrorCode,
    message: str,
    details: Mapping[str, object] | None = None,
    *,
    auth: AuthParams | None = None,
) -> Refused:
    """The common case: closed with 1008 and the message itself."""
    error = ErrorShape(code, message, details, retryable=False)
    return Refused(
        closes.policy(message),
        reason,
        facts,
        error,
        presented_kinds(auth),
        next_step=advice.for_reason(reason),
    )


def _detail_code(failure: str, protocol: int | None) -> str:
    if protocol == V4 and failure.startswith(MISSING_HEADER):
        return "AUTH_IDENTITY_HEADER_REQUIRED"
    return _DETAIL_CODES.get(failure, "AUTH_UNAUTHORIZED")


def _auth_message(failure: str, client: ClientInfo, protocol: int | None) -> str:
    match failure:
        case "token_missing" | "token_mismatch" | "password_missing" | "password_mismatch":
            kind, _, problem = failure.partition("_")
            return f"unauthorized: gateway {kind} {problem} ({_hint(kind, client, protocol)})"
        case "token_missing_config" | "password_missing_config":
            kind = failure.partition("_")[0]
            return f"unauthorized: gateway {kind} not configured on gateway (set gateway.auth.{kind})"
        case "device_token_mismatch":
            return "unauthorized: device token mismatch (rotate/reissue device token)"
        case "scope_mismatch":
            return "unauthorized: device token covers fewer scopes than requested (approve the scope upgrade)"
        case "rate_limited":
            return "unauthorized: too many failed authentication attempts (retry later)"
        case _:
            return "unauthorized"


def _hint(kind: str, client: ClientInfo, protocol: int | None) -> str:
    if client.id == "cli" or client.mode == "cli":
        if protocol == V4:
            return f"use this gateway's gateway.auth.{kind} or pair the device"
        return f"set gateway.remote.{kind} to match gateway.auth.{kind}"
    if client.id in ("openclaw-control-ui", "webchat-ui") or client.mode == "webchat":
        if kind == "token":
            return "open the dashboard URL and paste the token in Control UI settings"
        return "enter the password in Control UI settings"
    return f"provide gateway auth {kind}"
