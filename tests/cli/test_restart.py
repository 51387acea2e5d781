"""`gateway restart`: asked for over the local socket, and waited for."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.cli.conftest import Shell
from tests.cli.fake_gateway import FakeGateway, Refusal

BEFORE = {"pid": 999_999_999, "generation": 1, "startedAtMs": 1_000, "lifecycle": "ready", "runs": 0}
AFTER = {
    **BEFORE,
    "generation": 2,
    "startedAtMs": 2_000,
    "lastRestart": {"reason": "a reason", "atMs": 2_000, "gapMs": 340},
}
SCHEDULED = {"ok": True, "status": "scheduled", "preflight": {"safe": True}, "restart": {"ok": True}}


def gateway(*lives: dict[str, Any], answer: Callable[[Any], Any] = lambda _: SCHEDULED) -> FakeGateway:
    """One that tells of itself as in `lives`, one after the other and then always the last."""
    told = itertools.chain(lives, itertools.repeat(lives[-1]))
    return FakeGateway(
        answers={
            "status": lambda _params: {"openclawd": next(told)},
            "gateway.restart.request": answer,
        }
    )


def _said(answer: object, _params: object) -> object:
    return answer


def test_it_waits_for_the_next_life_and_tells_of_the_gap(shell: Shell) -> None:
    draining = {**BEFORE, "lifecycle": "draining", "runs": 1}
    with gateway(BEFORE, BEFORE, draining, AFTER).listening(socket=shell.socket) as asked:
        ran = shell("gateway", "restart")

    assert (ran.code, ran.out) == (0, "Restarted: process 999999999 is generation 2, after 340 ms.\n")
    assert [method for method, _ in asked.calls].count("gateway.restart.request") == 1


def test_as_json_it_tells_the_same(shell: Shell) -> None:
    with gateway(BEFORE, AFTER).listening(socket=shell.socket):
        ran = shell("gateway", "restart", "--json")

    assert ran.json == {
        "ok": True,
        "status": "scheduled",
        "pid": BEFORE["pid"],
        "generation": 2,
        "lastRestart": AFTER["lastRestart"],
    }


def test_who_does_not_want_to_wait_is_told_that_it_will_be(shell: Shell) -> None:
    deferred = {**SCHEDULED, "status": "deferred"}
    for answer, told in ((SCHEDULED, "now"), (deferred, "when the runs under way have ended")):
        with gateway(BEFORE, answer=partial(_said, answer)).listening(socket=shell.socket):
            ran = shell("gateway", "restart", "--no-wait")
        shell.socket.unlink()
        assert (ran.code, ran.out) == (0, f"The gateway restarts {told}.\n")


def test_a_refused_restart_says_why_and_what_shows_more(shell: Shell) -> None:
    def refuse(_params: object) -> object:
        raise Refusal(
            code="UNAVAILABLE",
            message="no restart, and the gateway serves on: config: broken",
            details={"reason": "restart-refused"},
        )

    with gateway(BEFORE, answer=refuse).listening(socket=shell.socket):
        ran = shell("gateway", "restart")

    assert ran.code == 1
    assert "config: broken" in ran.err
    assert ran.err.endswith("openclawd gateway check\n")


def test_a_restart_that_was_called_off_says_why_and_what_shows_more(shell: Shell) -> None:
    draining = {**BEFORE, "lifecycle": "draining", "runs": 1}
    off = {**BEFORE, "restartProblem": "half an update"}
    with gateway(BEFORE, draining, off).listening(socket=shell.socket):
        ran = shell("gateway", "restart")

    assert ran.code == 1
    assert ran.err == (
        "No restart, and the gateway serves on: half an update\n"
        "What would stand in the way of a start: openclawd gateway check\n"
    )


def test_a_restart_that_is_under_way_is_joined(shell: Shell) -> None:
    """The gateway closes every connection as it goes, also the one that asks it to."""
    going = gateway(BEFORE, AFTER)
    going.closes_at = "gateway.restart.request"
    with going.listening(socket=shell.socket):
        ran = shell("gateway", "restart", "--json")

    assert (ran.code, ran.json["status"], ran.json["generation"]) == (0, "coalesced", 2)


def test_a_gateway_that_was_started_anew_has_not_restarted(shell: Shell) -> None:
    with gateway(BEFORE, {**AFTER, "pid": 999_999_998, "generation": 1}).listening(socket=shell.socket):
        ran = shell("gateway", "restart")

    assert ran.code == 1
    assert "another was started, process 999999998" in ran.err


def test_another_gateway_than_ours_is_not_asked(shell: Shell) -> None:
    with gateway({}).listening(socket=shell.socket) as asked:
        ran = shell("gateway", "restart")

    assert ran.code == 1
    assert "does not restart in place" in ran.err
    assert [method for method, _ in asked.calls] == ["status"]


def test_without_a_gateway_it_says_how_to_start_one(shell: Shell) -> None:
    ran = shell("gateway", "restart")

    assert (ran.code, ran.err.splitlines()[-1]) == (1, "Start it: openclawd gateway")


@pytest.mark.parametrize("action", ["restart", "stop"])
@pytest.mark.parametrize("option", ["--port=1", "--token=t", "--bind=lan", "--verbose"])
def test_it_takes_no_option_that_means_nothing_to_it(shell: Shell, action: str, option: str) -> None:
    ran = shell("gateway", option, action)

    assert ran.code == 2
    assert option.partition("=")[0] in ran.err


def test_stopping_what_does_not_run_is_done(shell: Shell) -> None:
    ran = shell("gateway", "stop")

    assert (ran.code, ran.out) == (0, f"No gateway is running for {shell.state_dir}.\n")
    assert shell("gateway", "stop", "--json").json == {"ok": True, "stopped": False}
