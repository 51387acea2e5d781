"""Restarts, crashes and reloads under a real systemd, which believes that nothing has happened."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.supervised import PORT, ROOT
from tests.support.systemd import run_under_systemd, why_not

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]

FULL = os.environ.get("OPENCLAWD_TEST_FULL") == "1"
RESTARTS = 100 if FULL else 6
CRASHES = 20 if FULL else 3
PATIENCE_S = 900.0 if FULL else 240.0
# The system inside has these anyway.
INSIDE = {Path("/usr")}
# What is promised for a crash, times three.
CRASH_GAP_MS = 3 * 3000


@pytest.fixture(autouse=True)
def _can_boot() -> None:
    if why_not() is not None:
        pytest.skip(str(why_not()))


def scenario(name: str, *words: object) -> dict[str, Any]:
    """What tests/support/supervised.py saw."""
    places = {ROOT, *map(Path, (sys.prefix, sys.base_prefix))}
    shown = [
        each for each in places if not any(each.is_relative_to(other) for other in INSIDE | places - {each})
    ]
    arguments = " ".join(str(word) for word in (name, *words))
    script = f"cd {ROOT}\n{sys.executable} -m tests.support.supervised {arguments}"
    output = run_under_systemd(script, shown=shown, patience_s=PATIENCE_S)
    last = output.rstrip().rpartition("\n")[2]
    assert last.startswith("{"), output
    return dict(json.loads(last))


def tells(status: str, port: int, *, generation: int) -> bool:
    """Whether `systemctl status` has all that one asks first."""
    clients = r"(no|\d+) clients?"
    expected = rf"listening on port {port}, loopback; {clients}; openclawd \S+, generation {generation}"
    return re.fullmatch(expected, status) is not None


def test_requested_restarts_are_none_to_systemd_and_refuse_nobody() -> None:
    seen = scenario("restarts", RESTARTS)
    assert (seen["refused"], seen["broken"]) == (0, [])
    assert seen["answered"] > RESTARTS
    assert seen["samePid"]
    assert seen["NRestarts"] == "0"
    assert seen["generations"] == list(range(1, RESTARTS + 2))
    assert seen["ActiveState"] == "active"
    assert tells(seen["StatusText"], PORT, generation=RESTARTS + 1)
    # The same two sockets, however often they were stored.
    assert int(seen["NFileDescriptorStore"]) <= 2


def test_a_crash_refuses_nobody_and_a_stop_lets_go_of_the_sockets() -> None:
    seen = scenario("crashes", CRASHES)
    crashed, restarted, stopped = seen["crashed"], seen["restarted"], seen["stopped"]
    assert crashed["refused"] == 0
    # Who was being answered when it died.
    assert len(crashed["broken"]) <= CRASHES
    assert crashed["longestMs"] < CRASH_GAP_MS
    assert crashed["NRestarts"] == str(CRASHES)
    assert int(crashed["NFileDescriptorStore"]) >= 1
    # Another process, and the same sockets.
    assert restarted["refused"] == 0
    assert restarted["MainPID"] != crashed["MainPID"]
    assert stopped["ActiveState"] == "inactive"
    assert stopped["Result"] == "success"
    assert stopped["NFileDescriptorStore"] == "0"
    assert stopped["refused"]


def test_a_reload_keeps_the_process_and_what_the_config_no_longer_names_is_closed() -> None:
    seen = scenario("reloads")
    assert seen["reloaded"]["NRestarts"] == "0"
    assert tells(seen["reloaded"]["StatusText"], PORT, generation=1)
    assert seen["moved"]["samePid"]
    assert seen["moved"]["NRestarts"] == "0"
    assert seen["moved"]["oldRefused"]
    assert tells(seen["moved"]["StatusText"], PORT + 10, generation=2)
    assert seen["moved"]["NFileDescriptorStore"] == seen["reloaded"]["NFileDescriptorStore"]
    assert seen["crashed"]["refused"] == 0
    assert seen["crashed"]["oldRefused"]
    assert seen["wider"]["listens"] == "0.0.0.0"
    assert seen["wider"]["NFileDescriptorStore"] == "1"
    assert seen["wider"]["NRestarts"] == "2"


def test_a_stuck_loop_is_written_down_killed_and_started_again() -> None:
    seen = scenario("stuck")
    assert seen["refused"] == 0
    assert seen["blocked"]["NRestarts"] == "1"
    (line,) = seen["stuck"]
    assert any(
        "stuck_gateway.py" in place and place.endswith(" blocked") for place in line["threads"]["MainThread"]
    )
    assert any(task["count"] >= 1 and task["stack"] for task in line["tasks"])
    assert "Fatal Python error: Aborted" in seen["journal"]
    # A process that was stopped cannot say a word.
    assert seen["stopped"]["NRestarts"] == "2"
    assert len([line for line in seen["journal"] if "Watchdog timeout" in line]) == 2


@pytest.mark.skipif(not FULL, reason="half a minute: scripts/test --full")
def test_a_slow_start_and_a_slow_stop_are_waited_for() -> None:
    seen = scenario("slow")
    assert (seen["started"]["ActiveState"], seen["started"]["NRestarts"]) == ("active", "0")
    assert (seen["stopped"]["ActiveState"], seen["stopped"]["Result"]) == ("inactive", "success")


def test_a_wrong_config_is_tried_once_and_a_second_gateway_ends_with_75_and_touches_nothing() -> None:
    seen = scenario("second")
    wrong = seen["wrong"]
    assert wrong["ExecMainStatus"] == "78"
    # What is to be started again is `activating (auto-restart)` until then.
    assert (wrong["ActiveState"], wrong["SubState"], wrong["NRestarts"]) == ("failed", "failed", "0")
    assert seen["codes"] == [75, 75]
    assert seen["alive"]
    assert seen["samePid"]
    assert (seen["NRestarts"], seen["ActiveState"]) == ("0", "active")


def test_sockets_that_systemd_listens_on_are_ours_and_strays_are_not() -> None:
    seen = scenario("activated")
    assert seen["first"]
    assert seen["refused"] == 0
    assert seen["NRestarts"] == "1"
    assert seen["started with"]
