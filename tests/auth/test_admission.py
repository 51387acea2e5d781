"""The decision on `connect`: every refusal with its code, details and close, and who gets in by what."""

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.auth import refusals
from openclawd.auth.admission import peer_facts
from openclawd.auth.credentials import SharedAuth
from openclawd.auth.decisions import Admitted, Refused
from openclawd.auth.devices import DeviceView
from openclawd.auth.limiter import Limiter
from openclawd.auth.locality import Peer
from openclawd.auth.origins import OriginRules
from openclawd.auth.policy import Policy
from openclawd.config.secret import Secret
from openclawd.protocol.closes import Close
from openclawd.protocol.codec import encode
from openclawd.protocol.errors import ErrorCode
from openclawd.protocol.frames import Request
from tests.auth.clients import (
    BACKEND,
    CLI,
    CONTROL_UI,
    DEVICE,
    LOCAL,
    NOBODY,
    NODE,
    OPEN_POLICY,
    PAGE,
    PASSWORD,
    PASSWORD_POLICY,
    REMOTE,
    TOKEN,
    TOKEN_POLICY,
    WEAK_POLICY,
    attempt,
    connect,
    decide,
    paired,
)


def refused(
    params: object,
    peer: Peer = LOCAL,
    policy: Policy = TOKEN_POLICY,
    devices: DeviceView = NOBODY,
    *,
    limiter: Limiter | None = None,
) -> Refused:
    decision = decide(attempt(params, peer), policy, devices, limiter)
    assert isinstance(decision, Refused), decision
    return decision


def admitted(
    params: object,
    peer: Peer = LOCAL,
    policy: Policy = TOKEN_POLICY,
    devices: DeviceView = NOBODY,
    *,
    limiter: Limiter | None = None,
) -> Admitted:
    decision = decide(attempt(params, peer), policy, devices, limiter)
    assert isinstance(decision, Admitted), decision
    return decision


def wire(refusal: Refused) -> dict[str, object]:
    """Whatever is not said to be worth another try must say that it is none (test_handshake_table.py)."""
    assert refusal.error is not None
    told = refusal.error.to_wire()
    if told.get("retryable") is False:
        del told["retryable"]
    return told


ORIGIN_TEXT = (
    "origin not allowed (open the Control UI from the gateway host or allow it in "
    "gateway.controlUi.allowedOrigins)"
)
UI_DEVICE_TEXT = "control ui requires device identity (use HTTPS or localhost secure context)"
EVIL = Peer("127.0.0.1", 1, "localhost:18789", "https://evil.example")


# protocol.md 2.1, row by row.


def test_a_message_that_is_no_request_is_closed_without_an_answer() -> None:
    refusal = refusals.malformed_frame(peer_facts(LOCAL, TOKEN_POLICY))
    assert (refusal.error, refusal.close) == (None, Close(1008, "invalid request frame"))


def test_a_message_that_is_not_json_is_closed_in_the_same_way() -> None:
    refusal = refusals.not_json(peer_facts(LOCAL, TOKEN_POLICY))
    assert (refusal.error, refusal.close) == (None, Close(1008, "invalid request frame"))


def test_silence_is_closed_with_the_reason() -> None:
    refusal = refusals.handshake_timeout(peer_facts(LOCAL, TOKEN_POLICY))
    assert (refusal.error, refusal.close) == (None, Close(1008, "handshake timeout: no connect request"))


def test_too_much_from_a_stranger_is_closed_as_such() -> None:
    assert refusals.too_big(peer_facts(LOCAL, TOKEN_POLICY)).close == Close(1009, "")


def test_the_first_method_must_be_connect() -> None:
    other = attrs.evolve(attempt(None), request=Request("1", "health"))
    refusal = decide(other, TOKEN_POLICY, NOBODY)
    assert isinstance(refusal, Refused)
    text = "invalid handshake: first request must be connect"
    assert wire(refusal) == {"code": "INVALID_REQUEST", "message": text}
    assert refusal.close == Close(1008, text)


def test_params_that_do_not_fit_the_schema_are_named() -> None:
    refusal = refused({**connect(token=TOKEN), "zzz": 1})
    text = "invalid connect params: at root: unexpected property 'zzz'"
    assert wire(refusal) == {"code": "INVALID_REQUEST", "message": text}
    assert refusal.close == Close(1008, text)


def test_a_version_range_without_ours_is_a_mismatch() -> None:
    refusal = refused({**connect(token=TOKEN), "minProtocol": 1, "maxProtocol": 2})
    assert wire(refusal) == {
        "code": "INVALID_REQUEST",
        "message": "protocol mismatch",
        "details": {
            "code": "PROTOCOL_MISMATCH",
            "clientMinProtocol": 1,
            "clientMaxProtocol": 2,
            "expectedProtocol": 4,
            "minimumProbeProtocol": 3,
        },
    }
    assert refusal.close == Close(1002, "protocol mismatch")


def test_a_role_is_operator_or_node() -> None:
    refusal = refused(connect(token=TOKEN, role="bogus"))
    assert wire(refusal) == {"code": "INVALID_REQUEST", "message": "invalid role"}
    assert refusal.close == Close(1008, "invalid role")


@pytest.mark.parametrize("version", [3, 4])
def test_a_foreign_origin_is_refused_and_only_v4_has_details(version: int) -> None:
    refusal = refused(connect(token=TOKEN, version=version), EVIL)
    expected: dict[str, object] = {"code": "INVALID_REQUEST", "message": ORIGIN_TEXT}
    if version == 4:
        expected["details"] = {
            "code": "CONTROL_UI_ORIGIN_NOT_ALLOWED",
            "reason": "origin not allowed",
            "command": "openclawd config set openclawd.publicOrigin https://evil.example",
        }
    assert wire(refusal) == expected
    assert refusal.close == Close(1008, ORIGIN_TEXT)


@pytest.mark.parametrize("origin", [None, "null"])
@pytest.mark.parametrize("client", [CONTROL_UI, {**BACKEND, "id": "webchat-ui"}])
def test_a_page_without_an_origin_is_refused(origin: str | None, client: dict[str, str]) -> None:
    peer = attrs.evolve(PAGE, origin=origin)
    refusal = refused(connect(client, token=TOKEN, device=DEVICE, version=4), peer)
    assert refusal.error is not None
    assert refusal.error.details == {
        "code": "CONTROL_UI_ORIGIN_NOT_ALLOWED",
        "reason": "origin missing or invalid",
        "command": "openclawd dashboard",
    }


@pytest.mark.parametrize("version", [3, 4])
def test_the_control_ui_needs_a_device(version: int) -> None:
    refusal = refused(connect(CONTROL_UI, token=TOKEN, version=version), PAGE)
    assert wire(refusal) == {
        "code": "INVALID_REQUEST",
        "message": UI_DEVICE_TEXT,
        "details": {"code": "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"},
    }
    assert refusal.close == Close(1008, UI_DEVICE_TEXT)


@pytest.mark.parametrize(
    ("params", "policy"),
    [
        (connect(), TOKEN_POLICY),
        (connect(), OPEN_POLICY),
        (connect(token="ignored"), OPEN_POLICY),
        (connect(device_token="anything"), TOKEN_POLICY),
        (connect(NODE, token=TOKEN, role="node"), TOKEN_POLICY),
    ],
)
def test_without_device_and_secret_a_device_is_required(params: object, policy: Policy) -> None:
    refusal = refused(params, policy=policy)
    assert wire(refusal) == {
        "code": "NOT_PAIRED",
        "message": "device identity required",
        "details": {"code": "DEVICE_IDENTITY_REQUIRED"},
    }
    assert refusal.close == Close(1008, "device identity required")


UI_HINT = "open the dashboard URL and paste the token in Control UI settings"


@pytest.mark.parametrize(
    ("client", "peer", "hint_v3", "hint_v4"),
    [
        (BACKEND, LOCAL, "provide gateway auth token", "provide gateway auth token"),
        (
            CLI,
            LOCAL,
            "set gateway.remote.token to match gateway.auth.token",
            "use this gateway's gateway.auth.token or pair the device",
        ),
        (CONTROL_UI, PAGE, UI_HINT, UI_HINT),
    ],
)
def test_a_wrong_token_is_refused_with_its_reason(
    client: dict[str, str], peer: Peer, hint_v3: str, hint_v4: str
) -> None:
    device = DEVICE if client is CONTROL_UI else None
    old = refused(connect(client, token="wrong", device=device), peer)
    text = f"unauthorized: gateway token mismatch ({hint_v3})"
    assert wire(old) == {
        "code": "INVALID_REQUEST",
        "message": text,
        "details": {"code": "AUTH_TOKEN_MISMATCH", "authReason": "token_mismatch"},
    }
    assert old.close == Close(1008, text)
    new = refused(connect(client, token="wrong", device=device, version=4), peer)
    assert wire(new) == {
        "code": "INVALID_REQUEST",
        "message": f"unauthorized: gateway token mismatch ({hint_v4})",
        "details": {
            "code": "AUTH_TOKEN_MISMATCH",
            "authReason": "token_mismatch",
            "canRetryWithDeviceToken": device is not None,
            "recommendedNextStep": "retry_with_device_token" if device else "update_auth_credentials",
        },
    }


@pytest.mark.parametrize(
    ("policy", "reason", "code"),
    [
        (TOKEN_POLICY, "token_missing", "AUTH_TOKEN_MISSING"),
        (PASSWORD_POLICY, "password_missing", "AUTH_PASSWORD_MISSING"),
        (Policy(SharedAuth("token")), "token_missing_config", "AUTH_TOKEN_NOT_CONFIGURED"),
        (Policy(SharedAuth("token", token=Secret(""))), "token_missing_config", "AUTH_TOKEN_NOT_CONFIGURED"),
        (Policy(SharedAuth("password")), "password_missing_config", "AUTH_PASSWORD_NOT_CONFIGURED"),
    ],
)
def test_a_missing_secret_is_not_a_wrong_one(policy: Policy, reason: str, code: str) -> None:
    refusal = refused(connect(device=DEVICE), policy=policy)
    assert refusal.reason == reason
    assert refusal.presented == "none"
    assert refusal.error is not None
    assert refusal.error.details == {"code": code, "authReason": reason}
    newer = refused(connect(device=DEVICE, version=4), policy=policy)
    assert newer.error is not None
    assert newer.error.details is not None
    assert newer.error.details["recommendedNextStep"] == "update_auth_configuration"


def test_a_wrong_password_is_refused_with_its_reason() -> None:
    refusal = refused(connect(CLI, password="wrong"), policy=PASSWORD_POLICY)
    assert refusal.close == Close(
        1008,
        "unauthorized: gateway password mismatch "
        "(set gateway.remote.password to match gateway.auth.password)",
    )


@pytest.mark.parametrize(
    ("proof", "reason", "message", "code"),
    [
        (
            {"id": "0" * 64},
            "device-id-mismatch",
            "device identity mismatch",
            "DEVICE_AUTH_DEVICE_ID_MISMATCH",
        ),
        (
            {"signedAt": 0},
            "device-signature-stale",
            "device signature expired",
            "DEVICE_AUTH_SIGNATURE_EXPIRED",
        ),
        ({"nonce": " "}, "device-nonce-missing", "device nonce required", "DEVICE_AUTH_NONCE_REQUIRED"),
        ({"nonce": "x"}, "device-nonce-mismatch", "device nonce mismatch", "DEVICE_AUTH_NONCE_MISMATCH"),
        ({"signature": "x"}, "device-signature", "device signature invalid", "DEVICE_AUTH_SIGNATURE_INVALID"),
        (
            {"publicKey": "AAAA", "id": "709e80c88487a2411e1ee4dfb9f22a861492d20c4765150c0c794abd70f8147c"},
            "device-public-key",
            "device public key invalid",
            "DEVICE_AUTH_PUBLIC_KEY_INVALID",
        ),
    ],
)
def test_a_device_proof_that_does_not_hold_is_refused_even_with_the_token(
    proof: dict[str, object], reason: str, message: str, code: str
) -> None:
    old = refused(connect(token=TOKEN, device=DEVICE, proof=proof))
    assert wire(old) == {
        "code": "INVALID_REQUEST",
        "message": message,
        "details": {"code": "DEVICE_AUTH_INVALID", "reason": reason},
    }
    assert old.close == Close(1008, message)
    new = refused(connect(token=TOKEN, device=DEVICE, proof=proof, version=4))
    assert new.error is not None
    assert new.error.details == {"code": code, "reason": reason}


def test_a_new_device_elsewhere_must_be_approved() -> None:
    refusal = refused(connect(token=TOKEN, device=DEVICE), REMOTE).with_request_id("r1")
    assert wire(refusal) == {
        "code": "NOT_PAIRED",
        "message": "pairing required",
        "details": {"code": "PAIRING_REQUIRED", "requestId": "r1", "reason": "not-paired"},
    }
    assert refusal.close == Close(1008, "pairing required")
    assert refusal.pairing is not None
    assert (refusal.pairing.device_id, refusal.pairing.remote_ip) == (DEVICE.id, "192.168.1.20")


def test_v4_says_what_is_missing_and_how_to_cure_it() -> None:
    params = connect(token=TOKEN, device=DEVICE, version=4, scopes=("operator.admin",))
    refusal = refused(params, REMOTE, devices=paired()).with_request_id("r1")
    message = "pairing required: device is asking for more scopes than currently approved"
    assert wire(refusal) == {
        "code": "NOT_PAIRED",
        "message": message,
        "details": {
            "code": "PAIRING_REQUIRED",
            "reason": "scope-upgrade",
            "requestId": "r1",
            "remediationHint": "Review the requested scopes, then approve the pending upgrade.",
            "recommendedNextStep": "wait_then_retry",
            "retryable": True,
            "pauseReconnect": False,
            "deviceId": DEVICE.id,
            "requestedRole": "operator",
            "requestedScopes": ["operator.admin"],
            "approvedRoles": ["operator"],
            "approvedScopes": ["operator.read"],
        },
    }
    assert refusal.close.reason == f"{message} (requestId: r1)"


# Who gets in, and by what.


def test_a_device_token_in_the_place_of_the_token_gets_in_too() -> None:
    decision = admitted(connect(token="dt", device=DEVICE), REMOTE, devices=paired(token="dt"))
    assert decision.credential == "device-token"


def test_a_device_token_without_its_device_gets_nobody_in() -> None:
    refusal = refused(connect(token="dt"), REMOTE, devices=paired(token="dt"))
    assert refusal.reason == "token_mismatch"


def test_a_signature_alone_gets_nobody_in() -> None:
    assert refused(connect(device=DEVICE), devices=paired()).reason == "token_missing"


def test_a_stale_device_token_is_called_so_that_the_client_drops_it() -> None:
    refusal = refused(connect(device_token="old", device=DEVICE), devices=paired(token="dt"))
    text = "unauthorized: device token mismatch (rotate/reissue device token)"
    assert refusal.close == Close(1008, text)
    assert refusal.error is not None
    assert refusal.error.details == {
        "code": "AUTH_DEVICE_TOKEN_MISMATCH",
        "authReason": "device_token_mismatch",
    }


@pytest.mark.parametrize(("version", "reason"), [(3, "device_token_mismatch"), (4, "scope_mismatch")])
def test_a_device_token_that_covers_too_little_does_not_get_in(version: int, reason: str) -> None:
    params = connect(device_token="dt", device=DEVICE, scopes=("operator.admin",), version=version)
    assert refused(params, devices=paired(token="dt")).reason == reason


def test_a_stale_device_token_beside_the_right_token_does_no_harm() -> None:
    params = connect(token=TOKEN, device_token="old", device=DEVICE)
    assert admitted(params, devices=paired()).credential == "token"


def test_the_right_token_gets_a_program_in_without_a_device() -> None:
    decision = admitted(connect(CLI, token=TOKEN, scopes=("operator.admin",)), REMOTE)
    assert (decision.role, decision.scopes) == ("operator", ("operator.admin",))
    assert decision.token_request is None


@pytest.mark.parametrize(
    ("client", "peer", "scopes"),
    [
        (BACKEND, LOCAL, ("operator.read",)),
        (CLI, LOCAL, ("operator.read",)),
        (CLI, REMOTE, ()),
        (BACKEND, REMOTE, ()),
        ({**CLI, "id": "openclaw-probe", "mode": "probe"}, LOCAL, ()),
    ],
)
def test_v4_leaves_scopes_without_a_device_to_local_programs(
    client: dict[str, str], peer: Peer, scopes: tuple[str, ...]
) -> None:
    assert admitted(connect(client, token=TOKEN, version=4), peer).scopes == scopes


def test_the_right_password_gets_in_whatever_characters_it_has() -> None:
    assert admitted(connect(password=PASSWORD), policy=PASSWORD_POLICY).credential == "password"


@pytest.mark.parametrize("secret", ["é" * 50_000, "\0", "🦞", TOKEN + " ", TOKEN.upper()])
def test_strange_secrets_are_wrong_and_harmless(secret: str) -> None:
    assert refused(connect(token=secret)).reason == "token_mismatch"
    assert refused(connect(password=secret), policy=PASSWORD_POLICY).reason == "password_mismatch"


def test_the_owner_on_the_local_socket_needs_nothing() -> None:
    decision = admitted(connect(CLI, scopes=("operator.admin",)), Peer("", unix_uid=1000))
    assert (decision.credential, decision.scopes) == ("local-socket", ("operator.admin",))


def test_root_on_the_local_socket_is_the_owner_too() -> None:
    assert admitted(connect(CLI), Peer("", unix_uid=0)).credential == "local-socket"


@pytest.mark.parametrize(
    "sign", [{"origin": "http://localhost:18789"}, {"origin": "null"}, {"forwarded": True}]
)
def test_what_a_page_or_a_proxy_brings_over_the_local_socket_is_not_the_owners(sign: dict[str, Any]) -> None:
    peer = Peer("", host_header="localhost", unix_uid=1000, **sign)
    assert not refused(connect(CLI), peer).facts.is_local
    assert refused(connect(CLI, token=TOKEN, device=DEVICE), peer).reason in (
        "not-paired",
        "origin-not-allowed",
    )


def test_without_a_local_socket_there_is_no_owner_on_it() -> None:
    refused(connect(CLI), Peer("", unix_uid=0), WEAK_POLICY)


@pytest.mark.parametrize("policy", [TOKEN_POLICY, attrs.evolve(OPEN_POLICY, own_uid=1000)])
def test_another_user_on_the_local_socket_is_a_stranger(policy: Policy) -> None:
    refused(connect(CLI), Peer("", unix_uid=1001), policy)
    refused(connect(CLI, device=DEVICE), Peer("", host_header="localhost", unix_uid=1001), policy)


# Pairing.


def test_a_local_program_with_the_token_is_paired_silently() -> None:
    decision = admitted(connect(token=TOKEN, device=DEVICE))
    assert decision.pairing is not None
    assert decision.pairing.public_key == DEVICE.public_key
    assert decision.token_request is not None


def test_the_local_page_with_the_token_is_paired_silently_also_through_a_tunnel() -> None:
    # 30469: `ssh -L 8888:localhost:18789` with `bind: lan`.
    tunnel = Peer("127.0.0.1", 1, "localhost:8888", "http://localhost:8888")
    decision = admitted(connect(CONTROL_UI, token=TOKEN, device=DEVICE, form=2), tunnel)
    assert decision.credential == "token"
    assert decision.pairing is not None


def test_the_page_behind_a_tunnel_without_the_token_hears_the_reason() -> None:
    # 30469: the reason was nowhere to be seen.
    tunnel = Peer("127.0.0.1", 1, "localhost:8888", "http://localhost:8888")
    refusal = refused(connect(CONTROL_UI, device=DEVICE, form=2), tunnel)
    assert refusal.reason == "token_missing"
    assert refusal.close.reason.startswith("unauthorized: gateway token missing")


def test_a_browser_program_that_is_no_page_of_ours_must_be_approved() -> None:
    assert refused(connect(token=TOKEN, device=DEVICE), PAGE).reason == "not-paired"


def test_behind_a_proxy_nobody_trusts_pairing_is_not_silent() -> None:
    peer = attrs.evolve(LOCAL, forwarded=True, forwarded_for="127.0.0.1")
    assert refused(connect(token=TOKEN, device=DEVICE), peer).reason == "not-paired"


def test_under_a_rebound_name_pairing_is_not_silent() -> None:
    peer = attrs.evolve(LOCAL, host_header="evil.example:18789")
    assert refused(connect(token=TOKEN, device=DEVICE), peer).reason == "not-paired"


@pytest.mark.parametrize(
    ("params", "known", "reason"),
    [
        (connect(token=TOKEN, device=DEVICE, role="node"), paired(), "role-upgrade"),
        (connect({**BACKEND, "platform": "win32"}, token=TOKEN, device=DEVICE), paired(), "metadata-upgrade"),
    ],
)
def test_another_role_or_platform_is_never_taken_silently(
    params: object, known: DeviceView, reason: str
) -> None:
    assert refused(params, devices=known).reason == reason


def test_more_scopes_are_taken_silently_from_a_local_client_with_the_token() -> None:
    params = connect(token=TOKEN, device=DEVICE, scopes=("operator.admin",))
    decision = admitted(params, devices=paired())
    assert decision.pairing is not None
    assert decision.pairing.scopes == ("operator.admin",)


def test_a_paired_device_is_not_paired_again() -> None:
    assert admitted(connect(token=TOKEN, device=DEVICE), REMOTE, devices=paired()).pairing is None
    unpinned = paired(platform=None)
    assert admitted(connect(token=TOKEN, device=DEVICE), REMOTE, devices=unpinned).pairing is None


def test_a_v4_local_backend_needs_no_pairing_and_gets_no_device_token() -> None:
    decision = admitted(connect(token=TOKEN, device=DEVICE, version=4))
    assert (decision.pairing, decision.token_request) == (None, None)


@pytest.mark.parametrize(
    ("origin", "host", "silent"),
    [
        (None, "localhost:18789", True),
        ("http://localhost:18789", "localhost:18789", True),
        ("http://127.0.0.1:18789", "localhost:18789", True),
        ("http://localhost:8888", "localhost:18789", False),
    ],
)
def test_without_auth_only_the_gateways_own_page_is_paired_silently(
    origin: str | None, host: str, silent: bool
) -> None:
    client = CONTROL_UI if origin is not None else CLI
    peer = Peer("127.0.0.1", 1, host, origin)
    decision = decide(attempt(connect(client, device=DEVICE), peer), OPEN_POLICY, NOBODY)
    if silent:
        assert isinstance(decision, Admitted)
        assert (decision.credential, decision.pairing is not None) == ("none", True)
    else:
        assert isinstance(decision, Refused)
        assert decision.reason == "not-paired"


def test_without_auth_a_stranger_in_the_network_must_be_approved() -> None:
    assert refused(connect(CLI, device=DEVICE), REMOTE, OPEN_POLICY).reason == "not-paired"


# The switches of the stock configuration, for stock v3 pages.


def test_insecure_auth_lets_the_local_v3_page_in_without_a_device() -> None:
    policy = attrs.evolve(TOKEN_POLICY, allow_insecure_auth=True)
    assert admitted(connect(CONTROL_UI, token=TOKEN), PAGE, policy).scopes == ("operator.read",)
    remote_page = Peer("192.168.1.20", 1, "192.168.1.5:18789", "http://192.168.1.5:18789")
    assert refused(connect(CONTROL_UI, token=TOKEN), remote_page, policy).close.reason == UI_DEVICE_TEXT
    assert refused(connect(CONTROL_UI, token=TOKEN, version=4), PAGE, policy).close.reason == UI_DEVICE_TEXT


def test_disabled_device_auth_ignores_the_device_of_the_v3_page_but_not_the_token() -> None:
    policy = attrs.evolve(TOKEN_POLICY, disable_device_auth=True)
    broken: dict[str, object] = {"signature": "x"}
    decision = admitted(connect(CONTROL_UI, token=TOKEN, device=DEVICE, proof=broken), PAGE, policy)
    assert (decision.device, decision.pairing, decision.token_request) == (None, None, None)
    assert refused(connect(CONTROL_UI, token="wrong"), PAGE, policy).reason == "token_mismatch"
    assert refused(connect(CONTROL_UI), PAGE, policy).reason == "device-required"


# The record.


def test_the_log_line_says_who_and_why_and_never_the_secret() -> None:
    refusal = refused(connect(CLI, token="canary", device_token="canary", device=DEVICE), EVIL)
    fields = refusal.log_fields()
    assert fields["client"] == "cli"
    assert fields["origin"] == "https://evil.example"
    assert fields["host"] == "localhost:18789"
    assert fields["presented"] == "token+device-token"
    assert fields["closeCode"] == 1008
    assert b"canary" not in encode(fields)
    entry = admitted(connect(CLI, token=TOKEN, device=DEVICE))
    assert entry.log_fields()["credential"] == "token"
    assert TOKEN.encode() not in encode(entry.log_fields())
    assert TOKEN not in repr(entry)


def test_a_strangers_headers_are_cut_in_the_log() -> None:
    peer = attrs.evolve(EVIL, origin="https://" + "e" * 60_000)
    assert len(encode(refused(connect(token=TOKEN), peer).log_fields())) < 2_000


def test_a_log_line_does_not_grow_with_the_scopes_of_who_is_let_in() -> None:
    entry = admitted(connect(token=TOKEN, scopes=(*("operator.read",) * 5_000, "x" * 5_000)))
    assert len(encode(entry.log_fields())) < 2_000


# Whatever a stranger sends.

any_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
secrets = st.none() | st.text(max_size=8) | st.just("wrong")
strangers = st.builds(
    connect,
    st.sampled_from([BACKEND, CLI, CONTROL_UI, NODE]),
    token=secrets,
    device_token=secrets,
    password=secrets,
    device=st.none() | st.just(DEVICE),
    version=st.sampled_from([3, 4]),
    role=st.sampled_from(["operator", "node", "x"]),
    scopes=st.lists(st.sampled_from(["operator.admin", "operator.read", "x"]), max_size=3).map(tuple),
    form=st.sampled_from([2, 3]),
    proof=st.dictionaries(
        st.sampled_from(["id", "publicKey", "signature", "signedAt", "nonce"]), any_json, max_size=2
    ),
)
peers = st.builds(
    Peer,
    address=st.sampled_from(["127.0.0.1", "::1", "192.168.1.20", "10.0.0.1", ""]),
    host_header=st.none()
    | st.sampled_from(["localhost:18789", "evil.example", "[::1"])
    | st.text(max_size=9),
    origin=st.none() | st.sampled_from(["http://localhost:18789", "null"]) | st.text(max_size=9),
    forwarded_for=st.none() | st.text(max_size=9),
    forwarded=st.booleans(),
    unix_uid=st.none() | st.just(1001),
)
policies = st.sampled_from([TOKEN_POLICY, WEAK_POLICY, PASSWORD_POLICY]).flatmap(
    lambda policy: st.builds(
        attrs.evolve,
        st.just(policy),
        origins=st.sampled_from([OriginRules(), OriginRules(("*",)), OriginRules(host_fallback=True)]),
        allow_insecure_auth=st.booleans(),
        disable_device_auth=st.booleans(),
    )
)


@given(strangers | any_json, peers, policies)
def test_nobody_gets_in_without_a_credential(params: object, peer: Peer, policy: Policy) -> None:
    decision = decide(attempt(params, peer), policy, paired(token="the device's token"))
    assert isinstance(decision, Refused)
    assert len(decision.close.reason.encode()) <= 123
    encode(decision.log_fields())
    if decision.error is not None:
        assert decision.error.code in ErrorCode
        encode(decision.error.to_wire())


@given(strangers, peers)
def test_without_auth_only_a_signed_device_gets_in_and_only_from_this_machine(
    params: dict[str, object], peer: Peer
) -> None:
    decision = decide(attempt(params, peer), attrs.evolve(OPEN_POLICY, own_uid=1000), NOBODY)
    if isinstance(decision, Admitted):
        assert decision.device is not None
        assert decision.is_local
