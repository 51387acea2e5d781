"""What stays when a service is uninstalled, and the command that removes it."""

import os
from pathlib import Path

from openclawd.cli.service_left import Left, is_run
from openclawd.slots.layout import Installation

HOME = Path.home()
STATE = HOME / ".openclaw"
ROOT = HOME / ".local/lib/openclawd"


def test_conversations_and_keys_are_named_for_who_wants_them_gone() -> None:
    (said,) = Left(STATE, keys=HOME / ".config/openclawd/environment").lines()
    assert "~/.openclaw" in said
    assert "~/.config/openclawd/environment" in said


def test_the_link_goes_with_the_program_that_it_leads_to() -> None:
    _, said = Left(STATE, program=ROOT, command=HOME / ".local/bin/openclawd").lines()
    assert said.endswith("rm -r ~/.local/lib/openclawd ~/.local/bin/openclawd")


def test_a_program_that_another_profile_runs_is_not_to_be_removed() -> None:
    said = "\n".join(Left(STATE, program=ROOT, is_shared=True, lingers=True).lines())
    assert "other services run it" in said
    assert "rm -r" not in said
    assert "disable-linger" not in said


def test_lingering_is_named_as_it_stays() -> None:
    assert [*Left(STATE, lingers=True).lines()][-1].endswith("loginctl disable-linger")


def test_a_folder_with_a_space_can_be_removed_as_the_command_stands() -> None:
    _, said = Left(STATE, program=Path("/srv/my programs")).lines()
    assert said.endswith("rm -r '/srv/my programs'")


def test_a_script_gets_the_places() -> None:
    found = Left(STATE, program=ROOT).document()
    assert found == {
        "unit": None,
        "program": "~/.local/lib/openclawd",
        "command": None,
        "state": "~/.openclaw",
        "keys": None,
    }


def test_who_still_executes_it_is_seen_but_for_this_command(tmp_path: Path) -> None:
    installation, proc = Installation(tmp_path / "root"), tmp_path / "proc"
    for pid, program in ((os.getpid(), installation.program("1.0.0")), (1, Path("/usr/lib/systemd/systemd"))):
        (proc / str(pid)).mkdir(parents=True)
        (proc / str(pid) / "exe").symlink_to(program)
    assert not is_run(installation, proc)
    (proc / "0").mkdir()
    (proc / "0" / "exe").symlink_to(installation.program("0.9.0"))
    assert is_run(installation, proc)
