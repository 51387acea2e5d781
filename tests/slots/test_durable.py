"""The small files of an installation, for whoever runs it."""

import os
import stat
from pathlib import Path

from openclawd.slots.durable import for_all, write_durably


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_for_everybody_to_read_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_durably(tmp_path / "last.json", b"{}")
    finally:
        os.umask(before)
    assert mode(tmp_path / "last.json") == 0o644


def test_who_installs_under_a_closed_umask_makes_folders_that_are_open(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        for_all()
        (tmp_path / "root").mkdir()
    finally:
        os.umask(before)
    assert mode(tmp_path / "root") == 0o755
