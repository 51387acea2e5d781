"""Compiled files forget where the machine that built them has its libraries (packaging/search_path.py)."""

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def compiler() -> str:
    found = shutil.which("gcc") or shutil.which("cc")
    if found is None or sys.platform != "linux":
        pytest.skip("no compiler for Linux here (Debian: sudo apt-get install gcc)")
    return found


def built(compiler: str, folder: Path, path: str, *, old: bool = False) -> Path:
    """A library that looks in `path`."""
    library = folder / "library.so"
    tags = "--disable-new-dtags" if old else "--enable-new-dtags"
    command = (compiler, "-shared", "-x", "c", "-", "-o", library, f"-Wl,{tags},-rpath,{path}")
    subprocess.run(command, input=b"int answer(void) { return 42; }", check=True)
    return library


def search_path(library: Path) -> list[str]:
    shown = subprocess.run(("objdump", "-p", library), capture_output=True, text=True, check=True).stdout
    return [line.split()[1] for line in shown.splitlines() if line.strip().startswith(("RPATH", "RUNPATH"))]


def clean(folder: Path) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-P", ROOT / "packaging" / "search_path.py", folder)
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("old", [False, True])
def test_a_folder_of_the_building_machine_is_taken_out(compiler: str, tmp_path: Path, *, old: bool) -> None:
    library = built(compiler, tmp_path, "/home/someone/lib", old=old)
    assert search_path(library) == ["/home/someone/lib"]
    assert clean(tmp_path).returncode == 0
    assert search_path(library) == []
    # It can be loaded as before.
    ask = "import ctypes, sys; sys.exit(ctypes.CDLL(sys.argv[1]).answer())"
    assert subprocess.run((sys.executable, "-c", ask, library), check=False).returncode == 42


def test_a_folder_beside_the_file_stays(compiler: str, tmp_path: Path) -> None:
    library = built(compiler, tmp_path, "$ORIGIN/../lib")
    before = library.read_bytes()
    assert clean(tmp_path).returncode == 0
    assert library.read_bytes() == before


def test_both_at_once_are_nothing_that_it_could_do_right(compiler: str, tmp_path: Path) -> None:
    built(compiler, tmp_path, "$ORIGIN:/home/someone/lib")
    refused = clean(tmp_path)
    assert refused.returncode != 0
    assert "/home/someone/lib" in refused.stderr


def test_what_is_not_of_this_kind_is_left_alone(tmp_path: Path) -> None:
    contents = {
        "text": b"#!/bin/sh\n",
        "empty": b"",
        "small machine": b"\x7fELF\x01\x01" + struct.pack("<Q", 0),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    assert clean(tmp_path).returncode == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == contents
