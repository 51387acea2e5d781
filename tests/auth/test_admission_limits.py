"""What a handshake costs its source: admission and limiter together."""

import attrs
import pytest

from openclawd.auth.admission import Admission
from openclawd.auth.decisions import Admitted, Refused
from openclawd.auth.devices import DeviceView
from openclawd.auth.limiter import Limiter
from openclawd.auth.locality import Peer
from openclawd.auth.policy import Policy
from openclawd.auth.sources import source_of
from openclawd.auth.tries import Kind, LimitRules, Outcome
from openclawd.config.secret import Secret
from tests.auth.clients import (
    CLI,
    CONTROL_UI,
    DEVICE,
    LOCAL,
    NOBODY,
    NODE,
    NOW,
    OPEN_POLICY,
    PAGE,
    PASSWORD,
    PASSWORD_POLICY,
    REMOTE,
    TOKEN,
    TOKEN_POLICY,
    WEAK_POLICY,
    WEAK_TOKEN,
    KnownDevices,
    attempt,
    connect,
    decide,
    new_limiter,
    paired,
)

WRONG = "f" * 48
FROM_DEVICE = f"device:{DEVICE.id}"


def worn_out(peer: Peer, policy: Policy, *, tries: int = 10) -> Limiter:
    """The peer's source has guessed this often already, each kind of secret."""
    limiter = new_limiter()
    source = source_of(peer, policy.locate(peer))
    for kind in Kind:
        for number in range(tries):
            limiter.charge(source, kind, f"guess {number}", "", NOW)
    return limiter


def counts(limiter: Limiter) -> dict[tuple[str, str], float]:
    return {(row.source, row.kind): row.spent for row in limiter.rows(NOW)}


# Refused unexamined.


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize(
    ("params", "policy"),
    [
        ({"token": WEAK_TOKEN}, WEAK_POLICY),
        ({"token": WEAK_TOKEN, "device": DEVICE}, WEAK_POLICY),
        ({"token": "wrong", "device": DEVICE}, WEAK_POLICY),
        ({"password": PASSWORD}, PASSWORD_POLICY),
        ({"token": "wrong"}, TOKEN_POLICY),
        ({"device_token": "wrong", "device": DEVICE}, TOKEN_POLICY),
        ({"token": "wrong", "device": DEVICE}, PASSWORD_POLICY),
    ],
)
def test_an_empty_bucket_refuses_what_can_be_guessed(
    params: dict[str, str], policy: Policy, version: int
) -> None:
    limiter = worn_out(REMOTE, policy)
    before = set(limiter.rows(NOW))
    refusal = decide(attempt(connect(version=version, **params), REMOTE), policy, NOBODY, limiter)  # type: ignore[arg-type]
    assert isinstance(refusal, Refused)
    details: dict[str, object] = {"code": "AUTH_RATE_LIMITED", "authReason": "rate_limited"}
    if version == 4:
        details |= {"canRetryWithDeviceToken": False, "recommendedNextStep": "wait_then_retry"}
    assert refusal.error is not None
    assert refusal.error.to_wire() == {
        "code": "INVALID_REQUEST",
        "message": "unauthorized: too many failed authentication attempts (retry later)",
        "details": details,
        "retryable": True,
        "retryAfterMs": 30_000,
    }
    assert refusal.answer_after_ms == 0
    assert refusal.log_fields()["next"] == "openclawd gateway limits --clear 192.168.1.20"
    assert set(limiter.rows(NOW)) == before


# Admitted at once.


def test_a_strong_token_gets_in_whatever_the_limiter_says() -> None:
    decision = decide(
        attempt(connect(token=TOKEN), REMOTE), TOKEN_POLICY, NOBODY, worn_out(REMOTE, TOKEN_POLICY)
    )
    assert isinstance(decision, Admitted)
    assert (decision.credential, decision.answer_after_ms) == ("token", 0)


@pytest.mark.parametrize("policy", [TOKEN_POLICY, WEAK_POLICY, PASSWORD_POLICY])
@pytest.mark.parametrize("beside", [{}, {"password": "wrong"}, {"token": "wrong"}, {"token": WEAK_TOKEN}])
def test_a_device_token_with_its_devices_signature_gets_in_whatever_the_limiter_says(
    beside: dict[str, str], policy: Policy
) -> None:
    limiter = worn_out(REMOTE, policy)
    before = limiter.rows(NOW)
    params = connect(device_token="dt", device=DEVICE, **beside)  # type: ignore[arg-type]
    decision = decide(attempt(params, REMOTE), policy, paired(token="dt"), limiter)
    assert isinstance(decision, Admitted)
    assert (decision.credential, decision.answer_after_ms) == ("device-token", 0)
    assert decision.token_request is not None
    assert decision.token_request.presented == "dt"
    assert limiter.rows(NOW) == before, "who is in has guessed nothing, nor was it told to him"


# What is one failure.


@pytest.mark.parametrize(
    ("params", "policy", "kind"),
    [
        ({"token": WRONG}, TOKEN_POLICY, "token"),
        ({"token": WRONG}, WEAK_POLICY, "token"),
        ({"token": WRONG, "device": DEVICE}, TOKEN_POLICY, "token"),
        ({"token": WRONG, "device_token": "old", "device": DEVICE}, TOKEN_POLICY, "token"),
        ({"token": WRONG, "device_token": "old", "password": "x", "device": DEVICE}, TOKEN_POLICY, "token"),
        ({"device_token": "old", "device": DEVICE}, TOKEN_POLICY, "device-token"),
        ({"password": "wrong"}, PASSWORD_POLICY, "password"),
        ({"password": "wrong", "token": "x", "device": DEVICE}, PASSWORD_POLICY, "password"),
        ({"token": "x", "device": DEVICE}, PASSWORD_POLICY, "device-token"),
    ],
)
def test_a_failing_handshake_is_one_failure_of_one_kind(
    params: dict[str, str], policy: Policy, kind: str
) -> None:
    limiter = new_limiter()
    for _ in range(1000):
        decide(attempt(connect(**params), REMOTE), policy, NOBODY, limiter)  # type: ignore[arg-type]
    assert counts(limiter) == {("192.168.1.20", kind): 1, ("*", kind): 1}


@pytest.mark.parametrize("policy", [TOKEN_POLICY, WEAK_POLICY, PASSWORD_POLICY, OPEN_POLICY])
@pytest.mark.parametrize(
    ("client", "peer", "params"),
    [
        (CLI, REMOTE, {}),
        (CLI, LOCAL, {"token": ""}),
        (CLI, REMOTE, {"device": DEVICE}),
        (CONTROL_UI, PAGE, {}),
        (CONTROL_UI, PAGE, {"device": DEVICE}),
        (NODE, REMOTE, {"role": "node", "device": DEVICE}),
        (CLI, REMOTE, {"device_token": "old"}),
    ],
)
def test_what_is_absent_or_never_examined_touches_no_bucket(
    client: dict[str, str], peer: Peer, params: dict[str, str], policy: Policy
) -> None:
    """28997, R1 (b)."""
    limiter = new_limiter()
    for devices in (NOBODY, paired(token="dt")):
        decide(attempt(connect(client, **params), peer), policy, devices, limiter)  # type: ignore[arg-type]
    assert counts(limiter) == {}
    assert not limiter.has_changes


@pytest.mark.parametrize("proof", [{"signature": "x"}, {"nonce": "x"}, {"signedAt": 0}])
def test_behind_a_proof_that_does_not_hold_nothing_is_examined(proof: dict[str, object]) -> None:
    limiter = new_limiter()
    for token in (WEAK_TOKEN, WRONG):
        params = connect(token=token, device=DEVICE, proof=proof)
        refusal = decide(attempt(params, REMOTE), WEAK_POLICY, paired(), limiter)
        assert isinstance(refusal, Refused)
        assert refusal.reason.startswith("device-")
    assert counts(limiter) == {}


def test_a_page_that_could_not_come_in_anyway_guesses_nothing() -> None:
    limiter = new_limiter()
    foreign = attrs.evolve(PAGE, origin="https://evil.example")
    for peer in (PAGE, foreign):
        decide(attempt(connect(CONTROL_UI, token=WRONG), peer), WEAK_POLICY, NOBODY, limiter)
    assert counts(limiter) == {}


def test_a_device_token_that_covers_too_little_is_no_guess() -> None:
    limiter = new_limiter()
    for version in (3, 4):
        for named in ({"device_token": "dt"}, {"token": "dt"}):
            params = connect(device=DEVICE, version=version, scopes=("operator.admin",), **named)  # type: ignore[arg-type]
            assert isinstance(
                decide(attempt(params, REMOTE), WEAK_POLICY, paired(token="dt"), limiter), Refused
            )
    assert counts(limiter) == {}


def test_but_it_opens_no_way_to_guess_the_gateways_secret() -> None:
    limiter, outcomes = new_limiter(), []
    for number in range(11):
        params = connect(
            token=f"guess {number}", device_token="dt", device=DEVICE, scopes=("operator.admin",), version=4
        )
        refusal = decide(attempt(params, REMOTE), WEAK_POLICY, paired(token="dt"), limiter)
        assert isinstance(refusal, Refused)
        outcomes.append(refusal.reason)
    assert outcomes == [*["scope_mismatch"] * 10, "rate_limited"]


# Who pays.


def test_a_paired_device_pays_for_itself_and_nobody_else_does() -> None:
    limiter = worn_out(REMOTE, PASSWORD_POLICY)
    before = counts(limiter)
    params = connect(password="typo", device=DEVICE)
    refusal = decide(attempt(params, REMOTE), PASSWORD_POLICY, paired(), limiter)
    assert isinstance(refusal, Refused)
    assert refusal.reason == "password_mismatch"
    assert counts(limiter) == before | {(FROM_DEVICE, "password"): 1}
    right = connect(password=PASSWORD, device=DEVICE)
    decision = decide(attempt(right, REMOTE), PASSWORD_POLICY, paired(), limiter)
    assert isinstance(decision, Admitted)
    assert decision.answer_after_ms == 250
    assert counts(limiter) == before | {(FROM_DEVICE, "password"): 1}


def test_a_device_that_nobody_approved_pays_as_its_address_does() -> None:
    limiter = new_limiter()
    decide(attempt(connect(password="x", device=DEVICE), REMOTE), PASSWORD_POLICY, NOBODY, limiter)
    assert ("192.168.1.20", "password") in counts(limiter)


def test_a_paired_device_without_its_signature_pays_as_its_address_does() -> None:
    limiter = new_limiter()
    refusal = decide(
        attempt(connect(password="x", device=DEVICE, proof={"signature": "x"}), REMOTE),
        PASSWORD_POLICY,
        paired(),
        limiter,
    )
    assert isinstance(refusal, Refused)
    decide(attempt(connect(password="x"), REMOTE), PASSWORD_POLICY, paired(), limiter)
    assert set(counts(limiter)) == {("192.168.1.20", "password"), ("*", "password")}


# When the answer comes.


@pytest.mark.parametrize(
    ("client", "params", "devices"),
    [
        (CLI, {"password": PASSWORD}, NOBODY),
        (CLI, {"password": "wrong"}, NOBODY),
        (CLI, {"password": PASSWORD, "device": DEVICE}, NOBODY),
        (NODE, {"password": PASSWORD, "role": "node"}, NOBODY),
        (NODE, {"password": "wrong", "role": "node"}, NOBODY),
    ],
)
def test_right_and_wrong_wait_alike_whatever_comes_of_it(
    client: dict[str, str], params: dict[str, str], devices: DeviceView
) -> None:
    limiter = worn_out(REMOTE, PASSWORD_POLICY, tries=4)
    decision = decide(attempt(connect(client, **params), REMOTE), PASSWORD_POLICY, devices, limiter)  # type: ignore[arg-type]
    assert decision.answer_after_ms == 2000
    assert decision.log_fields()["delayMs"] == 2000


def test_the_same_wrong_secret_is_called_so_in_the_log() -> None:
    limiter = new_limiter()
    lines = []
    for _ in range(2):
        refusal = decide(attempt(connect(CLI, token=WRONG), REMOTE), TOKEN_POLICY, NOBODY, limiter)
        lines.append(refusal.log_fields())
    assert "repeated" not in lines[0]
    assert lines[1] | {"repeated": True} == lines[1]
    wanted = {
        "source": "192.168.1.20",
        "limit": "token",
        "delayMs": 0,
        "presented": "token",
        "reason": "token_mismatch",
        "detail": "AUTH_TOKEN_MISMATCH",
        "retryable": False,
        "next": "openclawd dashboard",
    }
    assert wanted.items() <= lines[0].items()


# HTTP.


def admission(policy: Policy, limiter: Limiter | None = None, devices: DeviceView = NOBODY) -> Admission:
    return Admission(policy, devices, limiter or new_limiter())


@pytest.mark.parametrize(
    ("policy", "credential", "reason"),
    [
        (TOKEN_POLICY, TOKEN, ""),
        (TOKEN_POLICY, None, "token_missing"),
        (TOKEN_POLICY, "", "token_missing"),
        (TOKEN_POLICY, WRONG, "token_mismatch"),
        (WEAK_POLICY, WEAK_TOKEN, ""),
        (PASSWORD_POLICY, PASSWORD, ""),
        (PASSWORD_POLICY, None, "password_missing"),
        (PASSWORD_POLICY, "x", "password_mismatch"),
        (OPEN_POLICY, None, "unauthorized"),
        (OPEN_POLICY, "whatever", "unauthorized"),
    ],
)
def test_a_bearer_is_the_shared_secret(policy: Policy, credential: str | None, reason: str) -> None:
    verdict = admission(policy).judge_bearer(REMOTE, credential, NOW)
    assert (verdict.ok, verdict.reason) == (not reason, reason)


def test_the_local_sockets_owner_needs_no_bearer_and_others_do() -> None:
    judge = admission(TOKEN_POLICY).judge_bearer
    assert judge(Peer("", unix_uid=1000), None, NOW).credential == "local-socket"
    assert judge(Peer("", unix_uid=0), None, NOW).ok
    assert not judge(Peer("", unix_uid=1001), None, NOW).ok
    assert not judge(Peer("", unix_uid=1000, origin="http://localhost"), None, NOW).ok


def test_a_bearer_and_a_handshake_share_their_tries() -> None:
    limiter = new_limiter()
    gate = admission(WEAK_POLICY, limiter)
    for number in range(5):
        gate.judge_bearer(REMOTE, f"guess {number}", NOW)
    wait = gate.judge_bearer(REMOTE, WEAK_TOKEN, NOW)
    assert (wait.ok, wait.answer_after_ms) == (True, 4000)
    for number in range(5, 10):
        gate.decide(attempt(connect(token=f"guess {number}"), REMOTE))
    limited = gate.judge_bearer(REMOTE, WEAK_TOKEN, NOW)
    assert (limited.ok, limited.reason, limited.retry_after_ms) == (False, "rate_limited", 30_000)
    assert limited.log_fields()["source"] == "192.168.1.20"


def test_an_absent_bearer_touches_no_bucket() -> None:
    limiter = new_limiter()
    for _ in range(100):
        admission(TOKEN_POLICY, limiter).judge_bearer(REMOTE, None, NOW)
    assert not limiter.has_changes


def test_a_device_token_is_no_bearer() -> None:
    gate = admission(TOKEN_POLICY, devices=paired(token="dt"))
    assert gate.judge_bearer(REMOTE, "dt", NOW).reason == "token_mismatch"


# A secret that changes.


def test_a_token_that_was_wrong_before_it_became_the_right_one_gets_in() -> None:
    limiter, devices = new_limiter(LimitRules(tries=1)), KnownDevices()
    weak = attrs.evolve(WEAK_POLICY, shared=attrs.evolve(WEAK_POLICY.shared, token=Secret("other-token")))
    gate = Admission(WEAK_POLICY, devices, limiter)
    assert isinstance(gate.decide(attempt(connect(token="other-token"), REMOTE)), Refused)
    gate.change(weak)
    later = NOW + limiter.rules.refill_ms
    assert isinstance(gate.decide(attempt(connect(token="other-token"), REMOTE, at=later)), Admitted)
    charge = limiter.charge(source_of(REMOTE, weak.locate(REMOTE)), Kind.TOKEN, "z", "", later)
    assert charge.outcome is Outcome.EXAMINE


def test_without_a_secret_a_bearer_route_is_for_this_machine_alone() -> None:
    judge = admission(OPEN_POLICY).judge_bearer
    assert judge(LOCAL, None, NOW).ok
    assert not judge(attrs.evolve(LOCAL, forwarded=True), None, NOW).ok
    assert not judge(REMOTE, None, NOW).ok
