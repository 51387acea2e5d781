"""hello-ok in both generations."""

import attrs
import pytest

from openclawd.protocol.codec import encode
from openclawd.protocol.hello import (
    Hello,
    IssuedToken,
    PrivateFacts,
    ResumeFacts,
    SessionDefaults,
    hello_ok_v3,
    hello_ok_v4,
)

HELLO = Hello(
    version="1.2.3",
    connection_id="c",
    boot_id="b",
    methods=("health",),
    events=("tick",),
    capabilities=(),
    presence=({"ts": 1},),
    health={},
    presence_version=2,
    health_version=3,
    uptime_ms=4,
    session_defaults=SessionDefaults("main", "main", "agent:main:main", "per-sender", model_configured=True),
    role="operator",
    scopes=("operator.write", "operator.read"),
)
ISSUED = IssuedToken("canary", 5, ("operator.write", "operator.read"))
PRIVATE = PrivateFacts("/c/openclaw.json", "/c", "token")


def test_v3_without_a_device_has_no_auth() -> None:
    assert hello_ok_v3(HELLO) == {
        "type": "hello-ok",
        "protocol": 3,
        "server": {"version": "1.2.3", "connId": "c"},
        "features": {"methods": ["health"], "events": ["tick"]},
        "snapshot": {
            "presence": [{"ts": 1}],
            "health": {},
            "stateVersion": {"presence": 2, "health": 3},
            "uptimeMs": 4,
            "sessionDefaults": {
                "defaultAgentId": "main",
                "mainKey": "main",
                "mainSessionKey": "agent:main:main",
                "scope": "per-sender",
            },
        },
        "policy": {"maxPayload": 26214400, "maxBufferedBytes": 52428800, "tickIntervalMs": 30000},
    }


def test_v3_with_a_device_gets_its_token_and_sorted_scopes() -> None:
    assert hello_ok_v3(attrs.evolve(HELLO, issued=ISSUED))["auth"] == {
        "deviceToken": "canary",
        "role": "operator",
        "scopes": ["operator.read", "operator.write"],
        "issuedAtMs": 5,
    }


def test_v4_always_says_what_the_client_may() -> None:
    assert hello_ok_v4(HELLO)["auth"] == {
        "role": "operator",
        "scopes": ["operator.write", "operator.read"],
    }
    issued = hello_ok_v4(attrs.evolve(HELLO, issued=ISSUED))["auth"]
    assert isinstance(issued, dict)
    assert issued["deviceToken"] == "canary"


def test_v4_is_told_how_large_an_attachment_may_be() -> None:
    policy = hello_ok_v4(HELLO)["policy"]
    assert isinstance(policy, dict)
    assert policy["attachments"] == {"maxBytes": 5_000_000, "maxImageBytes": 5_000_000}


@pytest.mark.parametrize("form", [hello_ok_v3, hello_ok_v4])
def test_paths_and_auth_mode_go_to_administrators_only(form: object) -> None:
    assert callable(form)
    assert b"/c" not in encode(form(HELLO))
    snapshot = form(attrs.evolve(HELLO, private=PRIVATE))["snapshot"]
    assert snapshot["configPath"] == "/c/openclaw.json"
    assert snapshot["stateDir"] == "/c"
    assert snapshot["authMode"] == "token"


def test_the_device_token_does_not_show_in_a_repr() -> None:
    assert "canary" not in repr(attrs.evolve(HELLO, issued=ISSUED))


def test_who_asks_is_told_where_its_events_stand_in_both_generations() -> None:
    hello = attrs.evolve(HELLO, resume=ResumeFacts("e", 7, recovered=True))
    told = {"epoch": "e", "seq": 7, "recovered": True}
    assert hello_ok_v3(hello)["resume"] == hello_ok_v4(hello)["resume"] == told
    assert "resume" not in hello_ok_v3(HELLO) | hello_ok_v4(HELLO)
