"""`openclawd gateway install` up to systemd, for which a double stands: what is refused, asked and said."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import attrs
import pytest

from openclawd.cli.failure import Failure
from openclawd.cli.install_systemd import install
from openclawd.cli.main import main
from openclawd.cli.service import Chosen
from openclawd.daemon.exit_codes import ExitCode
from openclawd.service.surroundings import Surroundings
from openclawd.service.systemctl import Systemctl
from openclawd.service.systemd_service import SystemdService
from tests.support.fake_systemctl import FakeSystemctl

AROUND = Surroundings(
    manager="systemd",
    init="systemd",
    wsl=False,
    container=None,
    user="ada",
    uid=os.geteuid(),
    behind_sudo=None,
    user_manager=True,
    lingers=True,
)


@attrs.frozen(eq=False)
class Machine:
    """A home, a manager, and the command with what it said."""

    home: Path
    manager: FakeSystemctl

    @property
    def unit(self) -> Path:
        return self.manager.folder / "openclawd.service"

    @property
    def keys(self) -> Path:
        return self.home / ".config" / "openclawd" / "environment"

    def install(self, **asked: object) -> tuple[dict[str, Any], list[str]]:
        """The facts and the notes. Raises Failure."""
        usual: dict[str, Any] = {
            **dict.fromkeys(("root", "run_as", "port", "token_file", "password_file", "linger")),
            **dict.fromkeys(("yes", "dry_run", "json"), False),
        }
        systemctl = Systemctl(of_user=True, ask=self.manager, wait=self.manager)
        service = SystemdService("openclawd", self.unit, systemctl, self.manager)
        environ = {"HOME": str(self.home), "OPENAI_API_KEY": "sk-secret"}
        chosen = Chosen(service, False, None, AROUND, environ)
        facts: dict[str, Any] = {}
        notes: list[str] = []

        def note(said: str, cure: str) -> None:
            notes.append(f"{said}\n{cure}")

        code = install(argparse.Namespace(**{**usual, **asked}), chosen, service, facts, note)
        assert code == ExitCode.OK
        return facts, notes


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    folder = tmp_path / ".config" / "systemd" / "user"
    folder.mkdir(parents=True)
    return Machine(tmp_path, FakeSystemctl(folder))


def test_the_service_is_installed_and_started(machine: Machine) -> None:
    facts, _ = machine.install()
    assert facts["unit"].endswith("(new)")
    assert facts["service"].startswith("started, process ")
    assert machine.manager.units["openclawd.service"].enabled


def test_installing_again_says_that_nothing_had_to_be_done(machine: Machine) -> None:
    machine.install()
    facts, _ = machine.install()
    assert facts["unit"].endswith("(as it was)")
    assert facts["service"].startswith("runs as it did")


def test_a_dry_run_leaves_no_trace(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.install(dry_run=True)
    assert "+ExecStart=" in capsys.readouterr().out
    assert (machine.unit.exists(), machine.keys.exists(), machine.manager.verbs) == (False, False, [])


def test_an_edited_unit_is_shown_and_stays_where_nobody_can_be_asked(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.install()
    machine.unit.write_text(machine.unit.read_text() + "Nice=5\n")
    with pytest.raises(Failure, match="was edited, and stays as it is") as refused:
        machine.install()
    assert refused.value.cure is not None
    assert refused.value.cure.endswith("--yes")
    assert "-Nice=5" in capsys.readouterr().err
    assert "Nice=5" in machine.unit.read_text()


def test_with_yes_it_is_replaced(machine: Machine) -> None:
    machine.install()
    machine.unit.write_text(machine.unit.read_text() + "Nice=5\n")
    machine.install(yes=True)
    assert "Nice=5" not in machine.unit.read_text()


def test_a_key_that_only_the_terminal_has_is_named_and_not_copied(machine: Machine) -> None:
    _, notes = machine.install()
    assert any(note.startswith("OPENAI_API_KEY is set in this terminal") for note in notes)
    assert "sk-secret" not in "".join(notes) + machine.unit.read_text() + machine.keys.read_text()


def test_a_key_that_the_service_has_is_not_named(machine: Machine) -> None:
    machine.install()
    machine.keys.write_text("OPENAI_API_KEY=sk-secret\n")
    _, notes = machine.install()
    assert not any("OPENAI_API_KEY" in note for note in notes)


def test_a_gateway_that_does_not_start_is_told_with_its_own_words(machine: Machine) -> None:
    machine.manager.starts_well = lambda: False
    with pytest.raises(Failure, match=r"gateway\.port is 0") as failed:
        machine.install()
    assert "exit code 78" in failed.value.message


def test_a_port_stands_in_the_command_of_the_unit(machine: Machine) -> None:
    machine.install(port="18801")
    assert " gateway --port 18801\n" in machine.unit.read_text()


def test_a_port_that_is_none_is_refused_before_anything_changes(machine: Machine) -> None:
    with pytest.raises(Failure) as refused:
        machine.install(port="many")
    assert refused.value.exit_code == ExitCode.USAGE
    assert not machine.unit.exists()


def test_a_root_is_for_a_program_that_can_be_put_there(machine: Machine) -> None:
    with pytest.raises(Failure, match="was installed by a package manager"):
        machine.install(root="/srv/openclawd")


# --- the command line


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code = main(["gateway", "install", *words, "--json"], {"HOME": "/nowhere", "PATH": "/nowhere"})
    return code, json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize("secret", ["token", "password"])
def test_a_secret_on_the_command_line_would_stand_in_the_unit(
    capsys: pytest.CaptureFixture[str], secret: str
) -> None:
    code = main(["gateway", f"--{secret}", "hush", "install", "--json"], {"HOME": "/nowhere"})
    error = json.loads(capsys.readouterr().out)["error"]
    assert code == ExitCode.USAGE
    assert error["next"].endswith(f"--{secret}-file FILE")


def test_a_person_is_named_for_the_machines_service_only(capsys: pytest.CaptureFixture[str]) -> None:
    code, error = said(capsys, "--as", "ada")
    assert (code, error["message"].endswith("--as goes with --system.")) == (ExitCode.USAGE, True)


def test_a_profile_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["gateway", "install", "--profile", "../x"], {"HOME": "/nowhere"})
    assert code == ExitCode.CONFIG
    assert "letters, digits" in capsys.readouterr().err
