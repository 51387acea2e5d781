"""Which service is the one of a state directory."""

from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from openclawd.config.paths import Paths, resolve_paths
from openclawd.service.found import find_service
from openclawd.service.standing import Condition, Standing
from openclawd.service.tool import Told

HOME = {"HOME": "/home/ada"}
UNIT = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled"}


@attrs.define
class Machine:
    """A root folder with what the kernel tells, and the units of its managers."""

    root: Path
    units: dict[tuple[str, bool], dict[str, str]] = attrs.Factory(dict)

    def ask(self, words: Sequence[str]) -> Told:
        name = next(word for word in words if word.endswith(".service"))
        shown = self.units.get((name, "--user" in words), {"LoadState": "not-found"})
        return Told(0, "".join(f"{key}={value}\n" for key, value in {"Id": name, **shown}.items()))

    def has(self, name: str = "openclawd.service", *, of_user: bool = True, **more: str) -> None:
        self.units[name, of_user] = UNIT | more

    def runs(self, pid: int, group: str) -> None:
        folder = self.root / "proc" / str(pid)
        folder.mkdir(parents=True)
        (folder / "cgroup").write_text(f"0::{group}\n")

    def find(
        self, environ: dict[str, str] = HOME, pid: int | None = None, state: str | None = None
    ) -> Standing | None:
        paths = resolve_paths(environ)
        if state is not None:
            paths = Paths(Path(state), Path(state) / "openclaw.json")
        return find_service(paths, environ, pid, self.ask, self.root)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    return Machine(tmp_path)


def test_it_is_the_unit_that_has_the_process_whatever_its_name(machine: Machine) -> None:
    machine.has("my-gateway.service", of_user=False, MainPID="77")
    machine.has(MainPID="5")
    machine.runs(77, "/system.slice/my-gateway.service")
    found = machine.find(pid=77)
    assert found is not None
    assert (found.name, found.of_user) == ("my-gateway.service", False)


def test_a_gateway_in_a_terminal_does_not_hide_the_service_of_its_state(machine: Machine) -> None:
    machine.has(MainPID="0", ActiveState="activating", SubState="auto-restart")
    machine.runs(77, "/user.slice/session-3.scope")
    found = machine.find(pid=77)
    assert found is not None
    assert found.pid is None


def test_a_user_s_own_service_goes_before_the_machine_s(machine: Machine) -> None:
    machine.has(of_user=False)
    machine.has()
    found = machine.find()
    assert found is not None
    assert found.of_user


def test_each_profile_has_a_unit_of_its_own(machine: Machine) -> None:
    machine.has("openclawd-work.service", Environment="OPENCLAW_PROFILE=work")
    assert machine.find() is None
    found = machine.find(HOME | {"OPENCLAW_PROFILE": "work"})
    assert found is not None
    assert found.name == "openclawd-work.service"


def test_who_has_no_gateway_of_their_own_means_the_machine_s(machine: Machine) -> None:
    machine.has(of_user=False, Environment="OPENCLAW_STATE_DIR=/var/lib/openclawd", User="openclawd")
    assert machine.find() is not None
    assert machine.find(state="/var/lib/openclawd") is not None


def test_who_says_where_the_state_is_means_nobody_else_s(machine: Machine) -> None:
    machine.has(of_user=False, Environment="OPENCLAW_STATE_DIR=/var/lib/openclawd")
    machine.has()
    assert machine.find(HOME | {"OPENCLAW_STATE_DIR": "/elsewhere"}) is None


def test_without_systemd_there_is_nothing_to_find(tmp_path: Path) -> None:
    assert Machine(tmp_path).find() is None


def test_a_service_that_a_terminal_runs_in_is_not_the_gateway_s(machine: Machine) -> None:
    machine.has("cron.service", of_user=False, MainPID="9")
    machine.runs(77, "/system.slice/cron.service")
    assert machine.find(pid=77) is None


def test_a_unit_whose_manager_does_not_run_is_found_by_its_file(machine: Machine) -> None:
    units = machine.root / "home/ada/.config/systemd/user"
    (units / "default.target.wants").mkdir(parents=True)
    (units / "openclawd.service").touch()
    (units / "default.target.wants/openclawd.service").symlink_to("../openclawd.service")
    found = machine.find()
    assert found is not None
    assert (found.condition, found.enabled, found.lingers) == (Condition.STOPPED, True, False)
    assert found.wakes is not None
