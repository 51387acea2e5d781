"""`devices` over the local socket: which device a word means, and what is asked of the gateway."""

import io
import sys
from typing import Any

import pytest

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


def device(device_id: str, *roles: str) -> dict[str, Any]:
    return {"deviceId": device_id, "displayName": "Laptop", "roles": list(roles or ("operator",))}


def gateway_with(
    *pending: dict[str, Any],
    paired: tuple[dict[str, Any], ...] = (),
    unreadable: tuple[dict[str, Any], ...] = (),
) -> FakeGateway:
    listed = {"pending": list(pending), "paired": list(paired)}
    if unreadable:
        listed["unreadable"] = list(unreadable)
    return FakeGateway(
        answers={
            "device.pair.list": lambda _: listed,
            "device.pair.approve": lambda params: {"requestId": params["requestId"], "device": {}},
            "device.pair.reject": lambda params: {"requestId": params["requestId"], "deviceId": "d"},
            "device.pair.remove": lambda params: params,
            "device.pair.rename": lambda params: params,
            "device.token.rotate": lambda params: {**params, "token": "NEW-TOKEN"},
            "device.token.revoke": lambda params: {**params, "revokedAtMs": 1},
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


def test_a_long_name_does_not_push_everything_else_away(shell: Shell) -> None:
    with gateway_with(request(1, displayName="n" * 60_000)).listening(socket=shell.socket):
        assert max(map(len, shell("devices", "list").out.splitlines())) < 300


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
    assert ran.err == (
        "There is no request whose id is or begins with request-7.\nWhich there are: openclawd devices list\n"
    )


def test_reject_sends_it_away(shell: Shell) -> None:
    with gateway_with(request(1)).listening(socket=shell.socket) as gateway:
        assert shell("devices", "reject", "--json").json == {"requestId": "request-1", "deviceId": "d"}
    assert gateway.calls[-1] == ("device.pair.reject", {"requestId": "request-1"})


def test_an_id_may_be_cut_to_its_beginning(shell: Shell) -> None:
    devices = (device("aabbcc001"), device("aabbdd002"))
    with gateway_with(request(1), paired=devices).listening(socket=shell.socket) as gateway:
        ran = shell("devices", "remove", "aabbdd")
        assert (ran.code, ran.out) == (0, "Removed: Laptop (aabbdd002)\n")
        assert gateway.calls[-1] == ("device.pair.remove", {"deviceId": "aabbdd002"})
        assert shell("devices", "approve", "reques").code == 0
        assert gateway.calls[-1] == ("device.pair.approve", {"requestId": "request-1"})


def test_an_id_that_is_the_beginning_of_another_means_itself(shell: Shell) -> None:
    devices = (device("aabbcc"), device("aabbccdd"))
    with gateway_with(paired=devices).listening(socket=shell.socket) as gateway:
        shell("devices", "remove", "aabbcc")
    assert gateway.calls[-1] == ("device.pair.remove", {"deviceId": "aabbcc"})


@pytest.mark.parametrize(
    ("word", "code", "complaint"),
    [
        ("aabbc", 2, "'aabbc' is too short for the beginning of a device id: 6 characters at least."),
        ("aabbcc", 1, "2 devices have an id that begins with aabbcc."),
        ("ffffff", 1, "There is no device whose id is or begins with ffffff."),
        ("Laptop", 1, "There is no device whose id is or begins with Laptop."),
    ],
)
def test_a_word_that_does_not_mean_one_device_changes_nothing(
    shell: Shell, word: str, code: int, complaint: str
) -> None:
    devices = (device("aabbcc001"), device("aabbcc002"))
    with gateway_with(paired=devices).listening(socket=shell.socket) as gateway:
        ran = shell("devices", "remove", word)
    assert (ran.code, ran.err) == (code, f"{complaint}\nWhich there are: openclawd devices list\n")
    assert [method for method, _ in gateway.calls] == ["device.pair.list"]


def test_rename_asks_for_the_name(shell: Shell) -> None:
    with gateway_with(paired=(device("aabbcc001"),)).listening(socket=shell.socket) as gateway:
        assert shell("devices", "rename", "aabbcc", "Kitchen tablet").code == 0
    assert gateway.calls[-1] == ("device.pair.rename", {"deviceId": "aabbcc001", "label": "Kitchen tablet"})


def test_rotate_prints_the_new_token_on_a_line_of_its_own(shell: Shell) -> None:
    with gateway_with(paired=(device("aabbcc001"),)).listening(socket=shell.socket) as gateway:
        ran = shell("devices", "rotate", "aabbcc", "--scope", "operator.read")
    assert ran.out.splitlines()[-1] == "NEW-TOKEN"
    params = {"deviceId": "aabbcc001", "role": "operator", "scopes": ["operator.read"]}
    assert gateway.calls[-1] == ("device.token.rotate", params)


def test_stocks_way_to_name_the_device_works(shell: Shell) -> None:
    with gateway_with(paired=(device("aabbcc001"),)).listening(socket=shell.socket) as gateway:
        assert shell("devices", "revoke", "--device", "aabbcc001", "--role", "operator").code == 0
    assert gateway.calls[-1] == ("device.token.revoke", {"deviceId": "aabbcc001", "role": "operator"})


def test_of_two_roles_one_has_to_be_named(shell: Shell) -> None:
    both = device("aabbcc001", "operator", "node")
    with gateway_with(paired=(both,)).listening(socket=shell.socket) as gateway:
        ran = shell("devices", "revoke", "aabbcc")
        assert ran.err == "Laptop (aabbcc001) is operator and node.\nSay which: --role ROLE\n"
        assert shell("devices", "revoke", "aabbcc", "--role", "node").code == 0
    assert gateway.calls[-1] == ("device.token.revoke", {"deviceId": "aabbcc001", "role": "node"})


def test_what_cannot_be_read_is_listed_and_can_be_removed(shell: Shell) -> None:
    broken = {"deviceId": "broken-row", "problem": "not JSON"}
    with gateway_with(unreadable=(broken,)).listening(socket=shell.socket) as gateway:
        assert "broken-row  not JSON" in shell("devices", "list").out
        assert shell("devices", "remove", "broken").code == 0
    assert gateway.calls[-1] == ("device.pair.remove", {"deviceId": "broken-row"})


def test_reset_forgets_all_of_them(shell: Shell) -> None:
    broken = {"deviceId": "broken-row", "problem": "not JSON"}
    every = gateway_with(request(1), paired=(device("aabbcc001"),), unreadable=(broken,))
    with every.listening(socket=shell.socket) as gateway:
        ran = shell("devices", "reset", "--yes", "--json")
    assert ran.json == {"removed": 2, "rejected": 1}
    assert gateway.calls[1:] == [
        ("device.pair.remove", {"deviceId": "aabbcc001"}),
        ("device.pair.remove", {"deviceId": "broken-row"}),
        ("device.pair.reject", {"requestId": "request-1"}),
    ]


@pytest.mark.parametrize(("answer", "code"), [("", 1), ("n\n", 1), ("y\n", 0)])
def test_reset_asks_first(shell: Shell, monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", terminal)
    with gateway_with(paired=(device("aabbcc001"),)).listening(socket=shell.socket) as gateway:
        assert shell("devices", "reset").code == code
    assert len(gateway.calls) == (2 if code == 0 else 0)


def test_reset_without_a_terminal_wants_to_hear_yes(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    ran = shell("devices", "reset")
    assert (ran.code, ran.err) == (
        2, "Every device would be forgotten.\nIf so: openclawd devices reset --yes\n",
    )  # fmt: skip
