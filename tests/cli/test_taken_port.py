"""Who has the port that a gateway could not have."""

from pathlib import Path

import pytest

from openclawd.cli.taken_port import taken_port
from openclawd.config.paths import Paths, resolve_paths

# 127.0.0.1:18789, listening, inode 4242.
ROW = "0: 0100007F:4965 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4242 1"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return resolve_paths({"HOME": str(tmp_path)})


def kernel(folder: Path, comm: str, group: str) -> Path:
    """What /proc has of a process 9 that listens there."""
    (folder / "net").mkdir()
    (folder / "net/tcp").write_text(f"  sl\n{ROW}\n")
    (folder / "9/fd").mkdir(parents=True)
    (folder / "9/fd/3").symlink_to("socket:[4242]")
    (folder / "9/comm").write_text(f"{comm}\n")
    (folder / "9/cgroup").write_text(f"0::{group}\n")
    return folder


def test_it_is_named_with_its_service(tmp_path: Path, paths: Paths) -> None:
    proc = kernel(tmp_path, "nginx", "/system.slice/nginx.service")
    assert taken_port(paths, {}, proc) == (18789, "nginx (pid 9) of nginx.service")


def test_who_is_no_service_has_a_name_and_a_process(tmp_path: Path, paths: Paths) -> None:
    proc = kernel(tmp_path, "nc", "/user.slice/session-3.scope")
    assert taken_port(paths, {}, proc) == (18789, "nc (pid 9)")


def test_systemd_keeps_it_for_us(tmp_path: Path, paths: Paths) -> None:
    assert taken_port(paths, {}, kernel(tmp_path, "systemd", "/init.scope")) is None


def test_of_a_config_that_cannot_be_read_no_port_is_known(tmp_path: Path, paths: Paths) -> None:
    paths.state_dir.mkdir()
    paths.config_file.write_text("{")
    assert taken_port(paths, {}, kernel(tmp_path, "nc", "/")) is None
