"""The one file that unpacks itself, and the slot that rides inside it."""

import sys
from pathlib import Path

import pytest

from openclawd.daemon.image import running_image
from openclawd.service.self_unpack import place
from openclawd.slots.carried import carried, unpacked
from openclawd.slots.layout import Installation


@pytest.fixture
def one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As if this process were started from the one file; where it unpacked itself to."""
    inside = tmp_path / "unpacked"
    (inside / "slot" / "licences" / "trio").mkdir(parents=True)
    (inside / "openclawd").mkdir()
    for name in ("libpython.so", "openclawd/main.pyc", "slot/LICENSE", "slot/licences/trio/LICENSE"):
        (inside / name).write_text(name)
        (inside / name).chmod(0o700)
    program = inside / "slot" / "openclawd"
    program.write_text("program")
    program.chmod(0o700)
    (inside / "slot" / "_internal").symlink_to("..")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "_MEIPASS", str(inside), raising=False)
    monkeypatch.setattr(sys, "argv", ["./openclawd-1.0-linux-x86_64", "gateway", "--port", "1"])
    return inside


def modes(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_mode & 0o777 for path in files}


def test_a_source_tree_carries_nothing() -> None:
    assert (unpacked(), carried()) == (None, None)


def test_a_folder_that_was_built_carries_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_MEIPASS", str(tmp_path), raising=False)
    assert (unpacked(), carried()) == (None, None)


def test_a_restart_becomes_the_program_that_it_carries(one_file: Path) -> None:
    image = running_image()
    assert image.path == f"{one_file}/slot/openclawd"
    assert image.words[1:] == ("gateway", "--port", "1")


def test_so_does_every_restart_after_that(one_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_MEIPASS", str(one_file / "slot" / "_internal"))
    assert running_image().path == f"{one_file}/slot/openclawd"


@pytest.mark.usefixtures("one_file")
def test_installed_it_is_the_folder_that_was_built(tmp_path: Path) -> None:
    installation = Installation(tmp_path / "root")
    version, is_new = place(installation)
    assert is_new
    assert modes(installation.slot(version)) == {
        "openclawd": 0o755,
        "LICENSE": 0o644,
        "licences/trio/LICENSE": 0o644,
        "_internal/libpython.so": 0o644,
        "_internal/openclawd/main.pyc": 0o644,
    }
    assert place(installation) == (version, False)
