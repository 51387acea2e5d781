"""`gateway status` and `health`: how the running gateway is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Shell
from tests.cli.fake_gateway import FakeGateway

OURS = {
    "pid": 4711,
    "address": "127.0.0.1",
    "version": "0.1.0",
    "port": 18789,
    "bind": "loopback",
    "authMode": "token",
    "uptimeMs": 7_260_000,
    "clients": 3,
    "model": "ollama/llama3",
    "stateDir": "/state",
    "configFile": "/state/openclaw.json",
    "logFile": "/state/openclawd/logs/openclawd.log",
}


def answering(method: str, payload: Any) -> FakeGateway:
    return FakeGateway(answers={method: lambda _params: payload})


def test_status_says_how_it_runs_in_aligned_lines(shell: Shell) -> None:
    with answering("status", {"sessions": {}, "openclawd": OURS}).listening(socket=shell.socket):
        ran = shell("gateway", "status")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        "gateway    running, process 4711",
        "version    0.1.0",
        "up for     2 h",
        "listening  port 18789, loopback, 127.0.0.1",
        "auth       token",
        "clients    2 besides this command",
        "model      ollama/llama3",
        "config     /state/openclaw.json",
        "state      /state",
        "log        /state/openclawd/logs/openclawd.log",
        "next       openclawd status",
    ]


def test_status_of_a_stock_gateway_says_what_its_hello_tells(shell: Shell) -> None:
    with answering("status", {"sessions": {}}).listening(socket=shell.socket):
        ran = shell("gateway", "status")
    assert ran.code == 0
    assert "version  9.9.9" in ran.out
    assert "up for   1 min" in ran.out


def test_status_as_json(shell: Shell) -> None:
    with answering("status", {"openclawd": OURS}).listening(socket=shell.socket):
        for words in (("gateway", "status", "--json"), ("gateway", "--json", "status")):
            assert shell(*words).json == {"running": True, **OURS, "next": "openclawd status"}


@pytest.mark.parametrize(
    "option", [("--bind", "lan"), ("--auth", "none"), ("--allow-unconfigured",), ("--verbose",)]
)
def test_an_option_of_the_start_means_nothing_to_status_and_call(
    shell: Shell, option: tuple[str, ...]
) -> None:
    for action in (("status",), ("call", "health")):
        ran = shell("gateway", *option, *action)
        assert ran.code == 2
        assert option[0] in ran.err
        assert f"openclawd gateway {action[0]} --help" in ran.err


def test_status_of_a_gateway_that_does_not_run_exits_1(shell: Shell, unused_port: int) -> None:
    ran = shell("gateway", "status", "--json", OPENCLAW_GATEWAY_PORT=str(unused_port))
    assert ran.code == 1
    assert ran.json["running"] is False


def test_a_gateway_that_died_has_its_last_error_and_whom_it_refused_in_its_log(
    shell: Shell, write_log: Callable[..., Path], unused_port: int
) -> None:
    at = "2026-11-22T12:00:00.000+00:00"
    log = write_log(
        json.dumps({"time": at, "level": "info", "message": "ready"}),
        json.dumps(
            {
                "time": at,
                "level": "info",
                "message": "refused",
                "reason": "token_mismatch",
                "address": "10.0.0.7",
            }
        ),
        json.dumps({"time": at, "level": "error", "message": "part failed", "part": "backups"}),
        "half a li",
    )
    ran = shell("gateway", "status", OPENCLAW_GATEWAY_PORT=str(unused_port))
    assert ran.code == 1
    assert "gateway  not running: it ended without a goodbye (its last line: 2026-11-22 " in ran.out
    assert "error  part failed           part=backups" in ran.out
    assert "ago: somebody at 10.0.0.7, token_mismatch" in ran.out
    assert f"log      {log}" in ran.out
    assert ran.out.endswith("next     openclawd logs -n 50\n")


def test_a_config_that_is_broken_is_the_reason_on_the_screen(shell: Shell) -> None:
    shell.write_config("{ gateway: { port: 0 } }")
    ran = shell("gateway", "status")
    assert ran.code == 78
    assert "gateway.port is 0" in ran.out
    assert ran.out.endswith("next     openclawd config validate\n")
    assert shell("gateway", "status", "--json").json["running"] is False


HEALTH = {
    "ok": True,
    "agents": [{"agentId": "main", "name": "Claw", "isDefault": True}, {"agentId": "second"}],
    "sessions": {"count": 4, "recent": [{"key": "agent:main:main", "age": 90_000}]},
    "channelOrder": [],
}


def test_health_is_told_in_a_few_lines(shell: Shell) -> None:
    with answering("health", HEALTH).listening(socket=shell.socket):
        ran = shell("health")
    assert ran.code == 0
    assert ran.out.startswith("health       ok\nanswered in  ")
    assert "agents       Claw (default), second\n" in ran.out
    assert "sessions     4\nlast active  agent:main:main, 1 min ago\nchannels     none\n" in ran.out


def test_health_says_what_is_wrong(shell: Shell) -> None:
    wrong = {"configWarnings": ["the file is empty"], "stateWarnings": ["the disk is full."]}
    with answering("health", HEALTH | wrong).listening(socket=shell.socket):
        ran = shell("health")
    assert ran.out.endswith("warning      the file is empty\nwarning      the disk is full.\n")


def test_health_as_json_is_what_the_gateway_said(shell: Shell) -> None:
    with answering("health", HEALTH).listening(socket=shell.socket):
        assert shell("health", "--json").json == HEALTH


def test_a_gateway_that_is_not_well_exits_1(shell: Shell) -> None:
    with answering("health", {"ok": False}).listening(socket=shell.socket):
        assert shell("health").code == 1
