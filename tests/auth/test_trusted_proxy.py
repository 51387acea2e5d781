"""Mode `trusted-proxy`: who comes in by what a proxy says, and why everybody else does not."""

import attrs
import pytest

from openclawd.auth.credentials import SharedAuth
from openclawd.auth.decisions import Admitted, Refused
from openclawd.auth.locality import Peer, parse_proxies, peer_from_headers
from openclawd.auth.origins import OriginRules
from openclawd.auth.policy import Policy
from openclawd.auth.trusted_proxy import TrustedProxyRules
from tests.auth.clients import (
    CLI,
    CONTROL_UI,
    DEVICE,
    NOBODY,
    KnownDevices,
    attempt,
    connect,
    decide,
    new_limiter,
    paired,
)

RULES = TrustedProxyRules("X-Forwarded-User", ("X-Forwarded-Proto", "X-Proxy-Secret"), ("nick@example.com",))
POLICY = Policy(
    SharedAuth("trusted-proxy"),
    origins=OriginRules(("https://claw.example.com",)),
    trusted_proxies=parse_proxies(["10.0.0.0/24", "127.0.0.1"]),
    trusted_proxy=RULES,
)
HEADERS = {
    "Host": "claw.example.com",
    "Origin": "https://claw.example.com",
    "X-Forwarded-For": "192.0.2.7",
    "X-Forwarded-Proto": "https",
    "X-Proxy-Secret": "yes",
    "X-Forwarded-User": "nick@example.com",
}


def through(
    headers: dict[str, str] | None = None, *, proxy: str = "10.0.0.1", policy: Policy = POLICY
) -> Peer:
    """The page's connection through the proxy; a header of None is not sent."""
    sent = {name: value for name, value in (HEADERS | (headers or {})).items() if value}
    return peer_from_headers(proxy, 1, list(sent.items()), policy.named_headers)


def page(
    peer: Peer, policy: Policy = POLICY, version: int = 3, devices: KnownDevices = NOBODY, **params: object
) -> Admitted | Refused:
    connected = connect(CONTROL_UI, version=version, scopes=("operator.admin",), **params)  # type: ignore[arg-type]
    return decide(attempt(connected, peer), policy, devices)


@pytest.mark.parametrize("version", [3, 4])
def test_a_page_whose_user_the_proxy_names_needs_neither_device_nor_secret(version: int) -> None:
    decision = page(through(), version=version)
    assert isinstance(decision, Admitted)
    assert (decision.credential, decision.scopes) == ("trusted-proxy", ("operator.admin",))
    assert decision.token_request is None
    assert decision.log_fields()["user"] == "nick@example.com"
    assert decision.client_address == "192.0.2.7"


def test_with_a_device_it_needs_no_pairing_either() -> None:
    decision = page(through(), device=DEVICE)
    assert isinstance(decision, Admitted)
    assert (decision.pairing, decision.token_request) == (None, None)


def test_a_device_must_still_prove_itself() -> None:
    decision = page(through(), device=DEVICE, proof={"signature": "x"})
    assert isinstance(decision, Refused)
    assert decision.reason == "device-signature"


@pytest.mark.parametrize(
    ("headers", "proxy", "rules", "reason"),
    [
        ({}, "10.0.1.1", RULES, "trusted_proxy_untrusted_source"),
        ({}, "192.0.2.7", RULES, "trusted_proxy_untrusted_source"),
        ({}, "127.0.0.1", RULES, "trusted_proxy_loopback_source"),
        ({"X-Proxy-Secret": ""}, "10.0.0.1", RULES, "trusted_proxy_missing_header_x-proxy-secret"),
        ({"X-Proxy-Secret": "  "}, "10.0.0.1", RULES, "trusted_proxy_missing_header_x-proxy-secret"),
        ({"X-Forwarded-User": ""}, "10.0.0.1", RULES, "trusted_proxy_user_missing"),
        ({"X-Forwarded-User": "eve"}, "10.0.0.1", RULES, "trusted_proxy_user_not_allowed"),
        ({}, "10.0.0.1", None, "trusted_proxy_config_missing"),
    ],
)
def test_whom_the_proxy_does_not_vouch_for_stays_out_and_the_log_says_why(
    headers: dict[str, str], proxy: str, rules: TrustedProxyRules | None, reason: str
) -> None:
    policy = attrs.evolve(POLICY, trusted_proxy=rules)
    peer = through(headers, proxy=proxy, policy=policy)
    for params in ({}, {"device": DEVICE}, {"device": DEVICE, "token": "x", "password": "y"}):
        decision = page(peer, policy, devices=paired(), **params)
        assert isinstance(decision, Refused)
        assert decision.reason == reason
        assert decision.next_step
        assert decision.error is not None
        assert decision.error.retryable is False
        assert decision.error.details == {"code": "AUTH_UNAUTHORIZED", "authReason": reason}


def test_v4_has_a_code_for_a_missing_header() -> None:
    decision = page(through({"X-Proxy-Secret": ""}), version=4)
    assert isinstance(decision, Refused)
    assert decision.error is not None
    assert decision.error.details is not None
    assert decision.error.details["code"] == "AUTH_IDENTITY_HEADER_REQUIRED"


def test_a_proxy_on_this_machine_counts_if_the_owner_says_so() -> None:
    policy = attrs.evolve(POLICY, trusted_proxy=attrs.evolve(RULES, allow_loopback=True))
    assert isinstance(page(through(proxy="127.0.0.1", policy=policy), policy), Admitted)


def test_without_a_list_every_user_that_the_proxy_names_may_come() -> None:
    policy = attrs.evolve(POLICY, trusted_proxy=attrs.evolve(RULES, allow_users=()))
    assert isinstance(page(through({"X-Forwarded-User": "eve"}, policy=policy), policy), Admitted)


def test_a_header_that_was_sent_twice_names_nobody() -> None:
    sent = [*HEADERS.items(), ("X-Forwarded-User", "eve")]
    decision = page(peer_from_headers("10.0.0.1", 1, sent, POLICY.named_headers))
    assert isinstance(decision, Refused)
    assert decision.reason == "trusted_proxy_user_not_allowed"


def test_the_header_of_a_client_counts_for_nothing_in_another_mode() -> None:
    policy = attrs.evolve(POLICY, shared=SharedAuth("none"))
    assert policy.named_headers == frozenset()
    decision = page(through(policy=policy), policy)
    assert isinstance(decision, Refused)
    assert decision.reason == "control-ui-device-required"


def test_a_program_behind_the_proxy_needs_a_device_that_somebody_approved() -> None:
    without = decide(attempt(connect(CLI), through()), POLICY, NOBODY)
    assert isinstance(without, Refused)
    assert without.reason == "device-required"
    new = decide(attempt(connect(CLI, device=DEVICE), through()), POLICY, NOBODY)
    assert isinstance(new, Refused)
    assert new.reason == "not-paired"
    known = decide(attempt(connect(CLI, device=DEVICE), through()), POLICY, paired())
    assert isinstance(known, Admitted)
    assert known.credential == "trusted-proxy"


def test_a_page_may_not_be_a_node_by_its_user() -> None:
    decision = page(through(), role="node")
    assert isinstance(decision, Refused)
    assert decision.reason == "control-ui-device-required"


def test_who_is_refused_by_the_proxys_word_has_guessed_nothing() -> None:
    limiter = new_limiter()
    for token in ("a", "b", "c"):
        refused = decide(
            attempt(connect(CONTROL_UI, token=token), through({"X-Forwarded-User": "eve"})),
            POLICY,
            NOBODY,
            limiter,
        )
        assert isinstance(refused, Refused)
    assert limiter.rows(0) == ()
