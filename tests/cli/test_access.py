"""`openclawd gateway limits|reload|token rotate`, and what `config set` tells a running gateway."""

import json
import re
import stat
import time
from typing import Any

import pytest

from openclawd.config.paths import resolve_paths
from openclawd.daemon.lock import state_lock
from tests.cli.conftest import Shell
from tests.cli.fake_gateway import FakeGateway, Refusal

OLD = "0123456789abcdef0123456789abcdef0123456789abcdef"
CONFIG = f"""{{
  // whose gateway this is
  gateway: {{
    auth: {{ token: '{OLD}' }}, // rotated in June
  }},
}}
"""


def limit(**members: Any) -> dict[str, Any]:
    return {
        "source": "203.0.113.7",
        "kind": "password",
        "tries": 10,
        "triesLeft": 7,
        "nextTryMs": 12_001,
        "known": 3,
        "seenAtMs": time.time() * 1000 - 61_000,
        **members,
    }


def test_limits_shows_a_row_a_source(shell: Shell) -> None:
    answer = {"rules": {}, "limits": [limit(), limit(source="*", tries=100, triesLeft=100, nextTryMs=0)]}
    with FakeGateway(answers={"gateway.limits.list": lambda _: answer}).listening(socket=shell.socket):
        ran = shell("gateway", "limits")
        assert shell("gateway", "limits", "--json").json == answer
    assert (ran.code, ran.err) == (0, "")
    first, second = ran.out.splitlines()[1:3]
    assert " ".join(first.split()) == "203.0.113.7 password 7 of 10 in 13 s 1 min ago"
    assert " ".join(second.split()) == "* password 100 of 100 all are 1 min ago"


def test_limits_of_many_shows_who_has_to_wait_first_and_counts_the_rest(shell: Shell) -> None:
    many = [limit(source=f"10.0.0.{number}") for number in range(100)]
    answer = {"rules": {}, "limits": [*many, limit(source="*", tries=100, triesLeft=0)]}
    with FakeGateway(answers={"gateway.limits.list": lambda _: answer}).listening(socket=shell.socket):
        ran = shell("gateway", "limits")
    lines = ran.out.splitlines()
    assert lines[1].split()[0] == "*"
    assert lines[2].split()[0] == "10.0.0.0"
    assert "And 61 more: openclawd gateway limits --json" in lines
    assert len(lines) < 50


def test_limits_without_any_says_so(shell: Shell) -> None:
    gateway = FakeGateway(answers={"gateway.limits.list": lambda _: {"rules": {}, "limits": []}})
    with gateway.listening(socket=shell.socket):
        assert shell("gateway", "limits").out == "Nobody has presented a wrong secret lately.\n"


def test_limits_clears_one_source_or_all(shell: Shell) -> None:
    gateway = FakeGateway(answers={"gateway.limits.clear": lambda _: {"cleared": 1}})
    with gateway.listening(socket=shell.socket):
        assert shell("gateway", "limits", "--clear", "203.0.113.7").code == 0
        assert shell("gateway", "limits", "--clear-all").code == 0
        assert shell("gateway", "limits", "--clear-all", "--clear", "x").code == 2
    assert gateway.calls == [
        ("gateway.limits.clear", {"source": "203.0.113.7"}),
        ("gateway.limits.clear", {}),
    ]


def test_clearing_a_source_that_is_not_there_fails_and_says_who_is(shell: Shell) -> None:
    gateway = FakeGateway(answers={"gateway.limits.clear": lambda _: {"cleared": 0}})
    with gateway.listening(socket=shell.socket):
        ran = shell("gateway", "limits", "--clear", "nobody")
    assert (ran.code, ran.err) == (1, "Nothing is known of nobody.\nWho there is: openclawd gateway limits\n")


def test_reload_says_what_is_in_force_and_what_is_not(shell: Shell) -> None:
    answer = {"ok": True, "applied": ["gateway.auth.token"], "restartRequired": ["gateway.port"]}
    with FakeGateway(answers={"gateway.reload": lambda _: answer}).listening(socket=shell.socket):
        ran = shell("gateway", "reload")
        assert shell("gateway", "reload", "--json").json == answer
    assert ran.out == (
        "In force now: gateway.auth.token.\n"
        "Counts when it restarts: gateway.port. That is: openclawd gateway restart\n"
    )


def test_options_that_start_a_gateway_are_none_of_these_commands(shell: Shell) -> None:
    ran = shell("gateway", "--bind", "lan", "reload")
    assert (ran.code, "--bind is for starting the gateway" in ran.err) == (2, True)


def test_no_secret_and_no_port_is_given_to_rotate(shell: Shell) -> None:
    ran = shell("gateway", "--token", "mine", "token", "rotate")
    assert (ran.code, ran.err.startswith("openclawd gateway token rotate: it takes no --token.")) == (2, True)
    assert not (shell.state_dir / "openclaw.json").exists()


# --- the token


def test_a_stopped_gateway_gets_a_new_token_in_its_file_and_nothing_else_changes(shell: Shell) -> None:
    file = shell.write_config(CONFIG)
    ran = shell("gateway", "token", "rotate")
    assert (ran.code, ran.err) == (0, "")
    token = re.findall(r"#token=([0-9a-f]{48})\n", ran.out)[0]
    assert token != OLD
    assert file.read_text() == CONFIG.replace(f"'{OLD}'", f'"{token}"')
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_it_works_where_there_is_no_file_yet(shell: Shell) -> None:
    ran = shell("gateway", "token", "rotate", "--json")
    token = json.loads((shell.state_dir / "openclaw.json").read_text())["gateway"]["auth"]["token"]
    assert (ran.json["live"], ran.json["url"].endswith(f"#token={token}")) == (False, True)


def test_a_running_gateway_changes_it_itself_and_is_not_told_it(shell: Shell) -> None:
    file = shell.write_config(CONFIG)
    gateway = FakeGateway(answers={"gateway.token.rotate": lambda _: {"ok": True}, "status": lambda _: {}})
    with gateway.listening(socket=shell.socket):
        ran = shell("gateway", "token", "rotate")
    assert ("gateway.token.rotate", {}) in gateway.calls
    assert file.read_text() == CONFIG, "the file is the gateway's business then"
    assert ran.out.startswith("The gateway has a new token.")
    assert f"#token={OLD}" in ran.out


def test_what_a_running_gateway_refuses_is_told_with_its_cure(shell: Shell) -> None:
    refusal = Refusal(code="INVALID_REQUEST", message="given with --token", details={"cure": "Do this."})

    def refuse(_: Any) -> Any:
        raise refusal

    gateway = FakeGateway(answers={"gateway.token.rotate": refuse})
    with gateway.listening(socket=shell.socket):
        ran = shell("gateway", "token", "rotate")
    assert (ran.code, ran.err) == (1, "gateway.token.rotate: given with --token\nDo this.\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{gateway: {auth: {mode: 'none'}}}", "its auth mode is none"),
        ("{gateway: {auth: {password: 'x'}}}", "its auth mode is password"),
        ("{gateway: {auth: {token: '${TOKEN}'}}}", "is taken from the environment"),
        ("{gateway: {auth: {token: {source: 'env', id: 'TOKEN'}}}}", "is taken from the environment"),
    ],
)
def test_a_token_that_is_decided_elsewhere_is_not_changed_here(shell: Shell, text: str, said: str) -> None:
    file = shell.write_config(text)
    ran = shell("gateway", "token", "rotate", TOKEN=OLD)
    assert ran.code == 1
    assert said in ran.err
    assert file.read_text() == text


def test_a_gateway_that_runs_and_cannot_be_asked_keeps_its_token(shell: Shell) -> None:
    file = shell.write_config(CONFIG)
    paths = resolve_paths({"HOME": "/", "OPENCLAW_STATE_DIR": str(shell.state_dir)})
    paths.own_dir.mkdir()
    with state_lock(paths.lock_file, now_ms=0):
        ran = shell("gateway", "token", "rotate")
    assert (ran.code, ran.err.endswith("Why: openclawd doctor\n")) == (75, True)
    assert file.read_text() == CONFIG


# --- config set


@pytest.mark.parametrize("words", [("reload",), ("token", "rotate")])
def test_a_config_that_a_running_gateway_does_not_take_is_mended_in_the_file(
    shell: Shell, words: tuple[str, ...]
) -> None:
    def refuse(_: Any) -> Any:
        details = {"issues": [{"path": "", "message": "line 1"}]}
        raise Refusal(code="INVALID_REQUEST", message="invalid config: line 1", details=details)

    gateway = FakeGateway(answers={f"gateway.{'.'.join(words)}": refuse})
    with gateway.listening(socket=shell.socket):
        ran = shell("gateway", *words)
    assert (ran.code, ran.err.splitlines()[-1].endswith("openclawd config validate")) == (1, True)


@pytest.mark.parametrize(
    ("restart_required", "said"),
    [([], "The running gateway goes by it."), (["gateway.port"], "until it restarts: gateway.port.")],
)
def test_config_set_has_a_running_gateway_go_by_it(
    shell: Shell, restart_required: list[str], said: str
) -> None:
    answer = {"ok": True, "applied": [], "restartRequired": restart_required}
    gateway = FakeGateway(answers={"gateway.reload": lambda _: answer})
    with gateway.listening(socket=shell.socket):
        ran = shell("config", "set", "gateway.port", "19002")
        assert shell("config", "set", "gateway.port", "19003", "--json").json["reloaded"] == answer
    assert (ran.code, ran.err, said in ran.out) == (0, "", True)


@pytest.mark.parametrize(
    ("words", "above", "said"),
    [
        (("set", "gateway.port", "19002"), "--port", "a service: openclawd gateway install --port 19002\n"),
        (("unset", "gateway.port"), "--port", "a service: openclawd gateway install --port N\n"),
        (("set", "gateway.port", "19002"), "OPENCLAW_GATEWAY_PORT", "place of the file: start it without.\n"),
        (("set", "gateway.auth.token", "hidden"), "--token-file", "place of the file: start it without.\n"),
    ],
)
def test_config_set_says_what_counts_in_place_of_the_file(
    shell: Shell, words: tuple[str, str], above: str, said: str
) -> None:
    shell.write_config("{gateway: {port: 19001}}")
    answer = {"ok": True, "applied": [], "restartRequired": [], "overridden": {words[1]: above}}
    with FakeGateway(answers={"gateway.reload": lambda _: answer}).listening(socket=shell.socket):
        ran = shell("config", *words)
        other = shell("config", "set", "logging.level", "debug")
    assert (ran.code, ran.err) == (0, "")
    assert f"The running gateway was started with {above}, which counts in" in ran.out
    assert ran.out.endswith(said)
    assert "hidden" not in ran.out
    assert other.out.endswith("The running gateway goes by it.\n")


def test_a_gateway_that_does_not_take_it_does_not_unwrite_it(shell: Shell) -> None:
    def refuse(_: Any) -> Any:
        raise Refusal(code="INVALID_REQUEST", message="unknown method: gateway.reload")

    with FakeGateway(answers={"gateway.reload": refuse}).listening(socket=shell.socket):
        ran = shell("config", "set", "gateway.port", "19002")
    assert (ran.code, "does not go by it" in ran.out) == (0, True)
    assert shell("config", "get", "gateway.port").out == "19002\n"
