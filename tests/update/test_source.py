"""Every way to install this program has its own command that replaces it."""

import sys
from pathlib import Path

import attrs
import pytest

import openclawd
from openclawd.update.source import Program, running_program, source_of
from tests.update.released import new_installation

FROZEN = Program(Path("/nowhere/openclawd"), Path("/nowhere"), Path("/nowhere/openclawd"), is_frozen=True)
PYTHON = Program(Path("/venv/bin/python"), Path("/venv"), Path("/venv/lib/openclawd"), is_frozen=False)


def test_one_in_an_installation_updates_itself(tmp_path: Path) -> None:
    installation = new_installation(tmp_path / "root", "1.0.0")
    found = source_of(attrs.evolve(FROZEN, executable=installation.entry))
    assert (found.kind, found.installation) == ("installation", installation)
    assert found.command == "openclawd update run"


def test_a_file_that_somebody_downloaded_is_installed_first() -> None:
    found = source_of(FROZEN)
    assert (found.kind, found.command) == ("file", "openclawd gateway install")


def test_a_program_below_usr_that_no_package_has_is_a_file() -> None:
    assert source_of(attrs.evolve(FROZEN, executable=Path("/usr/lib/nowhere/openclawd"))).kind == "file"


@pytest.mark.skipif(not Path("/usr/bin/dpkg-query").exists(), reason="no Debian")
def test_a_program_that_dpkg_put_there_is_a_package() -> None:
    owned = Path("/usr/bin/dpkg-query").resolve()
    found = source_of(attrs.evolve(FROZEN, executable=owned))
    assert found.kind == "deb"
    assert found.command.startswith("sudo apt install ./openclawd_")


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("pipx_metadata.json", "pipx upgrade openclawd"),
        ("uv-receipt.toml", "uv tool upgrade openclawd"),
    ],
)
def test_a_tools_own_environment_is_known_by_its_file(tmp_path: Path, file: str, command: str) -> None:
    (tmp_path / file).write_text("")
    assert source_of(attrs.evolve(PYTHON, prefix=tmp_path)).command == command


def test_modules_that_no_tool_installed_are_a_source_tree(tmp_path: Path) -> None:
    found = source_of(attrs.evolve(PYTHON, package=tmp_path / "a tree" / "openclawd"))
    assert (found.kind, found.command) == ("source", f"git -C '{tmp_path}/a tree' pull")


def test_modules_among_those_of_pip_are_pips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, told = tmp_path / "openclawd", tmp_path / "openclawd-1.0.0.dist-info"
    package.mkdir()
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: openclawd\nVersion: 1.0.0\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found = source_of(attrs.evolve(PYTHON, package=package))
    assert (found.kind, found.command) == (
        "pip",
        "/venv/bin/python -m pip install --upgrade openclawd",
    )


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("pipx_metadata.json", "pipx install --force ./openclawd-VERSION-py3-none-any.whl"),
        ("uv-receipt.toml", "uv tool install --force ./openclawd-VERSION-py3-none-any.whl"),
        ("none", "/venv/bin/python -m pip install --upgrade ./openclawd-VERSION-py3-none-any.whl"),
    ],
)
def test_what_came_as_a_file_is_not_looked_for_under_its_name_in_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, command: str
) -> None:
    package, told = tmp_path / "openclawd", tmp_path / "openclawd-1.0.0.dist-info"
    package.mkdir()
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: openclawd\nVersion: 1.0.0\n")
    (told / "direct_url.json").write_text('{"url": "file:///x.whl", "archive_info": {}}')
    (tmp_path / file).write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert source_of(attrs.evolve(PYTHON, package=package, prefix=tmp_path)).command == command


def test_a_tree_that_pip_only_points_to_is_a_source_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, told = tmp_path / "openclawd", tmp_path / "openclawd-1.0.0.dist-info"
    package.mkdir()
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: openclawd\nVersion: 1.0.0\n")
    (told / "direct_url.json").write_text('{"url": "file:///x", "dir_info": {"editable": true}}')
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert source_of(attrs.evolve(PYTHON, package=package)).kind == "source"


def test_this_process_knows_where_its_modules_lie() -> None:
    assert running_program().package == Path(openclawd.__file__).resolve().parent
