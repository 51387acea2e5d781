"""The files beside the unit: each step may be repeated, and takes away nothing that is somebody else's."""

import os
import stat
from pathlib import Path

import pytest

from openclawd.service.install import (
    InTheWay,
    NoPrograms,
    credentials,
    is_readable_by_service,
    link_command,
    make_environment_file,
    place_program,
    places,
    written_for_systemd,
)
from openclawd.service.unit import ServiceSpec
from openclawd.slots.layout import Installation
from openclawd.slots.progress import UpdateUnderWay, update_lock

HOME = Path("/home/ada")


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "home" / "lib" / "openclawd")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_installation_that_is_being_updated_is_left_alone(installation: Installation) -> None:
    installation.root.mkdir(parents=True)
    with update_lock(installation), pytest.raises(UpdateUnderWay):
        place_program(installation)
    assert not installation.guard.exists()


def test_a_folder_whose_programs_are_never_executed_is_refused(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = os.statvfs("/")
    flags = [*mounted[:8], mounted.f_flag | os.ST_NOEXEC, *mounted[9:]]
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(flags))
    with pytest.raises(NoPrograms, match="noexec"):
        place_program(installation)
    assert not installation.guard.exists()


def test_the_command_leads_to_whatever_version_is_current(installation: Installation, tmp_path: Path) -> None:
    link = tmp_path / "home" / "bin" / "openclawd"
    assert link_command(link, installation, tmp_path / "downloaded")
    assert link.readlink() == Path("../lib/openclawd/current/openclawd")
    assert not link_command(link, installation, tmp_path / "downloaded")


def test_a_link_of_before_is_replaced(installation: Installation, tmp_path: Path) -> None:
    link = tmp_path / "openclawd"
    link.symlink_to("elsewhere")
    assert link_command(link, installation, tmp_path / "downloaded")
    assert link.readlink().name == "openclawd"


def test_the_file_that_was_downloaded_to_that_place_makes_room(
    installation: Installation, tmp_path: Path
) -> None:
    link = tmp_path / "openclawd"
    link.write_text("this very program")
    assert link_command(link, installation, link)
    assert link.is_symlink()


def test_another_program_of_that_name_stays(installation: Installation, tmp_path: Path) -> None:
    link = tmp_path / "openclawd"
    link.write_text("somebody's own")
    with pytest.raises(InTheWay):
        link_command(link, installation, tmp_path / "downloaded")
    assert link.read_text() == "somebody's own"


def test_the_file_for_keys_is_the_owners_alone_from_its_first_moment(tmp_path: Path) -> None:
    file = tmp_path / "openclawd" / "environment"
    assert make_environment_file(file, "openclawd.service", "systemctl --user restart openclawd")
    assert mode(file) == 0o600
    assert all(line.startswith("#") for line in file.read_text().splitlines())
    assert not make_environment_file(file, "openclawd.service", "")


def test_a_file_for_keys_that_others_could_read_is_closed_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "environment"
    file.write_text("ANTHROPIC_API_KEY=secret\n")
    file.chmod(0o644)
    assert make_environment_file(file, "openclawd.service", "")
    assert (mode(file), file.read_text()) == (0o600, "ANTHROPIC_API_KEY=secret\n")


def test_below_the_home_a_users_unit_fits_every_user() -> None:
    path = HOME / ".local" / "lib" / "openclawd" / "guard"
    assert written_for_systemd(path, HOME, system=False) == "%h/.local/lib/openclawd/guard"
    assert written_for_systemd(path, HOME, system=True) == str(path)
    assert written_for_systemd(Path("/opt/50%/guard"), HOME, system=False) == "/opt/50%%/guard"


def test_the_unit_is_told_where_the_state_is_and_no_secret() -> None:
    environ = {"OPENCLAW_STATE_DIR": "/srv/100%", "OPENCLAW_HOME": " ", "OPENCLAW_GATEWAY_TOKEN": "secret"}
    assert places(environ) == (("OPENCLAW_STATE_DIR", "/srv/100%%"),)


def test_of_secrets_the_unit_knows_the_file() -> None:
    assert credentials({"token": "/etc/token", "password": None}) == (("token", "/etc/token"),)


@pytest.mark.parametrize(
    ("spec", "readable"),
    [
        (ServiceSpec(program=("/opt/openclawd/guard",), system=True), True),
        (ServiceSpec(program=("/home/ada/venv/bin/openclawd",), system=True, guarded=False), False),
        (ServiceSpec(program=("/home/ada/venv/bin/openclawd",), system=True, user="ada"), True),
        (ServiceSpec(program=("/home/ada/venv/bin/openclawd",)), True),
    ],
)
def test_a_user_of_its_own_cannot_reach_into_a_home(spec: ServiceSpec, *, readable: bool) -> None:
    assert is_readable_by_service(spec) is readable
