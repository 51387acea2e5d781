"""The refusal to start without a place to write to, and the one command that mends it."""

import errno
import os
from pathlib import Path

import pytest

from openclawd.daemon.refusal import unwritable


def cure(path: Path, number: int) -> str:
    return str(unwritable(path, OSError(number, os.strerror(number)))).partition("\n")[2]


def test_a_state_folder_of_somebody_else_is_given_back(tmp_path: Path) -> None:
    folder = tmp_path / "openclawd"
    folder.mkdir()
    assert cure(folder / "gateway.lock", errno.EACCES).endswith(f": {folder}")
    assert "sudo chown -R " in cure(folder, errno.EACCES)
    assert cure(folder / "logs" / "openclawd.log", errno.EACCES).endswith(f": {folder}")


def test_nobody_is_told_to_take_a_folder_that_may_be_anybodys(tmp_path: Path) -> None:
    assert "chown" not in cure(tmp_path / "openclawd", errno.EACCES)
    assert "OPENCLAW_STATE_DIR=" in cure(Path("/etc/openclawd/gateway.lock"), errno.EACCES)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_nothing_is_looked_at(tmp_path: Path, number: int) -> None:
    assert cure(tmp_path / "gateway.lock", number).endswith(f"df -h {tmp_path}")


@pytest.mark.parametrize("number", [errno.EISDIR, errno.ENOTDIR, errno.EEXIST])
def test_what_lies_in_the_place_of_a_file_is_looked_at(tmp_path: Path, number: int) -> None:
    assert cure(tmp_path / "openclawd" / "gateway.lock", number).endswith("/openclawd/gateway.lock")
