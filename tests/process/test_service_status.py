"""What an operator reads at night: `gateway status` and `logs` of a service under a real systemd."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from openclawd.service.unit import ServiceSpec, service_text
from tests.support.supervised import ROOT
from tests.support.systemd import run_under_systemd, why_not

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]

OPENCLAWD = (sys.executable, "-m", "openclawd")
STATUS = f"echo Status=$({' '.join(OPENCLAWD)} gateway status --json | tr -d '\\n')"
SCREEN = f"{' '.join(OPENCLAWD)} gateway status || true"
SETTLED = "for _ in $(seq 100); do systemctl --user is-active -q openclawd && break; sleep 0.1; done"
BROKEN = """\
[Unit]
StartLimitBurst=3
[Service]
ExecStart=
ExecStart=/bin/sh -c "echo all is lost >&2; exit 1"
"""
# The system inside has these anyway.
INSIDE = {Path("/usr")}


@pytest.fixture(scope="module")
def night() -> str:
    """One boot for all questions: a gateway that is well, crashes, is stopped, and cannot start any more."""
    if why_not() is not None:
        pytest.skip(str(why_not()))
    unit = service_text(ServiceSpec(OPENCLAWD, guarded=False))
    script = f"""
        cd {ROOT}
        mkdir -p ~/.config/systemd/user ~/.config/systemd/user/openclawd.service.d
        cat > ~/.config/systemd/user/openclawd.service <<'END'\n{unit}\nEND
        systemctl --user daemon-reload
        systemctl --user enable --now openclawd
        echo "== well"; {STATUS}; systemctl --user status --no-pager openclawd
        {" ".join(OPENCLAWD)} logs -f > /tmp/followed & follower=$!
        for _ in $(seq 100); do grep -q ready /tmp/followed && break; sleep 0.1; done
        systemctl --user kill -s SEGV openclawd
        sleep 0.3; {SETTLED}
        echo "== crashed"; {STATUS}; {SCREEN}
        systemctl --user stop openclawd
        for _ in $(seq 50); do grep -q Stopped.openclawd /tmp/followed && break; sleep 0.1; done
        kill $follower; wait $follower || true
        echo "== followed"; cat /tmp/followed; pgrep -c journalctl || true
        echo "== stopped"; {STATUS}; {SCREEN}
        cat > ~/.config/systemd/user/openclawd.service.d/broken.conf <<'END'\n{BROKEN}\nEND
        systemctl --user daemon-reload; systemctl --user start openclawd || true
        for _ in $(seq 50); do systemctl --user is-failed -q openclawd && break; sleep 0.1; done
        echo "== given up"; {STATUS}; {SCREEN}
        rm ~/.config/systemd/user/openclawd.service.d/broken.conf; systemctl --user daemon-reload
        systemctl --user reset-failed openclawd
        echo '{{ gateway: {{ port: 0 }} }}' > ~/.openclaw/openclaw.json
        rm ~/.openclaw/openclawd/config.last-good.json
        systemctl --user start openclawd || true
        echo "== refused"; {STATUS}; {SCREEN}
        echo "== logs"; {" ".join(OPENCLAWD)} logs -n 200
    """
    places = {ROOT, *map(Path, (sys.prefix, sys.base_prefix))}
    shown = [
        each for each in places if not any(each.is_relative_to(other) for other in INSIDE | places - {each})
    ]
    return run_under_systemd(script, shown=shown)


def part(night: str, name: str) -> str:
    """What was printed of one question."""
    found = re.search(rf"^== {name}\n(.*?)(?=^== |\Z)", night, re.MULTILINE | re.DOTALL)
    assert found is not None, night
    return found[1]


def status(night: str, name: str) -> dict[str, Any]:
    line = re.search(r"^Status=(.*)$", part(night, name), re.MULTILINE)
    assert line is not None, night
    return dict(json.loads(line[1]))


def test_a_service_that_is_well_says_what_it_is_and_how_long(night: str) -> None:
    found = status(night, "well")
    service = found["service"]
    assert (service["name"], service["condition"], service["enabled"]) == (
        "openclawd.service",
        "running",
        True,
    )
    assert service["pid"] == found["pid"]
    assert found["running"] is True
    words = r'Status: "listening on port 18789, loopback; (no|\d+) clients?; openclawd \S+, generation 1"'
    assert re.search(words, part(night, "well"))


def test_after_a_crash_it_tells_when_and_why_the_one_before_ended(night: str) -> None:
    service = status(night, "crashed")["service"]
    assert (service["startedAgain"], service["lastExit"]["signal"]) == (1, 11)
    shown = part(night, "crashed")
    assert re.search(r"^failed +once, and systemd started it again$", shown, re.MULTILINE)
    assert re.search(
        r"^last exit +20\d\d-\S+ \S+, .* ago: ended by SIGSEGV: it crashed$", shown, re.MULTILINE
    )


def test_one_that_was_stopped_says_so_and_how_to_start_it(night: str) -> None:
    found = status(night, "stopped")
    assert (found["running"], found["service"]["condition"]) == (False, "stopped")
    assert found["next"] == "openclawd gateway start"
    assert "exit code 0: it was told to stop" in part(night, "stopped")


def test_one_that_was_given_up_says_how_often_it_died_and_its_last_words(night: str) -> None:
    found = status(night, "given up")
    assert found["service"]["condition"] == "failed"
    assert found["service"]["lastExit"]["code"] == 1
    assert found["lastWords"] == ["all is lost"]
    assert "systemd has given up after" in part(night, "given up")


def test_a_config_that_it_refused_stands_on_the_screen_with_what_helps(night: str) -> None:
    found = status(night, "refused")
    assert found["service"]["lastExit"]["code"] == 78
    assert found["next"] == "openclawd config validate"
    assert "gateway.port is 0" in part(night, "refused")


def test_the_log_has_what_systemd_did_in_between_and_nothing_twice(night: str) -> None:
    log = part(night, "logs")
    died = log.index("systemd: openclawd.service: Main process exited, code=killed, status=11/SEGV")
    ready = [found.start() for found in re.finditer(r"  info   ready  ", log)]
    assert len(ready) == 2
    assert ready[0] < died < ready[1]
    assert "gateway.port is 0" in log[ready[1] :]


def test_who_follows_the_log_sees_the_crash_and_the_next_start_and_leaves_nothing_behind(night: str) -> None:
    followed = part(night, "followed")
    assert "status=11/SEGV" in followed
    assert len(re.findall(r"  info   ready  ", followed)) == 2
    assert followed.rstrip().endswith("\n0")
