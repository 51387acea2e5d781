"""`openclawd gateway install` up to systemd, for which a double stands: what is refused, asked and said."""

import argparse
import json
import os
import socket
from pathlib import Path
from typing import Any

import attrs
import pytest

from openclawd.cli.failure import Failure
from openclawd.cli.install_program import placed
from openclawd.cli.install_systemd import install
from openclawd.cli.main import main
from openclawd.cli.service import Chosen
from openclawd.daemon.exit_codes import ExitCode
from openclawd.service.surroundings import Surroundings
from openclawd.service.systemctl import Systemctl
from openclawd.service.systemd_service import SystemdService, user_service
from openclawd.slots.layout import Installation
from tests.support.fake_systemctl import FakeSystemctl
from tests.support.gateway_process import free_port

AROUND = Surroundings(
    manager="systemd",
    init="systemd",
    wsl=False,
    container=None,
    user="ada",
    uid=1000,
    behind_sudo=None,
    user_manager=True,
    lingers=True,
)


@attrs.frozen(eq=False)
class Machine:
    """A home, a manager, and the command with what it said."""

    home: Path
    manager: FakeSystemctl
    around: Surroundings = AROUND

    @property
    def unit(self) -> Path:
        return self.manager.folder / "openclawd.service"

    @property
    def keys(self) -> Path:
        return self.home / ".config" / "openclawd" / "environment"

    def listens_at(self, port: int) -> None:
        """By its config."""
        (self.home / ".openclaw").mkdir(exist_ok=True)
        (self.home / ".openclaw" / "openclaw.json").write_text(f"{{ gateway: {{ port: {port} }} }}")

    def install(self, **asked: object) -> tuple[dict[str, Any], list[str]]:
        """The facts and the notes. Raises Failure."""
        usual: dict[str, Any] = {
            **dict.fromkeys(("root", "run_as", "port", "token_file", "password_file", "linger")),
            **dict.fromkeys(("yes", "dry_run", "json"), False),
        }
        systemctl = Systemctl(of_user=True, ask=self.manager, wait=self.manager)
        service = SystemdService("openclawd", self.unit, systemctl, self.manager)
        environ = {"HOME": str(self.home), "OPENAI_API_KEY": "sk-secret"}
        chosen = Chosen(service, False, None, self.around, environ)
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
    made = Machine(tmp_path, FakeSystemctl(folder))
    made.listens_at(free_port())
    return made


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


def test_what_the_service_was_installed_with_stays_where_it_is_not_named(machine: Machine) -> None:
    machine.install(port=str(free_port()), token_file="/srv/token")
    before = machine.unit.read_text()
    facts, _ = machine.install()
    assert "(as it was)" in facts["unit"]
    assert machine.unit.read_text() == before


def test_one_secret_takes_the_place_of_the_other(machine: Machine) -> None:
    machine.install(token_file="/srv/token")
    machine.install(password_file="/srv/password")
    text = machine.unit.read_text()
    assert ("LoadCredential=gateway-password:/srv/password" in text, "gateway-token" in text) == (True, False)


def test_a_port_that_is_none_is_refused_before_anything_changes(machine: Machine) -> None:
    with pytest.raises(Failure) as refused:
        machine.install(port="many")
    assert refused.value.exit_code == ExitCode.USAGE
    assert not machine.unit.exists()


def test_a_port_that_another_program_has_is_told_before_anything_changes(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        machine.listens_at(port)
        with pytest.raises(Failure, match=f"Port {port} on 127.0.0.1 is in use") as refused:
            machine.install()
    assert f" --port {port + 1}" in str(refused.value.cure)
    assert (machine.unit.exists(), machine.manager.verbs) == (False, [])


def test_a_port_of_the_flag_counts_and_not_the_configs(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        machine.listens_at(taken.getsockname()[1])
        machine.install(port=str(free_port()))
    assert machine.unit.exists()


def test_a_service_that_runs_has_its_port_itself(machine: Machine) -> None:
    machine.install()
    with socket.create_server(("127.0.0.1", 0)) as its_own:
        machine.listens_at(its_own.getsockname()[1])
        facts, _ = machine.install()
    assert facts["service"].startswith("runs as it did")


def test_the_way_to_the_chat_is_told(machine: Machine) -> None:
    facts, _ = machine.install()
    assert facts["chat"].endswith(" dashboard")


def test_root_hears_that_the_gateway_may_do_all_that_root_may(machine: Machine) -> None:
    _, notes = attrs.evolve(machine, around=attrs.evolve(AROUND, uid=0, user="root")).install()
    assert any(note.endswith("uninstall && openclawd gateway install --system") for note in notes)
    _, notes = machine.install()
    assert not any("--system" in note for note in notes)


def test_a_root_is_for_a_program_that_can_be_put_there(machine: Machine) -> None:
    with pytest.raises(Failure, match="was installed by a package manager"):
        machine.install(root="/srv/openclawd")


# --- the program


def placed_in(root: Path) -> Failure:
    chosen = Chosen(user_service(None, root), False, None, AROUND, {"HOME": str(root)})
    with pytest.raises(Failure) as refused:
        placed(Installation(root), chosen, {}, lambda *_: None)
    return refused.value


def test_a_place_that_cannot_be_written_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = placed_in(tmp_path / "file" / "openclawd")
    assert refused.message.endswith("file/openclawd: Not a directory.")
    assert str(refused.cure).startswith("ls -ld ")


def test_a_place_where_nothing_is_executed_is_changed_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = os.statvfs("/")
    flags = [*mounted[:8], mounted.f_flag | os.ST_NOEXEC, *mounted[9:]]
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(flags))
    refused = placed_in(tmp_path / "openclawd")
    assert "noexec" in refused.message
    assert str(refused.cure).endswith(" --root DIR")


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
