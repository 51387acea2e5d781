"""Who listens on a port, from what the kernel tells."""

from pathlib import Path

import pytest

from openclawd.daemon.port_holder import Holder, port_holder

# 127.0.0.1:18789, listening, inode 4242.
ROW = "0: 0100007F:4965 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4242 1"


def process(proc: Path, pid: int, comm: str) -> None:
    (proc / f"{pid}/fd").mkdir(parents=True)
    (proc / f"{pid}/fd/3").symlink_to("socket:[4242]")
    (proc / f"{pid}/comm").write_text(f"{comm}\n")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text(f"  sl\n{ROW}\n")
    return tmp_path


@pytest.mark.parametrize(("gateway", "manager"), [(7, 9), (9, 7)])
def test_who_serves_is_named_and_not_systemd_which_keeps_a_copy(
    proc: Path, gateway: int, manager: int
) -> None:
    process(proc, manager, "systemd")
    process(proc, gateway, "openclawd")
    assert str(port_holder(18789, proc)) == f"openclawd (pid {gateway})"


def test_systemd_is_named_where_nobody_else_listens(proc: Path) -> None:
    process(proc, 1, "systemd")
    assert port_holder(18789, proc) == Holder("systemd", 1)


def test_of_another_port_nobody_is_named(proc: Path) -> None:
    process(proc, 7, "node")
    assert port_holder(18790, proc) is None
