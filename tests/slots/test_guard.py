"""What a supervisor starts: the guard, under each shell that is here, in each state that a trial may have."""

import itertools
import os
import shutil
import stat
import time
from pathlib import Path

import pytest

from openclawd.slots.guard import adopt_guard, guard_text, install_guard
from openclawd.slots.layout import Installation
from openclawd.slots.trial import read_failed, read_last, read_trial, write_trial
from tests.slots.installed import (
    NEW,
    OLD,
    add_version,
    deadly_tools,
    guard,
    installation,
    ran,
    shells,
    trial,
)

FULL = bool(os.environ.get("OPENCLAWD_TEST_FULL"))
SHELLS = pytest.mark.parametrize(
    "shell", shells(), ids=lambda shell: "-".join(Path(shell[0]).parts[-1:]) + "".join(shell[1:])
)


@SHELLS
def test_without_a_trial_the_current_version_gets_the_flags_and_the_environment(
    tmp_path: Path, shell: list[str]
) -> None:
    found = installation(tmp_path)
    found.program(OLD).write_text('#!/bin/sh\necho "$0 $* [$GIVEN] [$PATH]"\n')
    ended = guard(found, "gateway", "--port", "1 2", shell=shell, environment={"GIVEN": "x", "PATH": "/a:/b"})
    assert (ended.stdout, ended.stderr) == (f"{found.entry} gateway --port 1 2 [x] [/a:/b]\n", "")


@SHELLS
def test_a_trial_with_a_start_left_starts_the_new_version_and_counts_it(
    tmp_path: Path, shell: list[str]
) -> None:
    found = installation(tmp_path, NEW)
    write_trial(found, trial(starts=1, colour="blue"))
    ended = guard(found, shell=shell)
    assert ended.stdout == f"{NEW}\n"
    assert "0.7.0 is on trial" in ended.stderr
    assert read_trial(found) == trial(starts=0, colour="blue")


@SHELLS
def test_a_trial_without_a_start_left_has_failed(tmp_path: Path, shell: list[str]) -> None:
    found = installation(tmp_path, NEW)
    write_trial(found, trial(starts=0))
    ended = guard(found, shell=shell)
    assert ended.stdout == f"{OLD}\n"
    assert "0.7.0 was rolled back to 0.6.0: it ended before it was known to be well" in ended.stderr
    assert (found.current_version(), read_trial(found)) == (OLD, None)
    last = read_last(found)
    assert last is not None
    assert (last.end, last.by, last.from_version, last.to_version) == ("rolled-back", "guard", OLD, NEW)
    assert last.reason == "it ended before it was known to be well"


@SHELLS
def test_a_trial_that_never_began_is_set_aside(tmp_path: Path, shell: list[str]) -> None:
    found = installation(tmp_path, OLD)
    write_trial(found, trial(starts=0))
    assert guard(found, shell=shell).stdout == f"{OLD}\n"
    failed = read_failed(found)
    assert failed is not None
    assert (failed.end, read_trial(found)) == ("failed", None)


@SHELLS
def test_a_new_version_without_a_program_is_rolled_back_before_it_is_started(
    tmp_path: Path, shell: list[str]
) -> None:
    found = installation(tmp_path, NEW)
    write_trial(found, trial(starts=1))
    found.program(NEW).unlink()
    assert guard(found, shell=shell).stdout == f"{OLD}\n"


@SHELLS
def test_an_empty_program_is_no_program(tmp_path: Path, shell: list[str]) -> None:
    found = installation(tmp_path, NEW)
    write_trial(found, trial(starts=1))
    found.program(NEW).write_text("")
    assert guard(found, shell=shell).stdout == f"{OLD}\n"


@SHELLS
def test_a_trial_whose_link_is_gone_starts_the_old_version(tmp_path: Path, shell: list[str]) -> None:
    found = installation(tmp_path, NEW)
    write_trial(found, trial(starts=1))
    found.current.unlink()
    assert guard(found, shell=shell).stdout == f"{OLD}\n"
    assert found.current_version() == OLD


@SHELLS
def test_a_version_that_somebody_put_there_meanwhile_is_started(tmp_path: Path, shell: list[str]) -> None:
    found = installation(tmp_path, OLD, OLD, NEW, "0.8.0")
    found.swap("0.8.0")
    write_trial(found, trial(starts=1))
    assert guard(found, shell=shell).stdout == "0.8.0\n"
    assert read_trial(found) is None


@SHELLS
@pytest.mark.parametrize(
    "text",
    [
        "",
        "from=0.6.0\n",
        "\0\0\0\0",
        "from=../..\nto=/etc\nstarts=1\n",
        "from=a b\nto=*\nstarts=1\n",
        "from=0.7.0\nto=0.7.0\n",
    ],
)
def test_a_trial_that_cannot_be_understood_stops_nothing(tmp_path: Path, shell: list[str], text: str) -> None:
    found = installation(tmp_path, NEW)
    found.trial.write_text(text)
    ended = guard(found, shell=shell)
    assert ended.stdout == f"{NEW}\n"
    assert not found.trial.exists()


@SHELLS
def test_when_the_old_version_is_gone_the_new_one_is_better_than_none(
    tmp_path: Path, shell: list[str]
) -> None:
    found = installation(tmp_path, NEW)
    write_trial(found, trial(starts=0))
    found.program(OLD).unlink()
    assert guard(found, shell=shell).stdout == f"{NEW}\n"
    assert read_trial(found) is None


@SHELLS
def test_a_current_version_that_is_gone_is_replaced_by_the_previous_one(
    tmp_path: Path, shell: list[str]
) -> None:
    found = installation(tmp_path, NEW)
    found.set_previous(OLD)
    found.program(NEW).unlink()
    ended = guard(found, shell=shell)
    assert ended.stdout == f"{OLD}\n"
    assert "leads to no program; 0.6.0 is started" in ended.stderr
    assert found.current_version() == OLD


@SHELLS
def test_without_any_version_it_says_so_and_fails(tmp_path: Path, shell: list[str]) -> None:
    found = installation(tmp_path)
    for version in (OLD, NEW):
        found.program(version).unlink()
    ended = guard(found, shell=shell)
    assert ended.returncode == 127
    assert ended.stderr.endswith("openclawd gateway install\n")


@SHELLS
def test_the_word_of_a_gateway_that_was_well_ends_the_trial(tmp_path: Path, shell: list[str]) -> None:
    found = installation(tmp_path, NEW)
    word = tmp_path / "word"
    asked = trial(starts=0, word=str(word))
    write_trial(found, asked)
    word.write_text(f"{asked.word_of}\n")
    assert guard(found, shell=shell).stdout == f"{NEW}\n"
    assert (read_trial(found), found.current_version(), found.previous_version()) == (None, NEW, OLD)
    last = read_last(found)
    assert last is not None
    assert (last.end, last.by, last.from_version, last.to_version) == ("confirmed", "gateway", OLD, NEW)


@SHELLS
def test_the_word_about_another_trial_ends_nothing(tmp_path: Path, shell: list[str]) -> None:
    found = installation(tmp_path, NEW)
    word = tmp_path / "word"
    write_trial(found, trial(starts=0, word=str(word)))
    word.write_text(f"{NEW} 1\n")
    assert guard(found, shell=shell).stdout == f"{OLD}\n"


@SHELLS
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("for 5 s: a\\n'b' (503)", "for 5 s: a\\n'b' (503)"),
        ("\x1b]0;root\x07", "it was judged not to be well"),
    ],
)
@pytest.mark.parametrize("starts", [0, 1])
def test_why_it_is_not_well_by_the_word_of_its_judge_is_the_reason(
    tmp_path: Path, shell: list[str], said: str, reason: str, starts: int
) -> None:
    found = installation(tmp_path, NEW)
    word = tmp_path / "word"
    asked = trial(starts=starts, word=str(word))
    write_trial(found, asked)
    word.write_text(f"{asked.word_of} {said}\n")
    assert guard(found, shell=shell).stdout == f"{OLD}\n"
    last = read_last(found)
    assert last is not None
    assert (last.end, last.reason) == ("rolled-back", reason)


def test_a_judge_of_the_old_version_is_started_beside_the_new_one(tmp_path: Path) -> None:
    found = installation(tmp_path, NEW)
    write_trial(found, trial(starts=1))
    # Its output is closed when the last one who has it ends.
    guard(found)
    assert sorted(ran(found)) == [f"{OLD} update judge", f"{NEW} gateway"]


@SHELLS
def test_settle_decides_and_starts_nothing(tmp_path: Path, shell: list[str]) -> None:
    found = installation(tmp_path, NEW)
    write_trial(found, trial(starts=0))
    assert guard(found, "settle", shell=shell).stdout == ""
    assert (found.current_version(), ran(found)) == (OLD, [])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_who_may_not_write_there_decides_nothing(tmp_path: Path) -> None:
    found = installation(tmp_path, NEW)
    write_trial(found, trial(starts=0))
    (tmp_path / "ran").touch()
    (tmp_path / "ran").chmod(0o666)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    ended = guard(
        found,
        shell=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/bin/sh"],
        environment={"PATH": os.environ["PATH"]},
    )
    assert (ended.stdout, ended.stderr) == (f"{NEW}\n", "")
    assert read_trial(found) == trial(starts=0)


# --- after the gateway ended


def systemctl(folder: Path, job: str) -> dict[str, str]:
    """One that says `job`, and writes down what else it is asked."""
    folder.mkdir()
    tool = folder / "systemctl"
    tool.write_text(
        f'#!/bin/sh\ncase "$*" in *show*) echo "{job}" ;; *) echo "$*" >>{folder}/asked ;; esac\n'
    )
    tool.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


@SHELLS
@pytest.mark.parametrize(("result", "status"), [("success", "0"), ("success", "PIPE"), ("exit-code", "78")])
def test_an_end_after_which_systemd_starts_nothing_rolls_back_and_starts(
    tmp_path: Path, shell: list[str], result: str, status: str
) -> None:
    found = installation(tmp_path, NEW)
    write_trial(found, trial())
    told = {"SERVICE_RESULT": result, "EXIT_CODE": "exited", "EXIT_STATUS": status}
    guard(
        found,
        "stopped",
        "--user",
        "a b.service",
        shell=shell,
        environment=systemctl(tmp_path / "bin", "") | told,
    )
    assert (tmp_path / "bin" / "asked").read_text() == "--user --no-block start a b.service\n"
    assert (found.current_version(), read_trial(found)) == (OLD, None)


@SHELLS
def test_a_stop_that_was_asked_for_lets_the_trial_wait(tmp_path: Path, shell: list[str]) -> None:
    found = installation(tmp_path, NEW)
    write_trial(found, trial(starts=0))
    told = {"SERVICE_RESULT": "success", "EXIT_CODE": "exited", "EXIT_STATUS": "0"}
    guard(
        found,
        "stopped",
        "openclawd.service",
        shell=shell,
        environment=systemctl(tmp_path / "bin", "Job=12") | told,
    )
    assert (found.current_version(), read_trial(found)) == (NEW, trial(starts=1))
    assert not (tmp_path / "bin" / "asked").exists()


@SHELLS
def test_an_end_that_systemd_answers_with_a_start_is_left_to_it(tmp_path: Path, shell: list[str]) -> None:
    found = installation(tmp_path, NEW)
    write_trial(found, trial(starts=0))
    told = {"SERVICE_RESULT": "signal", "EXIT_CODE": "killed", "EXIT_STATUS": "SEGV"}
    guard(
        found, "stopped", "openclawd.service", shell=shell, environment=systemctl(tmp_path / "bin", "") | told
    )
    assert (found.current_version(), read_trial(found)) == (NEW, trial(starts=0, ended="killed SEGV"))


def test_without_a_trial_an_end_means_nothing(tmp_path: Path) -> None:
    found = installation(tmp_path, NEW)
    ended = guard(found, "stopped", "openclawd.service", environment={"SERVICE_RESULT": "success"})
    assert (ended.returncode, ended.stderr, found.current_version()) == (0, "", NEW)


# --- the power goes off


def cut_states() -> list[tuple[str, int]]:
    return [(OLD, 0), (NEW, 0), (NEW, 1)]


@pytest.mark.parametrize("shell", shells() if FULL else shells()[:1], ids=lambda shell: shell[0])
@pytest.mark.parametrize(("current", "starts"), cut_states())
@pytest.mark.parametrize("after", [False, True])
def test_a_power_cut_between_any_two_of_its_steps_leaves_something_to_start(
    tmp_path: Path, shell: list[str], current: str, starts: int, after: bool
) -> None:
    for at in itertools.count(1):
        folder = tmp_path / str(at)
        folder.mkdir()
        found = installation(folder, current)
        write_trial(found, trial(starts))
        cut = guard(found, shell=shell, environment=deadly_tools(folder / "tools", at, after=after))
        if cut.returncode == 0:
            assert at > 1, "nothing was cut"
            break
        assert cut.returncode == -9
        began = [line for line in ran(found) if line.startswith(NEW)]
        # The next starts, of a new version that dies each time.
        versions = [guard(found, shell=shell).stdout.strip() for _ in range(3)]
        assert versions[-1] == OLD
        assert len(began) + versions.count(NEW) <= starts + 1
        assert (found.current_version(), read_trial(found)) == (OLD, None)


# --- the guard itself


def test_the_guard_is_installed_once_and_can_be_executed(tmp_path: Path) -> None:
    found = Installation(tmp_path)
    assert install_guard(found, guard_text())
    assert not install_guard(found, guard_text())
    assert os.access(found.guard, os.X_OK)


def test_the_guard_of_a_version_that_proved_itself_is_taken(tmp_path: Path) -> None:
    found = installation(tmp_path)
    folder = found.slot(NEW) / "_internal" / "openclawd" / "slots"
    folder.mkdir(parents=True)
    (folder / "guard.sh").write_text("#!/bin/sh\nexec true\n")
    assert adopt_guard(found, NEW)
    assert found.guard.read_text() == "#!/bin/sh\nexec true\n"


def test_a_guard_that_no_shell_can_read_is_not_taken(tmp_path: Path) -> None:
    found = installation(tmp_path)
    folder = found.slot(NEW) / "_internal" / "openclawd" / "slots"
    folder.mkdir(parents=True)
    (folder / "guard.sh").write_text("#!/bin/sh\nif then\n")
    assert not adopt_guard(found, NEW)
    assert found.guard.read_text() == guard_text()


def test_an_unknown_version_has_no_name_that_the_guard_would_take(tmp_path: Path) -> None:
    found = installation(tmp_path)
    with pytest.raises(ValueError, match="no version"):
        add_version(found, "../x")


@SHELLS
def test_what_it_writes_the_service_s_own_user_can_read(tmp_path: Path, shell: list[str]) -> None:
    """The system's unit has UMask=0077; whom the file is closed to does not know that it is on trial."""
    found = installation(tmp_path, NEW)
    write_trial(found, trial(starts=1))
    found.program(NEW).write_text("#!/bin/sh\numask\n")
    before = os.umask(0o077)
    try:
        assert guard(found, shell=shell).stdout.strip()[-3:] == "077"
        assert stat.S_IMODE(found.trial.stat().st_mode) == 0o644
        guard(found, shell=shell)
    finally:
        os.umask(before)
    assert stat.S_IMODE(found.failed.stat().st_mode) == 0o644


def test_under_launchd_the_judge_does_not_end_with_the_gateways_process_group(tmp_path: Path) -> None:
    """launchd.plist(5), AbandonProcessGroup: what is left of a dead job's group is killed. bash is what macOS
    has for a shell.
    """
    found = installation(tmp_path, NEW)
    groups = tmp_path / "groups"
    for version in (OLD, NEW):
        found.program(version).write_text(f'#!/bin/sh\necho "{version} $(ps -o pgid= -p $$)" >>{groups}\n')
    write_trial(found, trial(starts=1))
    bash = [str(shutil.which("bash")), "--posix"]
    guard(
        found,
        shell=bash,
        environment={"PATH": os.environ["PATH"], "XPC_SERVICE_NAME": "ai.openclawd.gateway"},
    )
    deadline_s = time.monotonic() + 20
    while len(lines := groups.read_text().split()) < 4:
        assert time.monotonic() < deadline_s, lines
    by_version = dict(zip(lines[::2], lines[1::2], strict=True))
    assert by_version[OLD] != by_version[NEW]
