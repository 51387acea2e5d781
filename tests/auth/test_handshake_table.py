"""R4: what is shown, by whom, in which role: one table of who gets in by what, and why the others do not."""

from collections.abc import Mapping
from typing import Final

import attrs
import pytest

from openclawd.auth.decisions import Admitted, Refused
from openclawd.auth.locality import Peer
from openclawd.protocol.codec import encode
from tests.auth.clients import (
    BACKEND,
    DEVICE,
    LOCAL,
    NOBODY,
    NOW,
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


@attrs.frozen(eq=False)
class State:
    """How far the gateway knows who knocks."""

    devices: KnownDevices
    has_device: bool = True
    peer: Peer = REMOTE


STATES: Final[Mapping[str, State]] = {
    "no device": State(NOBODY, has_device=False),
    "new device": State(NOBODY),
    "new device here": State(NOBODY, peer=LOCAL),
    "paired operator": State(paired(token="dt")),
    "paired node": State(paired(token="dt", roles=("node",))),
    "paired operator here": State(paired(token="dt"), peer=LOCAL),
}

# "in by ..." or the reason of the refusal; SECRET stands for the kind of the gateway's secret.
TABLE: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    "operator": {
        "no device": {
            "nothing": "device-required",
            "right": "in by SECRET",
            "wrong": "SECRET_mismatch",
            "device token": "device-required",
            "stale device token": "device-required",
        },
        "new device": {
            "nothing": "SECRET_missing",
            "right": "not-paired",
            "wrong": "SECRET_mismatch",
            "device token": "device_token_mismatch",
            "stale device token": "device_token_mismatch",
            "broken proof": "device-signature",
        },
        "new device here": {
            "nothing": "SECRET_missing",
            "right": "in by SECRET",
            "wrong": "SECRET_mismatch",
            "device token": "device_token_mismatch",
            "stale device token": "device_token_mismatch",
            "broken proof": "device-signature",
        },
        "paired operator": {
            "nothing": "SECRET_missing",
            "right": "in by SECRET",
            "wrong": "SECRET_mismatch",
            "device token": "in by device-token",
            "stale device token": "device_token_mismatch",
            "broken proof": "device-signature",
        },
        "paired operator here": {
            "nothing": "SECRET_missing",
            "right": "in by SECRET",
            "wrong": "SECRET_mismatch",
            "device token": "in by device-token",
            "stale device token": "device_token_mismatch",
            "broken proof": "device-signature",
        },
        "paired node": {
            "nothing": "SECRET_missing",
            "right": "role-upgrade",
            "wrong": "SECRET_mismatch",
            "device token": "device_token_mismatch",
            "stale device token": "device_token_mismatch",
            "broken proof": "device-signature",
        },
    },
    "node": {
        "no device": {
            "nothing": "device-required",
            "right": "device-required",
            "wrong": "SECRET_mismatch",
            "device token": "device-required",
            "stale device token": "device-required",
        },
        "new device": {
            "nothing": "SECRET_missing",
            "right": "not-paired",
            "wrong": "SECRET_mismatch",
            "device token": "device_token_mismatch",
            "stale device token": "device_token_mismatch",
            "broken proof": "device-signature",
        },
        "new device here": {
            "nothing": "SECRET_missing",
            "right": "in by SECRET",
            "wrong": "SECRET_mismatch",
            "device token": "device_token_mismatch",
            "stale device token": "device_token_mismatch",
            "broken proof": "device-signature",
        },
        "paired operator": {
            "nothing": "SECRET_missing",
            "right": "role-upgrade",
            "wrong": "SECRET_mismatch",
            "device token": "device_token_mismatch",
            "stale device token": "device_token_mismatch",
            "broken proof": "device-signature",
        },
        "paired operator here": {
            "nothing": "SECRET_missing",
            "right": "role-upgrade",
            "wrong": "SECRET_mismatch",
            "device token": "device_token_mismatch",
            "stale device token": "device_token_mismatch",
            "broken proof": "device-signature",
        },
        "paired node": {
            "nothing": "SECRET_missing",
            "right": "in by SECRET",
            "wrong": "SECRET_mismatch",
            "device token": "in by device-token",
            "stale device token": "device_token_mismatch",
            "broken proof": "device-signature",
        },
    },
    "emperor": {state: dict.fromkeys(("nothing", "right", "wrong"), "invalid-role") for state in STATES},
}

POLICIES: Final = {
    "a strong token": (TOKEN_POLICY, "token", TOKEN),
    "a weak token": (WEAK_POLICY, "token", WEAK_TOKEN),
    "a password": (PASSWORD_POLICY, "password", PASSWORD),
}
# Waiting for a person: neither false nor a time to come back.
APPROVALS: Final = {"not-paired", "role-upgrade"}


def presented(event: str, secret: str, text: str) -> dict[str, object]:
    shown: dict[str, dict[str, object]] = {
        "nothing": {},
        "right": {secret: text},
        "wrong": {secret: "wrong"},
        "device token": {"device_token": "dt"},
        "stale device token": {"device_token": "old"},
        "broken proof": {secret: text, "proof": {"signature": "x"}},
    }
    return shown[event]


ROWS = [
    pytest.param(role, state, event, outcome, id=f"{role}, {state}, {event}")
    for role, states in TABLE.items()
    for state, events in states.items()
    for event, outcome in events.items()
]


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("setting", POLICIES)
@pytest.mark.parametrize(("role", "state", "event", "outcome"), ROWS)
def test_the_table(role: str, state: str, event: str, outcome: str, setting: str, version: int) -> None:
    policy, secret, text = POLICIES[setting]
    at = STATES[state]
    params = connect(
        {**BACKEND, "id": "test", "mode": "test"},
        role=role,
        scopes=("operator.read",),
        version=version,
        device=DEVICE if at.has_device else None,
        **presented(event, secret, text),  # type: ignore[arg-type]
    )
    decision = decide(attempt(params, at.peer), policy, at.devices)
    outcome = outcome.replace("SECRET", secret)
    if outcome.startswith("in by "):
        assert isinstance(decision, Admitted), decision.reason
        assert (decision.credential, decision.role) == (outcome.removeprefix("in by "), role)
    else:
        assert isinstance(decision, Refused), decision.credential
        assert decision.reason == outcome
        assert_complete(decision, version)


def assert_complete(refusal: Refused, version: int) -> None:
    """Code, detail, retryable, next step, close: in the answer, and all of it in the log."""
    assert refusal.error is not None
    assert refusal.close.code == 1008
    assert refusal.error.message.startswith(refusal.close.reason)
    line = refusal.log_fields()
    assert line["reason"] == refusal.reason
    if refusal.reason in APPROVALS:
        assert refusal.with_request_id("r1").log_fields()["next"] == "openclawd devices approve r1"
    else:
        assert line["next"]
    wire = refusal.error.to_wire()
    assert wire.get("retryable") is (None if refusal.reason in APPROVALS else False)
    assert "retryAfterMs" not in wire
    if refusal.reason != "invalid-role":
        assert refusal.error.details is not None
        assert refusal.error.details["code"] == line["detail"]
    for shown in (encode(line), encode(wire)):
        for secret in (TOKEN, WEAK_TOKEN, PASSWORD):
            assert secret.encode() not in shown


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("setting", ["a weak token", "a password"])
def test_whoever_has_no_try_left_hears_when_one_is_back(state: str, setting: str) -> None:
    policy, secret, text = POLICIES[setting]
    at, limiter = STATES[state], new_limiter()
    for number in range(11):
        wrong = connect(device=DEVICE if at.has_device else None, **{secret: f"guess {number}"})  # type: ignore[arg-type]
        last = decide(attempt(wrong, at.peer), policy, at.devices, limiter)
    assert isinstance(last, Refused)
    assert last.reason == "rate_limited"
    assert last.error is not None
    assert last.error.retryable is True
    wait = last.error.retry_after_ms
    assert wait is not None
    right = connect(device=DEVICE if at.has_device else None, **{secret: text})  # type: ignore[arg-type]
    early = decide(attempt(right, at.peer, at=NOW + wait - 1), policy, at.devices, limiter)
    assert isinstance(early, Refused)
    assert early.reason == "rate_limited"
    after = decide(attempt(right, at.peer, at=NOW + wait), policy, at.devices, limiter)
    assert isinstance(after, Admitted) or after.reason in APPROVALS


def test_every_state_meets_every_event_in_every_role() -> None:
    every = {"nothing", "right", "wrong", "device token", "stale device token", "broken proof"}
    for role in ("operator", "node"):
        assert TABLE[role].keys() == STATES.keys()
        for state, events in TABLE[role].items():
            impossible = set() if STATES[state].has_device else {"broken proof"}
            assert events.keys() == every - impossible
