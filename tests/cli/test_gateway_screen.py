"""What `gateway status` makes of what was seen: a screen, a document, and one command that helps."""

import time
from typing import Any

import pytest

from openclawd.cli.failure import Failure, NotRunning
from openclawd.cli.finding import failed
from openclawd.cli.gateway_screen import document, lines
from openclawd.cli.gateway_seen import Seen
from openclawd.cli.log_tail import LogTail, at_ms
from openclawd.cli.next_step import next_step
from openclawd.cli.service_unit import Unit
from openclawd.service.standing import Condition, End, Standing

NOW_MS = 1_795_402_470_000.0
RUNNING = {
    "running": True,
    "pid": 128,
    "version": "0.6.0",
    "lifecycle": "ready",
    "generation": 3,
    "clients": 5,
}
DOWN = NotRunning("No gateway is running for /state.", cure="Start it: openclawd gateway")


CHANGED = Unit("openclawd.service", of_user=True, changed=("/etc/x",), stale=False)
ENABLE = "systemctl --user enable openclawd.service"
WAKE = "sudo loginctl enable-linger ada"
OTHER_PORT = "openclawd config set gateway.port 18790"


def standing(condition: Condition, **more: Any) -> Standing:
    known = {"of_user": True, "enabled": True, "lingers": True, "since_ms": round(NOW_MS) - 60_000}
    return Standing("systemd", "openclawd.service", condition=condition, **{**known, **more})


def serving(**more: Any) -> Seen:
    found = RUNNING | more.pop("running", {})
    unit = more.pop("unit", standing(Condition.RUNNING, pid=128))
    return Seen(NOW_MS, running=found, pid=128, standing=unit, unit=more.pop("unread", None), **more)


def down(condition: Condition | None = None, end: End | None = None, **more: Any) -> Seen:
    known = more.pop("unit", {})
    unit = standing(condition, end=end, **known) if condition is not None else None
    return Seen(NOW_MS, failure=DOWN, standing=unit, end=end, **more)


def screen(seen: Seen) -> dict[str, str]:
    """The last of each name; a name that is blank belongs to the one above."""
    return {name: str(value) for name, value in lines(seen) if value is not None}


def test_a_gateway_that_is_well_is_told_in_a_few_lines() -> None:
    shown = screen(serving())
    assert shown["gateway"] == "running, process 128, generation 3"
    assert shown["service"].startswith("openclawd.service (systemd, this user's): running (since ")
    assert "1 min ago" in shown["service"]
    assert shown["clients"] == "4 besides this command"
    assert shown["next"] == "openclawd status"
    assert "last exit" not in shown


def test_one_that_failed_for_good_says_when_why_what_it_said_and_what_helps() -> None:
    end = End(code=78, result="exit-code", at_ms=round(NOW_MS) - 300_000)
    shown = screen(down(Condition.FAILED, end, last_words=("gateway.port is 0",)))
    assert shown["gateway"] == "not running"
    assert "failed, and is not started again" in shown["service"]
    assert "5 min ago: exit code 78: the config" in shown["last exit"]
    assert shown["it said"] == "gateway.port is 0"
    assert shown["next"] == "openclawd gateway check"


def test_one_that_dies_again_and_again_says_how_often() -> None:
    unit = standing(Condition.WAITING, starts_again=17, end=End(signal=11))
    shown = screen(Seen(NOW_MS, failure=DOWN, standing=unit, end=unit.end))
    assert "about to be started again" in shown["service"]
    assert shown["failed"] == "17 times, and systemd started it again"
    assert shown["last exit"] == "ended by SIGSEGV: it crashed"
    assert shown["next"] == "openclawd logs -n 50"


def test_one_that_runs_after_a_crash_says_so() -> None:
    end = End(signal=9, result="oom-kill", at_ms=round(NOW_MS) - 60_000)
    unit = standing(Condition.RUNNING, pid=128, starts_again=1, end=end)
    shown = screen(serving(unit=unit, end=end))
    assert shown["failed"] == "once, and systemd started it again"
    assert "as memory ran out" in shown["last exit"]


def test_a_process_that_holds_the_state_and_does_not_answer_is_named() -> None:
    mute = Failure("The gateway at /s did not answer within 10 s.")
    shown = screen(Seen(NOW_MS, failure=mute, pid=77))
    assert (
        shown["gateway"]
        == "process 77 runs, and does not answer: The gateway at /s did not answer within 10 s."
    )
    assert shown["next"] == "openclawd logs -n 50"


@pytest.mark.parametrize(
    ("well", "said"),
    [(True, "it was told to stop"), (False, "it ended without a goodbye"), (None, "not running")],
)
def test_without_a_service_the_log_tells_how_it_ended(well: bool | None, said: str) -> None:
    assert said in screen(down(stopped_well=well, last_log_ms=round(NOW_MS) - 1000))["gateway"]


def test_who_was_refused_is_told_newest_first_with_what_helps() -> None:
    refused = tuple(
        {"ts": NOW_MS - ago, "reason": reason, "address": "10.0.0.7", "client": "cli", "next": step}
        for ago, reason, step in (
            (1000, "token_mismatch", "openclawd dashboard"),
            (9000, "token_missing", None),
        )
    )
    shown = [value for name, value in lines(serving(refused=refused)) if name == "refused"]
    assert ["token_mismatch" in str(shown[0]), "token_missing" in str(shown[1])] == [True, True]
    assert next_step(serving(refused=refused)) == "openclawd dashboard"
    long_ago = ({**refused[0], "ts": NOW_MS - 86_400_000},)
    assert next_step(serving(refused=long_ago)) == "openclawd status"


TRIAL = {
    "current": "0.6.0",
    "trial": {"from": "0.5.2", "to": "0.6.0", "beganMs": NOW_MS - 12_000, "windowMs": 30_000},
}
BACK = {
    "from": "0.5.2",
    "to": "0.6.0",
    "outcome": "rolled-back",
    "atMs": NOW_MS - 7_200_000,
    "by": "guard",
    "reason": "it died",
}


@pytest.mark.parametrize(
    ("update", "said"),
    [
        (TRIAL, "0.6.0 is on trial for 12 s now: well for 30 s, it stays; otherwise 0.5.2 comes back"),
        (
            {"current": "0.5.2", "last": BACK},
            "0.6.0 came 2 h ago, was not well, and 0.5.2 is back (the guard saw to it): it died",
        ),
        ({"last": BACK | {"outcome": "confirmed"}}, "0.6.0 came 2 h ago (from 0.5.2), and is well"),
        (
            {"last": BACK | {"outcome": "failed", "by": "updater", "reason": "the disk is full"}},
            "0.6.0 was to come 2 h ago, and did not; 0.5.2 stayed: the disk is full",
        ),
        (
            {"last": BACK | {"outcome": "failed", "to": "", "by": "updater", "reason": "no route to host"}},
            "a newer one was to come 2 h ago, and did not; 0.5.2 stayed: no route to host",
        ),
        (
            {"progress": {"phase": "downloading", "to": "0.6.0", "doneBytes": 5, "totalBytes": 20}},
            "downloading 0.6.0, 25 %",
        ),
    ],
)
def test_an_update_is_one_line(update: dict[str, Any], said: str) -> None:
    assert screen(serving(update=update))["update"] == said


def test_an_installation_that_never_was_updated_has_no_such_line() -> None:
    assert "update" not in screen(serving(update={"current": "0.6.0"}))


@pytest.mark.parametrize(
    ("seen", "command"),
    [
        (serving(update=TRIAL), "openclawd update status"),
        (serving(running={"restartProblem": "the disk is full"}), "openclawd gateway check"),
        (serving(running={"restartRequiredFor": ["gateway.port"]}), "openclawd gateway restart"),
        (serving(unwritable=failed("state folder", "no space left", "df -h /state")), "df -h /state"),
        (serving(unit=standing(Condition.RUNNING, pid=128, enabled=False)), ENABLE),
        (serving(unread=CHANGED), "systemctl --user restart openclawd.service"),
        (down(Condition.STOPPED, unit={"wakes": "sudo loginctl enable-linger ada"}), WAKE),
        (down(Condition.WAITING, End(code=75)), "openclawd doctor"),
        (down(Condition.WAITING, End(code=75), taken_port=(18789, "web (pid 9)")), OTHER_PORT),
        (down(Condition.STARTING, End(code=1)), "openclawd gateway check"),
        (down(Condition.STARTING, End(code=1), pid=9), "openclawd gateway check"),
        (serving(running={"configWarnings": ["x"]}, config_is_valid=False), "openclawd config validate"),
        (serving(running={"configWarnings": ["no certificate"]}), "openclawd gateway check"),
        (serving(running={"stateWarnings": [{"failing": True, "cure": "df -h /"}]}), "df -h /"),
        (serving(running={"devicesWaiting": 1}), "openclawd devices list"),
        (serving(running={"lifecycle": "draining"}), "openclawd logs -f"),
        (serving(running={"updateAvailable": {"latestVersion": "0.7.0"}}), "openclawd update run"),
        (serving(unit=standing(Condition.RUNNING, pid=128, lingers=False)), "loginctl enable-linger"),
        (serving(unit=standing(Condition.WAITING)), "openclawd gateway stop && openclawd gateway start"),
        (serving(unit=None), "openclawd status"),
        (down(Condition.STOPPED, End(code=0)), "openclawd gateway start"),
        (down(Condition.STOPPED), "openclawd gateway start"),
        (down(Condition.STARTING), "openclawd logs -f"),
        (down(config_problem=("line 1: not JSON5",)), "openclawd config validate"),
        (down(stopped_well=False), "openclawd logs -n 50"),
        (down(stopped_well=True), "openclawd gateway"),
    ],
)
def test_it_ends_in_the_command_that_helps_most(seen: Seen, command: str) -> None:
    assert next_step(seen) == command


def test_what_is_the_machines_needs_sudo() -> None:
    unit = standing(Condition.STOPPED, of_user=False)
    assert next_step(Seen(NOW_MS, failure=DOWN, standing=unit)) == "sudo openclawd gateway start"
    assert next_step(Seen(NOW_MS, as_root=True, failure=DOWN, standing=unit)) == "openclawd gateway start"
    alive = standing(Condition.RUNNING, of_user=False, pid=9)
    assert next_step(Seen(NOW_MS, failure=DOWN, standing=alive)) == "sudo openclawd gateway status"


def test_a_process_that_is_not_the_services_is_said_to_be_another() -> None:
    said = [
        value
        for name, value in lines(serving(unit=standing(Condition.WAITING, starts_again=3)))
        if name == ""
    ]
    assert "the gateway that runs, process 128, is not this service's" in said


def test_as_json_all_of_it_has_a_key() -> None:
    end = End(signal=9, result="oom-kill", at_ms=1)
    found = document(serving(unit=standing(Condition.RUNNING, pid=128, end=end), update=TRIAL))
    assert (found["running"], found["pid"], found["next"]) == (True, 128, "openclawd update status")
    assert found["service"]["lastExit"] == {"signal": 9, "result": "oom-kill", "atMs": 1}
    assert found["update"]["trial"]["to"] == "0.6.0"
    gone = document(down(Condition.FAILED, End(code=78)))
    assert (gone["running"], gone["error"]["message"]) == (False, DOWN.message)


def test_a_refused_restart_is_told_once_with_its_time_and_what_it_is_for() -> None:
    running = {
        "restartProblem": "port 99 is in use",
        "restartProblemAtMs": time.time() * 1000 - 300_000,
        "restartRequiredFor": ["gateway.port"],
        "configWarnings": ["gateway.port needs a restart, which was refused: port 99 is in use"],
    }
    shown = screen(serving(running=running))
    assert shown["restart"] == (
        "needed for gateway.port, refused 5 min ago, and tried again by itself: port 99 is in use"
    )
    assert "warning" not in shown


def test_a_restart_that_nobody_has_asked_for_is_told() -> None:
    """`gateway.reload.mode` hot."""
    shown = screen(serving(running={"restartRequiredFor": ["gateway.port"]}))
    assert shown["restart"] == "needed for gateway.port, and not asked for yet"


def test_who_has_the_port_is_told() -> None:
    seen = down(Condition.WAITING, End(code=75), taken_port=(18789, "web (pid 9) of web.service"))
    assert screen(seen)["port"] == (
        "18789 is held by web (pid 9) of web.service: end that, or take another port"
    )


def test_one_that_systemd_has_given_up_says_after_how_many_starts() -> None:
    unit = standing(Condition.FAILED, starts_again=300, end=End(code=1))
    shown = screen(Seen(NOW_MS, failure=DOWN, standing=unit, end=unit.end))
    assert "failed, and systemd has given up after 301 starts" in shown["service"]
    assert "failed" not in shown


def test_root_may_ask_a_gateway_that_starts() -> None:
    unit = standing(Condition.STARTING, of_user=False, pid=9)
    assert screen(Seen(NOW_MS, as_root=True, failure=DOWN, standing=unit))["gateway"] == (
        "process 9, which does not serve yet"
    )
    assert "only root" in screen(Seen(NOW_MS, failure=DOWN, standing=unit))["gateway"]


def test_a_service_without_a_manager_says_why_it_is_stopped() -> None:
    unit = standing(Condition.STOPPED, wakes=WAKE, lingers=False)
    said = [str(value) for _, value in lines(Seen(NOW_MS, failure=DOWN, standing=unit))]
    assert any("no service manager of this user runs" in each for each in said)
    assert "it is not there after the next boot before you log in, as lingering is off" in said


def test_answers_that_fail_are_told_with_their_reason() -> None:
    failed_answer = {"time": "2026-11-22T20:00:00.000Z", "error": "loc cannot be reached"}
    now_ms = at_ms(failed_answer) or 0
    seen = serving(failed_answers=(failed_answer, failed_answer))
    seen.now_ms = now_ms + 300_000
    assert screen(seen)["answers"] == "the last 2 failed, 5 min ago: loc cannot be reached"
    assert "answers" not in screen(serving())


def test_an_answer_that_did_not_fail_ends_the_row() -> None:
    ended = [{"message": "run ended", "state": state} for state in ("error", "done", "error", "error")]
    assert len(LogTail(ended).failed_answers) == 2
    assert LogTail(ended[:2]).failed_answers == []


def test_words_without_an_end_are_for_the_log() -> None:
    seen = down(Condition.WAITING, End(signal=6), last_words=("error  loop stuck  " + "x" * 9000,))
    assert screen(seen)["it said"].endswith("… (openclawd logs)")
    assert len(screen(seen)["it said"]) < 700
