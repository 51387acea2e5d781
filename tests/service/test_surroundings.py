"""What is said where a service cannot simply be installed."""

import os
import pwd
from pathlib import Path

import attrs
import pytest

from openclawd.service.surroundings import Surroundings, lasting, look, obstacle

DESKTOP = Surroundings(
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


def command(found: Surroundings, *, system: bool = False) -> str:
    advice = obstacle(found, system=system)
    assert advice is not None
    return advice.command


def test_nothing_is_in_the_way_of_a_person_who_is_logged_in() -> None:
    assert obstacle(DESKTOP, system=False) is None


def test_root_alone_installs_a_service_of_the_system() -> None:
    assert command(DESKTOP, system=True) == "sudo openclawd gateway install --system"
    assert obstacle(attrs.evolve(DESKTOP, uid=0, user="root"), system=True) is None


def test_without_a_manager_of_ones_own_lingering_brings_one() -> None:
    assert command(attrs.evolve(DESKTOP, user_manager=False, lingers=False)) == (
        "sudo loginctl enable-linger ada"
    )


def test_a_manager_that_should_be_there_and_is_not_is_started() -> None:
    assert command(attrs.evolve(DESKTOP, user_manager=False)) == "sudo systemctl start user@1000.service"


def test_sudo_without_system_would_be_roots_own_gateway() -> None:
    found = attrs.evolve(DESKTOP, uid=0, user="root", behind_sudo="ada")
    assert command(found).endswith("--system")


def test_wsl_without_systemd_is_told_how_to_have_it() -> None:
    assert "/etc/wsl.conf" in command(attrs.evolve(DESKTOP, manager="none", init="init", wsl=True))


def test_a_container_without_a_manager_keeps_the_gateway_in_the_foreground() -> None:
    found = attrs.evolve(DESKTOP, manager="none", init="tini", container="podman")
    advice = obstacle(found, system=False)
    assert advice is not None
    assert "podman" in advice.text
    assert advice.command.startswith("openclawd gateway ")


def test_a_container_with_systemd_is_a_machine_like_others() -> None:
    assert obstacle(attrs.evolve(DESKTOP, container="lxc"), system=False) is None


def test_another_init_is_told_what_the_gateway_is_to_it() -> None:
    advice = obstacle(attrs.evolve(DESKTOP, manager="none", init="runit"), system=False)
    assert advice is not None
    assert "runit" in advice.text


def test_a_service_that_ends_with_the_log_out_is_told_of_lingering() -> None:
    advice = lasting(attrs.evolve(DESKTOP, lingers=False))
    assert advice is not None
    assert advice.command == "loginctl enable-linger ada"
    assert lasting(DESKTOP) is None


# --- looking


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_bare_root_has_no_manager_at_all(tmp_path: Path) -> None:
    found = look({}, tmp_path)
    assert (found.manager, found.container, found.wsl, found.user_manager) == ("none", None, False, False)


def test_systemd_is_there_when_it_has_booted(tmp_path: Path) -> None:
    (tmp_path / "run" / "systemd" / "system").mkdir(parents=True)
    assert look({}, tmp_path).manager == "systemd"


@pytest.mark.parametrize(
    ("files", "container"),
    [
        ({".dockerenv": ""}, "docker"),
        ({"run/.containerenv": ""}, "podman"),
        ({"run/systemd/container": "lxc\n"}, "lxc"),
        ({"run/systemd/container": "wsl\n"}, None),
    ],
)
def test_containers_are_known_by_what_they_leave(
    tmp_path: Path, files: dict[str, str], container: str | None
) -> None:
    assert look({}, machine(tmp_path, files)).container == container


def test_wsl_is_known_by_its_kernel(tmp_path: Path) -> None:
    release = {"proc/sys/kernel/osrelease": "6.6.87.2-microsoft-standard-WSL2\n"}
    assert look({}, machine(tmp_path, release)).wsl


def test_lingering_is_a_file_of_logind(tmp_path: Path) -> None:
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert look({}, machine(tmp_path, {f"var/lib/systemd/linger/{user}": ""})).lingers


def test_the_runtime_folder_of_another_user_is_not_ones_own(tmp_path: Path) -> None:
    own = f"run/user/{os.geteuid()}"
    root = machine(tmp_path, {f"{own}/systemd/private": "", "run/user/4242/systemd/x": ""})
    if os.geteuid() == 0:
        os.chown(root / "run/user/4242", 4242, 4242)
        assert look({"XDG_RUNTIME_DIR": "/run/user/4242"}, root).user_manager
    assert look({"XDG_RUNTIME_DIR": f"/{own}"}, root).user_manager
    assert look({"XDG_RUNTIME_DIR": "/nowhere"}, root).user_manager


def test_on_macos_root_would_install_a_job_that_never_starts() -> None:
    """launchd starts an agent where its user is logged in at the screen, which root never is."""
    mac = attrs.evolve(DESKTOP, manager="launchd")
    assert obstacle(mac, system=False) is None
    behind_sudo = attrs.evolve(mac, uid=0, user="root", behind_sudo="ada")
    assert command(behind_sudo) == "sudo openclawd gateway install --system"
    assert command(attrs.evolve(behind_sudo, behind_sudo=None)).endswith("install --system --as USER")
    assert obstacle(behind_sudo, system=True) is None
