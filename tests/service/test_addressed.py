"""Whom root means by `openclawd status`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from openclawd.config.paths import resolve_paths
from openclawd.daemon.lock import state_lock
from openclawd.service.addressed import addressed, settings_of_system_unit, user_meant
from openclawd.service.plist import JobSpec, plist_text
from openclawd.service.unit import ServiceSpec, service_text

GUARD = ("/opt/openclawd/guard",)


def installed(root: Path, spec: ServiceSpec, folder: str = "etc/systemd/system") -> Path:
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / folder / f"{spec.name}.service").write_text(service_text(spec))
    return root


def test_the_state_of_the_systems_service_stands_in_its_unit(tmp_path: Path) -> None:
    root = installed(tmp_path, ServiceSpec(program=GUARD, system=True))
    assert settings_of_system_unit(None, root) == (("OPENCLAW_STATE_DIR", "/var/lib/openclawd"),)


def test_each_profile_has_its_own(tmp_path: Path) -> None:
    root = installed(tmp_path, ServiceSpec(program=GUARD, system=True, profile="work"))
    assert settings_of_system_unit("work", root) == (("OPENCLAW_STATE_DIR", "/var/lib/openclawd-work"),)
    assert settings_of_system_unit(None, root) == ()


def test_a_packages_unit_counts_too(tmp_path: Path) -> None:
    spec = ServiceSpec(program=("/usr/bin/openclawd",), system=True, guarded=False)
    root = installed(tmp_path, spec, "usr/lib/systemd/system")
    assert settings_of_system_unit(None, root) == (("OPENCLAW_STATE_DIR", "/var/lib/openclawd"),)


def test_a_persons_gateway_has_its_state_in_the_home(tmp_path: Path) -> None:
    root = installed(tmp_path, ServiceSpec(program=GUARD, system=True, user="root"))
    assert settings_of_system_unit(None, root) == (("OPENCLAW_HOME", "/root"),)


@pytest.mark.skipif(os.geteuid() != 0, reason="of root")
def test_root_without_a_gateway_means_the_systems(tmp_path: Path) -> None:
    root = installed(tmp_path / "machine", ServiceSpec(program=GUARD, system=True))
    found = addressed({"HOME": str(tmp_path)}, root)
    assert found["OPENCLAW_STATE_DIR"] == "/var/lib/openclawd"


@pytest.mark.skipif(os.geteuid() != 0, reason="of root")
def test_root_with_a_gateway_of_its_own_means_that(tmp_path: Path) -> None:
    root = installed(tmp_path / "machine", ServiceSpec(program=GUARD, system=True))
    unit = tmp_path / ".config" / "systemd" / "user" / "openclawd.service"
    unit.parent.mkdir(parents=True)
    unit.touch()
    assert addressed({"HOME": str(tmp_path)}, root) == {"HOME": str(tmp_path)}


@pytest.mark.skipif(os.geteuid() != 0, reason="of root")
def test_root_whose_own_gateway_runs_means_that_and_not_one_that_it_tried_once(tmp_path: Path) -> None:
    root = installed(tmp_path / "machine", ServiceSpec(program=GUARD, system=True))
    own = resolve_paths({"HOME": str(tmp_path)})
    own.own_dir.mkdir(parents=True)
    with state_lock(own.lock_file, now_ms=0):
        assert "OPENCLAW_STATE_DIR" not in addressed({"HOME": str(tmp_path)}, root)
    assert addressed({"HOME": str(tmp_path)}, root)["OPENCLAW_STATE_DIR"] == "/var/lib/openclawd"


def test_who_says_where_the_state_is_means_that(tmp_path: Path) -> None:
    root = installed(tmp_path, ServiceSpec(program=GUARD, system=True))
    environ = {"HOME": str(tmp_path), "OPENCLAW_STATE_DIR": "/srv/other"}
    assert addressed(environ, root) == environ


def test_the_user_of_the_systems_service_is_known_where_its_state_is_meant(tmp_path: Path) -> None:
    root = installed(tmp_path, ServiceSpec(program=GUARD, system=True))
    assert user_meant({"OPENCLAW_STATE_DIR": "/var/lib/openclawd"}, root) == "openclawd"
    assert user_meant({"OPENCLAW_STATE_DIR": "/srv/other"}, root) is None
    assert user_meant({"OPENCLAW_STATE_DIR": "/var/lib/openclawd"}, tmp_path / "other") is None


def a_job_of_the_machine(root: Path, *, guarded: bool) -> Path:
    spec = JobSpec(("/opt/openclawd/guard", "gateway"), "/x.log", user="root", guarded=guarded)
    file = root / "Library" / "LaunchDaemons" / spec.file_name
    file.parent.mkdir(parents=True)
    file.write_text(plist_text(spec))
    return root


@pytest.mark.parametrize("guarded", [True, False])
def test_a_job_of_launchd_has_its_state_in_the_home_of_its_person(tmp_path: Path, guarded: bool) -> None:
    root = a_job_of_the_machine(tmp_path, guarded=guarded)
    assert settings_of_system_unit(None, root) == (("OPENCLAW_HOME", "/root"),)
    assert settings_of_system_unit("work", root) == ()
    assert user_meant({"OPENCLAW_HOME": "/root"}, root) == "root"


@pytest.mark.skipif(os.geteuid() != 0, reason="of root")
def test_what_the_guard_of_such_a_job_starts_as_root_is_about_its_person(tmp_path: Path) -> None:
    found = addressed({"HOME": str(tmp_path), "OPENCLAWD_USER": "root"}, tmp_path)
    assert found["OPENCLAW_HOME"] == "/root"


def test_every_command_of_roots_looks_and_loads_nothing_heavy_for_it() -> None:
    heavy = {"plistlib", "difflib", "xml.sax.saxutils", "urllib.request", "subprocess"}
    code = f"import sys, openclawd.service.addressed; print(*{heavy} & {{*sys.modules}})"
    looked = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True)
    assert looked.stdout == "\n"
