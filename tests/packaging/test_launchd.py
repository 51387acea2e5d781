"""The frozen binary as a job of launchd, for which a double stands that really starts it: installed, crashed,
stopped, wrongly configured, updated. Only where it is told what system it is on, the program says macOS.
"""

import json
import os
import pwd
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from openclawd.service.plist import JobSpec, agent_file, plist_text
from openclawd.slots.guard import guard_text, install_guard
from openclawd.slots.layout import Installation
from openclawd.slots.trial import Trial, write_trial
from tests.packaging.updating import NEW, OLD, SABOTAGE
from tests.support.gateway_process import free_port
from tests.support.running_launchd import RunningLaunchd, running_launchd
from tests.support.versions import source_of, variant

pytestmark = pytest.mark.binary

full = pytest.mark.skipif(not os.environ.get("OPENCLAWD_TEST_FULL"), reason="with --full")
LABEL: Final = "ai.openclawd.gateway"
PATIENCE_S: Final = 60.0


def on_macos() -> dict[str, str]:
    """What the program finds itself on, as a person who is not root."""
    source = source_of("openclawd.service.surroundings")
    for old, new in (('sys.platform == "darwin"', "True"), ("uid = os.geteuid()", "uid = 501")):
        assert source.count(old) == 1
        source = source.replace(old, new)
    return {"openclawd.service.surroundings": source}


@attrs.define
class Mac:
    """A home, what is installed there, and launchd."""

    home: Path
    program: Path
    launchd: RunningLaunchd
    environment: dict[str, str]

    @property
    def installation(self) -> Installation:
        return Installation(self.home / ".local" / "lib" / "openclawd")

    @property
    def target(self) -> str:
        return f"gui/{os.getuid()}/{LABEL}"

    @property
    def said(self) -> str:
        logs = (self.home / "Library" / "Logs" / "openclawd.log", self.home / "log")
        return "".join(each.read_text() for each in logs if each.exists())

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S * 2,
            check=False,
        )

    def done(self, *words: str) -> str:
        told = self.command(*words)
        assert told.returncode == 0, f"{words}: {told.stdout}{told.stderr}\n{self.said}"
        return told.stdout

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.command("gateway", "status", "--json").stdout))

    def until(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline_s = time.monotonic() + PATIENCE_S
        while not true(found := self.status()):
            assert time.monotonic() < deadline_s, f"{found}\n{self.said}"
            time.sleep(0.1)
        return found


@contextmanager
def mac(installed: Path, home: Path, config: dict[str, Any] | None = None) -> Generator[Mac, None, None]:
    """With OLD installed, which runs."""
    program = variant(installed, home / "downloaded", OLD, on_macos()) / "openclawd"
    (home / ".openclaw").mkdir(mode=0o700)
    told = {"gateway": {"port": free_port()}, **(config or {})}
    (home / ".openclaw" / "openclaw.json").write_text(json.dumps(told))
    (home / "tools").mkdir()
    environment = {"HOME": str(home), "OLLAMA_HOST": "127.0.0.1:9"}
    paths = f"{home}/tools:/usr/bin:/bin"
    with running_launchd(home / "tools", environment | {"PATH": paths}) as launchd:
        made = Mac(home, program, launchd, environment | {"PATH": paths})
        made.done("gateway", "install")
        made.program = made.installation.entry
        yield made


def test_the_job_lives_through_a_crash_and_ends_when_it_is_told_to(installed: Path, tmp_path: Path) -> None:
    with mac(installed, tmp_path) as here:
        found = here.status()
        assert (found["version"], found["service"]["condition"]) == (OLD, "running")
        assert found["service"]["name"] == here.target
        assert "runs as it did" in here.done("gateway", "install")
        assert "generation 2" in here.done("gateway", "restart")
        assert here.status()["pid"] == found["pid"]

        os.kill(found["pid"], signal.SIGKILL)
        after = here.until(lambda now: now["running"] and now["pid"] != found["pid"])
        assert after["service"]["lastExit"] == {"signal": 9}

        here.done("gateway", "stop")
        assert here.status()["next"] == "openclawd gateway start"
        assert here.target not in here.launchd.jobs
        here.done("gateway", "start")
        assert here.status()["running"], "start returns when it serves"
        assert "The service is gone." in here.done("gateway", "uninstall")
        assert not list((tmp_path / "Library" / "LaunchAgents").iterdir())


@full
def test_what_another_start_cannot_mend_is_left_alone_and_told_apart_from_a_stop(
    installed: Path, tmp_path: Path
) -> None:
    with mac(installed, tmp_path) as here:
        here.done("gateway", "stop")
        own = tmp_path / ".openclaw" / "openclawd"
        own.chmod(0o755)
        refused = here.command("gateway", "start")
        assert refused.returncode == 1
        assert "must be yours alone" in refused.stderr
        assert "openclawd gateway check" in refused.stderr
        found = here.status()
        assert (found["service"]["condition"], found["next"]) == ("failed", "openclawd gateway check")
        screen = here.command("gateway", "status").stdout
        assert "could not start, and another start would not help" in screen
        assert "must be yours alone" in screen
        own.chmod(0o700)
        here.done("gateway", "start")


@full
@pytest.mark.parametrize("updater_dies", [False, True], ids=["", "the updater dies"])
@pytest.mark.parametrize(
    "sabotage", ["ends with 0 as it starts", "crashes as it starts", "dies a second later"]
)
def test_a_version_that_is_not_well_goes_back_whatever_it_ends_with(
    installed: Path, tmp_path: Path, sabotage: str, updater_dies: bool
) -> None:
    with mac(installed, tmp_path, {"openclawd": {"update": {"trialMs": 15_000}}}) as here:
        variant(installed, here.installation.slot(NEW), NEW, on_macos() | dict(SABOTAGE[sabotage]))
        updater = subprocess.Popen(
            [here.program, "update", "run", NEW], env=here.environment, stderr=subprocess.PIPE
        )
        if updater_dies:
            while here.installation.current_version() != NEW:
                assert updater.poll() is None
                time.sleep(0.01)
            time.sleep(0.4)
            updater.kill()
        updater.communicate(timeout=PATIENCE_S * 2)
        if here.status().get("version") == OLD and here.installation.trial.exists():
            here.command("gateway", "restart")  # it had not been asked to
        here.until(lambda now: now.get("version") == OLD and not here.installation.trial.exists())
        last = json.loads(here.done("update", "status", "--json"))["last"]
        assert last["outcome"] == "rolled-back"


@full
def test_a_version_that_was_put_in_while_nothing_ran_is_judged_at_its_start(
    installed: Path, tmp_path: Path
) -> None:
    """It ends with 0, after which launchd starts nothing: the judge that the guard has started does."""
    with mac(installed, tmp_path) as here:
        sabotage = dict(SABOTAGE["ends with 0 as it starts"])
        variant(installed, here.installation.slot(NEW), NEW, on_macos() | sabotage)
        here.done("gateway", "stop")
        assert "Its trial begins with" in here.done("update", "run", NEW)
        assert here.command("gateway", "start").returncode == 1
        here.until(lambda now: now.get("version") == OLD and not here.installation.trial.exists())
        assert "did not serve within" in json.loads(here.done("update", "status", "--json"))["last"]["reason"]


@full
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_job_of_the_machine_runs_as_its_person_and_its_guard_goes_back_as_root(installed: Path) -> None:
    """Nobody judges but who the guard has started as root: the person may not write to the installation."""
    person = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(prefix="openclawd-launchd-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        found = Installation(home / "lib")
        bad = on_macos() | dict(SABOTAGE["ends with 0 as it starts"])
        for version, changed in ((OLD, on_macos()), (NEW, bad)):
            found.versions.mkdir(parents=True, exist_ok=True)
            variant(installed, found.slot(version), version, changed)
        found.update.mkdir()
        install_guard(found, guard_text())
        found.swap(NEW)
        write_trial(found, Trial(OLD, NEW, starts=1, began_s=int(time.time()), window_s=30))
        state = home / "state"
        state.mkdir(mode=0o700)
        (state / "openclaw.json").write_text(json.dumps({"gateway": {"port": free_port()}}))
        for each in (state, state / "openclaw.json"):
            os.chown(each, person.pw_uid, person.pw_gid)
        (home / "tools").mkdir()
        environment = {
            "HOME": str(home),
            "OPENCLAW_STATE_DIR": str(state),
            "PATH": f"{home}/tools:/usr/bin:/bin",
        }
        spec = JobSpec(
            (str(found.guard), "gateway"),
            str(home / "log"),
            environment=environment,
            user="nobody",
            guarded=True,
        )
        with running_launchd(home / "tools", {}) as launchd:
            list_of_it = agent_file(home, LABEL)
            list_of_it.parent.mkdir(parents=True)
            list_of_it.write_text(plist_text(spec))
            launchd.ask(["launchctl", "bootstrap", "gui/0", str(list_of_it)])
            here = Mac(home, found.entry, launchd, environment)
            after = here.until(lambda now: now.get("version") == OLD and not found.trial.exists())
            assert Path(f"/proc/{after['pid']}").stat().st_uid == person.pw_uid
            assert (found.current_version(), found.root.stat().st_uid) == (OLD, 0)
            assert (state / "openclawd" / "gateway.lock").stat().st_uid == person.pw_uid
