"""The same sources give the same binary, whoever builds it, where and when."""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.frozen import ROOT

pytestmark = [
    pytest.mark.binary,
    pytest.mark.skipif(os.environ.get("OPENCLAWD_TEST_FULL") != "1", reason="a minute: scripts/test --full"),
]
# What it is built from.
SOURCES = (".git", "openclawd", "packaging", "scripts", "LICENSE", "pyproject.toml")


def contents(dist: Path, one_file: str) -> Iterator[tuple[str, int, bytes]]:
    """Name, mode and bytes of everything in the folder, and of the one file."""
    for path in sorted([dist / one_file, *(dist / "openclawd").rglob("*")]):
        content = path.read_bytes() if path.is_file() else b""
        yield str(path.relative_to(dist)), stat.S_IMODE(path.stat().st_mode), content


def test_another_folder_another_time_and_another_environment_change_nothing(
    dist: Path, one_file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "somewhere" / "else"
    (other / "build").mkdir(parents=True)
    copied = [ROOT / name for name in SOURCES] + sorted(ROOT.glob("requirements*.lock"))
    subprocess.run(["cp", "-R", *copied, other], check=True)
    subprocess.run(["cp", "-R", ROOT / "build" / "venv", other / "build"], check=True)
    for path in (other / "openclawd").rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    around = os.environ | {
        "TZ": "Asia/Kathmandu",
        "LC_ALL": "C",
        "PYTHONPATH": "/nowhere",
        "USER": "somebody",
    }
    # What it makes is for everybody to read, even where a umask lets nobody else.
    command: list[str | Path] = ["/bin/sh", "-c", 'umask 077; exec "$0"', other / "packaging" / "build"]
    subprocess.run(command, stdin=subprocess.DEVNULL, env=around, check=True)
    ours, theirs = (list(contents(each, one_file.name)) for each in (dist, other / "dist"))
    assert [entry[:2] for entry in ours] == [entry[:2] for entry in theirs]
    assert [mine[0] for mine, yours in zip(ours, theirs, strict=True) if mine != yours] == []
