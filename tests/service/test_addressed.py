"""Whom root means by `openclawd status`."""

import os
from pathlib import Path

import pytest

from openclawd.service.addressed import addressed, settings_of_system_unit
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
    (tmp_path / ".openclaw" / "openclawd").mkdir(parents=True)
    assert addressed({"HOME": str(tmp_path)}, root) == {"HOME": str(tmp_path)}


def test_who_says_where_the_state_is_means_that(tmp_path: Path) -> None:
    root = installed(tmp_path, ServiceSpec(program=GUARD, system=True))
    environ = {"HOME": str(tmp_path), "OPENCLAW_STATE_DIR": "/srv/other"}
    assert addressed(environ, root) == environ
