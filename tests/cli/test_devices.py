"""`devices`: list, approve and reject over the local socket."""

from typing import Any

from tests.cli.conftest import Shell
from tests.cli.fake_gateway import FakeGateway


def request(number: int, **more: Any) -> dict[str, Any]:
    return {
        "requestId": f"request-{number}",
        "deviceId": f"device-{number}",
        "displayName": f"Phone {number}",
        "clientId": "openclaw-ios",
        "role": "operator",
        "scopes": ["operator.read", "operator.write"],
        "remoteIp": "192.0.2.7",
        "ts": 1,
        **more,
    }


def gateway_with(*pending: dict[str, Any], paired: tuple[dict[str, Any], ...] = ()) -> FakeGateway:
    return FakeGateway(
        answers={
            "device.pair.list": lambda _: {"pending": list(pending), "paired": list(paired)},
            "device.pair.approve": lambda params: {"requestId": params["requestId"], "device": {}},
            "device.pair.reject": lambda params: {"requestId": params["requestId"], "deviceId": "d"},
        }
    )


def test_list_shows_who_waits_and_who_is_paired(shell: Shell) -> None:
    paired = {"deviceId": "d9", "clientId": "openclaw-control-ui", "platform": "Linux", "roles": ["operator"]}
    with gateway_with(request(1), paired=(paired,)).listening(socket=shell.socket):
        ran = shell("devices", "list")
    assert ran.code == 0
    waiting = next(line for line in ran.out.splitlines() if line.startswith("request-1"))
    assert waiting.split()[:7] == [
        "request-1", "Phone", "1", "openclaw-ios", "operator", "read,", "write",
    ]  # fmt: skip
    assert "Linux  openclaw-control-ui  operator" in ran.out


def test_a_name_cannot_move_the_cursor(shell: Shell) -> None:
    with gateway_with(request(1, displayName="\x1b[2Jevil")).listening(socket=shell.socket):
        out = shell("devices", "list").out
    assert "\x1b" not in out
    assert "\\u001b[2Jevil" in out


def test_nobody_is_said_plainly(shell: Shell) -> None:
    with gateway_with().listening(socket=shell.socket):
        assert shell("devices", "list").out == "No device is paired and none waits.\n"


def test_approve_takes_the_request_that_is_named(shell: Shell) -> None:
    with gateway_with(request(1), request(2)).listening(socket=shell.socket) as gateway:
        ran = shell("devices", "approve", "request-2")
    assert (ran.code, ran.out) == (0, "Approved: Phone 2 (openclaw-ios)\n")
    assert gateway.calls[-1] == ("device.pair.approve", {"requestId": "request-2"})


def test_approve_without_an_id_takes_the_only_one(shell: Shell) -> None:
    with gateway_with(request(1)).listening(socket=shell.socket) as gateway:
        assert shell("devices", "approve").code == 0
    assert gateway.calls[-1] == ("device.pair.approve", {"requestId": "request-1"})


def test_approve_without_an_id_never_chooses_among_several(shell: Shell) -> None:
    with gateway_with(request(1), request(2)).listening(socket=shell.socket) as gateway:
        ran = shell("devices", "approve")
    assert ran.code == 1
    assert "request-1" in ran.out
    assert "request-2" in ran.out
    assert ran.err == "2 devices wait.\nSay which: openclawd devices approve REQUEST\n"
    assert [method for method, _ in gateway.calls] == ["device.pair.list"]


def test_an_id_that_nobody_waits_under_is_refused(shell: Shell) -> None:
    with gateway_with(request(1)).listening(socket=shell.socket):
        ran = shell("devices", "reject", "request-7")
    assert ran.code == 1
    assert "No device waits under the request id request-7." in ran.err


def test_reject_sends_it_away(shell: Shell) -> None:
    with gateway_with(request(1)).listening(socket=shell.socket) as gateway:
        assert shell("devices", "reject", "--json").json == {"requestId": "request-1", "deviceId": "d"}
    assert gateway.calls[-1] == ("device.pair.reject", {"requestId": "request-1"})
