"""Who has the port of a gateway that is to be installed, and what ends that for good."""

import os
import pwd
from pathlib import Path

import pytest

from openclawd.cli.install_rivals import end_of_holder

# 127.0.0.1:18789, listening, inode 4242.
ROW = "0: 0100007F:4965 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4242 1"
OF_A_USER = "/user.slice/user-1000.slice/user@1000.service/app.slice/openclaw-gateway.service"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """What /proc has of a process 9 that listens there."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text(f"  sl\n{ROW}\n")
    (tmp_path / "9/fd").mkdir(parents=True)
    (tmp_path / "9/fd/3").symlink_to("socket:[4242]")
    (tmp_path / "9/comm").write_text("node\n")
    return tmp_path


def run_in(proc: Path, group: str) -> Path:
    (proc / "9/cgroup").write_text(f"0::{group}\n")
    return proc


def test_a_service_of_a_person_is_disabled_or_it_would_be_back_after_the_boot(proc: Path) -> None:
    assert str(end_of_holder(18789, run_in(proc, OF_A_USER))).endswith(
        "systemctl --user disable --now openclaw-gateway.service"
    )


def test_a_service_of_the_system_is_roots_to_disable(proc: Path) -> None:
    sudo = "" if os.geteuid() == 0 else "sudo "
    assert str(end_of_holder(18789, run_in(proc, "/system.slice/nginx.service"))).endswith(
        f": {sudo}systemctl disable --now nginx.service"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="root sees the services of others")
def test_a_service_of_another_person_is_named_with_that_person(proc: Path) -> None:
    os.chown(run_in(proc, OF_A_USER) / "9", 1, 1)
    other = pwd.getpwuid(1).pw_name
    assert f"systemctl --user -M {other}@ disable" in str(end_of_holder(18789, proc))


@pytest.mark.parametrize("group", ["/user.slice/session-3.scope", "/"])
def test_a_program_of_a_terminal_is_for_who_started_it(proc: Path, group: str) -> None:
    assert end_of_holder(18789, run_in(proc, group)) == "End that program first."


def test_another_gateway_of_ours_goes_on_and_this_one_has_another_port(proc: Path) -> None:
    assert end_of_holder(18789, run_in(proc, OF_A_USER.replace("openclaw-gateway", "openclawd"))) is None
    assert end_of_holder(18789, run_in(proc, "/system.slice/openclawd-work.service")) is None
