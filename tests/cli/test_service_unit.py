"""The unit that a gateway runs in, as the kernel and systemd tell of it."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from openclawd.cli.service_unit import Unit, unit_of

PID = 4711
STARTED_S_AFTER_BOOT = 50
BOOTED_S = 1_700_000_000


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """What the kernel tells of the process: a name with spaces, as proc_pid_stat(5) warns of."""
    folder = tmp_path / "proc" / str(PID)
    folder.mkdir(parents=True)
    ticks = STARTED_S_AFTER_BOOT * os.sysconf("SC_CLK_TCK")
    before = " ".join(["0"] * 18)
    (folder / "stat").write_text(f"{PID} (open) claw d) S {before} {ticks} 0 0\n")
    (folder / "cgroup").write_text("0::/system.slice/openclawd.service\n")
    (tmp_path / "proc" / "stat").write_text(f"cpu 1 2 3\nbtime {BOOTED_S}\n")
    return tmp_path / "proc"


@pytest.fixture
def environment_file(tmp_path: Path) -> Path:
    """Written before the process started."""
    file = tmp_path / "environment"
    file.touch()
    os.utime(file, (BOOTED_S, BOOTED_S))
    return file


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment_file: Path) -> Callable[..., Path]:
    """Puts a `systemctl` into the way that says these properties; what it was asked is in the file."""

    def put(main_pid: int = PID, needs_reload: str = "no", *, of_user: bool = False) -> Path:
        asked = tmp_path / "asked"
        program = tmp_path / "systemctl"
        told = [
            f"MainPID={main_pid}",
            f"NeedDaemonReload={needs_reload}",
            f"FragmentPath={tmp_path}/none.service",
            "DropInPaths=",
            "EnvironmentFiles=/does/not/exist (ignore_errors=yes)",
            f"EnvironmentFiles={environment_file} (ignore_errors=no)",
        ]
        manager = "--user" if of_user else "show"
        says = f"[ $1 = {manager} ] || exit 1\ncat <<END\n{chr(10).join(told)}\nEND"
        program.write_text(f'#!/bin/sh\necho "$@" >>{asked}\n{says}\n')
        program.chmod(0o700)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return asked

    return put


def test_a_unit_that_is_as_it_was_has_nothing_to_say(proc: Path, systemctl: Callable[..., Path]) -> None:
    systemctl()

    unit = unit_of(PID, proc)

    assert unit is not None
    assert (unit.name, unit.changed, unit.said) == ("openclawd.service", (), None)


def test_an_environment_file_that_is_newer_than_the_process_is_named(
    proc: Path, systemctl: Callable[..., Path], environment_file: Path
) -> None:
    systemctl()
    os.utime(environment_file, (time.time(), time.time()))

    unit = unit_of(PID, proc)

    assert unit is not None
    assert unit.said == f"only systemd can apply what changed in {environment_file}"
    assert unit.command.endswith("systemctl restart openclawd.service")


def test_a_unit_file_that_systemd_has_not_read_needs_that_first(
    proc: Path, systemctl: Callable[..., Path]
) -> None:
    systemctl(needs_reload="yes")

    unit = unit_of(PID, proc)

    assert unit is not None
    assert unit.said == "systemd has not read openclawd.service since it changed"
    assert "daemon-reload && " in unit.command


def test_a_unit_of_the_users_manager_is_applied_by_that(proc: Path, systemctl: Callable[..., Path]) -> None:
    systemctl(of_user=True)
    path = "/user.slice/user-1000.slice/user@1000.service/app.slice/openclawd.service"
    (proc / str(PID) / "cgroup").write_text(f"0::{path}\n")

    unit = unit_of(PID, proc)

    assert unit == Unit("openclawd.service", of_user=True, changed=(), stale=False)
    assert unit.command == "systemctl --user restart openclawd.service"


def test_with_version_1_of_cgroups_the_hierarchy_of_systemd_counts(
    proc: Path, systemctl: Callable[..., Path]
) -> None:
    systemctl()
    (proc / str(PID) / "cgroup").write_text(
        "4:memory:/elsewhere\n1:name=systemd:/system.slice/openclawd.service\n0::/\n"
    )

    assert unit_of(PID, proc) is not None


@pytest.mark.parametrize("cgroup", ["0::/user.slice/session-3.scope\n", "0::/\n", ""])
def test_what_was_started_from_a_terminal_has_no_unit(
    proc: Path, systemctl: Callable[..., Path], cgroup: str
) -> None:
    asked = systemctl()
    (proc / str(PID) / "cgroup").write_text(cgroup)

    assert unit_of(PID, proc) is None
    assert not asked.exists()


def test_a_service_that_only_started_it_is_not_its_unit(proc: Path, systemctl: Callable[..., Path]) -> None:
    """Such as cron.service."""
    systemctl(main_pid=1)

    assert unit_of(PID, proc) is None


def test_a_process_that_has_ended_has_no_unit(proc: Path) -> None:
    assert unit_of(PID + 1, proc) is None


def test_where_there_is_no_systemd_there_is_no_unit(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    assert unit_of(PID, proc) is None
