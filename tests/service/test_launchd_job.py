"""Installing, starting, stopping and removing a job of launchd, against launchd as it behaves."""

import tempfile
from pathlib import Path

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from openclawd.service.launchctl import Launchctl, LaunchctlRefused
from openclawd.service.launchd_job import LaunchdJob, agent
from openclawd.service.plist import JobSpec
from openclawd.service.tool import Told
from tests.support.fake_launchctl import FakeLaunchd

LABEL = "ai.openclawd.gateway"
TARGET = f"gui/501/{LABEL}"


@pytest.fixture
def launchd() -> FakeLaunchd:
    return FakeLaunchd()


@pytest.fixture
def spec(tmp_path: Path) -> JobSpec:
    return spec_in(tmp_path)


@pytest.fixture
def job(launchd: FakeLaunchd, tmp_path: Path) -> LaunchdJob:
    return job_in(tmp_path, launchd)


def spec_in(home: Path) -> JobSpec:
    return JobSpec((f"{home}/guard", "gateway"), f"{home}/Library/Logs/openclawd.log")


def job_in(home: Path, launchd: FakeLaunchd) -> LaunchdJob:
    return agent(home, LABEL, 501, Launchctl("gui/501", launchd.ask, launchd.sleep, launchd.now_s))


def pid(launchd: FakeLaunchd) -> int | None:
    return launchd.jobs[TARGET].pid if TARGET in launchd.jobs else None


def test_installing_writes_the_list_and_starts_the_job(
    job: LaunchdJob, launchd: FakeLaunchd, spec: JobSpec
) -> None:
    assert job.install(spec) == "started"
    assert pid(launchd) is not None
    assert job.file.name == f"{LABEL}.plist"
    assert job.file.stat().st_mode & 0o777 == 0o644
    assert Path(spec.log_file).parent.is_dir()


def test_installing_again_changes_nothing_and_ends_nothing(
    job: LaunchdJob, launchd: FakeLaunchd, spec: JobSpec
) -> None:
    job.install(spec)
    before, launchd.asked = pid(launchd), []
    assert job.install(spec) == "unchanged"
    assert (pid(launchd), launchd.verbs) == (before, ["print"])


@pytest.mark.parametrize("says_in_progress", [False, True])
@pytest.mark.parametrize("stop_takes_s", [0.0, 0.3, 12.0])
def test_a_changed_list_is_taken_up_by_another_process_however_long_the_old_one_takes(
    job: LaunchdJob, launchd: FakeLaunchd, spec: JobSpec, stop_takes_s: float, says_in_progress: bool
) -> None:
    """`bootstrap` says 5 until launchd has let go of the one before, seconds after `bootout` has returned."""
    job.install(spec)
    before = pid(launchd)
    launchd.stop_takes_s, launchd.says_in_progress = stop_takes_s, says_in_progress
    assert job.install(attrs.evolve(spec, environment={"OPENCLAW_PROFILE": "work"})) == "replaced"
    assert pid(launchd) not in {None, before}
    assert launchd.jobs[TARGET].plist["EnvironmentVariables"] == {"OPENCLAW_PROFILE": "work"}


def test_a_job_that_was_disabled_by_hand_is_enabled_by_installing_it(
    job: LaunchdJob, launchd: FakeLaunchd, spec: JobSpec
) -> None:
    launchd.disabled.add(TARGET)
    job.install(spec)
    assert pid(launchd) is not None


def test_installing_starts_a_job_that_has_ended_well(
    job: LaunchdJob, launchd: FakeLaunchd, spec: JobSpec
) -> None:
    job.install(spec)
    launchd.exits(TARGET, 0)
    assert job.install(spec) == "started"
    assert pid(launchd) is not None


def test_a_stop_returns_when_the_process_has_ended(
    job: LaunchdJob, launchd: FakeLaunchd, spec: JobSpec
) -> None:
    job.install(spec)
    launchd.stop_takes_s = 4.0
    began_s = launchd.now
    assert job.stop() is True
    assert launchd.now - began_s >= 4.0
    assert TARGET not in launchd.jobs
    assert job.is_installed


def test_stopping_what_is_not_known_is_no_failure(job: LaunchdJob, spec: JobSpec) -> None:
    assert job.stop() is False


def test_a_process_that_does_not_end_is_told_of_with_the_command_that_ends_it(
    job: LaunchdJob, launchd: FakeLaunchd, spec: JobSpec
) -> None:
    job.install(spec)
    launchd.stop_takes_s = 3600.0
    with pytest.raises(LaunchctlRefused, match=r"has not within") as refused:
        job.stop()
    assert refused.value.cure == f"launchctl kill SIGKILL {TARGET}"


def test_what_was_stopped_stays_so_until_the_next_log_in(
    job: LaunchdJob, launchd: FakeLaunchd, spec: JobSpec
) -> None:
    job.install(spec)
    job.stop()
    launchd.sleep(3600)
    assert TARGET not in launchd.jobs
    launchd.log_in(job.file.parent)
    assert pid(launchd) is not None


def test_a_start_directly_after_a_stop_waits_until_launchd_has_let_go(
    job: LaunchdJob, launchd: FakeLaunchd, spec: JobSpec
) -> None:
    job.install(spec)
    job.stop()
    assert job.start() is True
    assert pid(launchd) is not None
    assert launchd.verbs.count("bootstrap") > 2, "or launchd was no trouble, and this shows nothing"


def test_starting_what_runs_asks_for_nothing(job: LaunchdJob, launchd: FakeLaunchd, spec: JobSpec) -> None:
    job.install(spec)
    before, launchd.asked = pid(launchd), []
    assert job.start() is False
    assert (pid(launchd), launchd.verbs) == (before, ["print"])


def test_starting_what_ended_well_needs_no_other_process_to_end(
    job: LaunchdJob, launchd: FakeLaunchd, spec: JobSpec
) -> None:
    job.install(spec)
    launchd.exits(TARGET, 0)
    launchd.asked = []
    assert job.start() is True
    assert launchd.verbs == ["print", "kickstart"]


def test_starting_what_is_just_being_started_is_no_failure(
    job: LaunchdJob, launchd: FakeLaunchd, spec: JobSpec
) -> None:
    """`kickstart` says 37 then."""
    job.install(spec)
    launchd.exits(TARGET, 1)
    launchd.now += 4.9
    assert job.start() is True


def test_starting_what_is_not_installed_says_how_to_install_it(job: LaunchdJob) -> None:
    with pytest.raises(LaunchctlRefused) as refused:
        job.start()
    assert refused.value.cure == "openclawd gateway install"


def test_removing_ends_it_and_leaves_nothing(job: LaunchdJob, launchd: FakeLaunchd, spec: JobSpec) -> None:
    job.install(spec)
    assert job.uninstall() is True
    assert not job.file.exists()
    assert job.uninstall() is False
    launchd.log_in(job.file.parent)
    assert launchd.jobs == {}


def test_without_a_session_at_the_screen_the_job_of_the_machine_is_offered(
    tmp_path: Path, spec: JobSpec
) -> None:
    launchd = FakeLaunchd(domains=frozenset())
    with pytest.raises(LaunchctlRefused, match=r"nobody is logged in at the screen") as refused:
        job_in(tmp_path, launchd).install(spec)
    assert refused.value.cure == "sudo openclawd gateway install --system"
    assert launchd.verbs.count("bootstrap") == 1, "waiting does not help there"


def test_a_list_that_launchd_cannot_read_is_named_with_what_checks_it(
    job: LaunchdJob, launchd: FakeLaunchd, spec: JobSpec
) -> None:
    job.install(spec)
    job.stop()
    job.file.write_text("no list")
    with pytest.raises(LaunchctlRefused, match=r"109") as refused:
        job.start()
    assert refused.value.cure == f"plutil -lint {job.file}"


def test_who_is_not_root_changes_no_job_of_the_machine(tmp_path: Path, spec: JobSpec) -> None:
    launchd = FakeLaunchd(domains=frozenset({"system"}))
    launchctl = Launchctl("system", launchd.ask, launchd.sleep, launchd.now_s)
    job = LaunchdJob(LABEL, tmp_path / f"{LABEL}.plist", launchctl, uid=501)
    with pytest.raises(LaunchctlRefused) as refused:
        job.stop()
    assert refused.value.cure == "sudo openclawd gateway stop"
    assert launchd.asked == []


def test_where_there_is_no_launchctl_that_is_said(tmp_path: Path, spec: JobSpec) -> None:
    told = Told(127, err="launchctl: No such file or directory")
    nothing = Launchctl("gui/501", lambda _words: told)
    with pytest.raises(LaunchctlRefused, match=r"launchd is for macOS"):
        agent(tmp_path, LABEL, 501, nothing).start()


def test_what_print_says_of_the_run_before_is_told_apart(
    job: LaunchdJob, launchd: FakeLaunchd, spec: JobSpec
) -> None:
    job.install(spec)
    known = job.job()
    assert known is not None
    assert (known.state, known.pid, known.runs, known.exit_code) == ("running", pid(launchd), 1, None)
    launchd.exits(TARGET, signal="Killed: 9")
    launchd.sleep(1)
    known = job.job()
    assert known is not None
    assert (known.comes_again, known.pid, known.signal, known.exit_code) == (True, None, 9, None)
    launchd.sleep(5)
    launchd.exits(TARGET, 78)
    known = job.job()
    assert known is not None
    assert (known.exit_code, known.runs) == (78, 2)


class AnyOrder(RuleBasedStateMachine):
    """Whatever is done in whatever order, what a command has said is so when it has said it."""

    @initialize(takes=st.sampled_from([0.0, 0.3, 9.0]), says=st.booleans())
    def begin(self, takes: float, says: bool) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="openclawd-launchd-")
        self.home = Path(self.folder.name)
        self.launchd = FakeLaunchd(stop_takes_s=takes, says_in_progress=says)
        self.job = job_in(self.home, self.launchd)
        self.profile = 0
        self.wanted = False
        """Whether it is to run, by the last command or log-in."""

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(other=st.booleans())
    def install(self, other: bool) -> None:
        self.profile += other
        self.job.install(attrs.evolve(spec_in(self.home), environment={"N": str(self.profile)}))
        assert self.launchd.jobs[TARGET].plist["EnvironmentVariables"] == {"N": str(self.profile)}
        self.wanted = True

    @rule()
    def stop(self) -> None:
        self.job.stop()
        assert TARGET not in self.launchd.jobs
        self.wanted = False

    @rule()
    def uninstall(self) -> None:
        self.job.uninstall()
        assert TARGET not in self.launchd.jobs
        assert not self.job.is_installed
        self.wanted = False

    @precondition(lambda self: self.job.is_installed)
    @rule()
    def start(self) -> None:
        self.job.start()
        self.wanted = True

    @precondition(lambda self: pid(self.launchd) is not None)
    @rule(code=st.sampled_from([0, 1, 75]))
    def exits(self, code: int) -> None:
        self.launchd.exits(TARGET, code)
        self.wanted = code != 0

    @rule(seconds=st.sampled_from([0.1, 4.9, 60.0]))
    def wait(self, seconds: float) -> None:
        self.launchd.sleep(seconds)

    @rule()
    def log_in(self) -> None:
        self.launchd.log_in(self.job.file.parent)
        self.wanted = self.job.is_installed and TARGET not in self.launchd.disabled

    @rule()
    def disable(self) -> None:
        """By hand; it counts from the next log-in on."""
        self.launchd.disabled.add(TARGET)

    @invariant()
    def it_runs_or_will_as_was_wanted(self) -> None:
        if hasattr(self, "launchd"):
            known = self.launchd.jobs.get(TARGET)
            comes = known is not None and (known.pid is not None or known.starts_at_s is not None)
            assert comes == self.wanted


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
