"""Whose words stand in a unit file, and what would be lost."""

from pathlib import Path

import pytest

from openclawd.service.unit_file import UnitFile


@pytest.fixture
def file(tmp_path: Path) -> UnitFile:
    return UnitFile(tmp_path / "systemd" / "user" / "openclawd.service", "[Service]\nRestart=on-failure\n")


def test_what_was_never_written_is_absent(file: UnitFile) -> None:
    assert file.state() == "absent"


def test_what_was_written_is_the_same_and_would_change_nothing(file: UnitFile) -> None:
    file.write()
    assert (file.state(), file.diff()) == ("same", "")


def test_what_another_version_wrote_is_ours_to_replace(file: UnitFile) -> None:
    UnitFile(file.path, "[Service]\nRestart=always\n").write()
    assert file.state() == "ours"


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text + "# mine\n",
        lambda text: text.replace("on-failure", "no"),
        lambda _: "[Service]\nExecStart=/bin/mine\n",
        lambda _: "",
    ],
    ids=["added", "changed", "by hand", "emptied"],
)
def test_what_somebody_edited_is_theirs(file: UnitFile, edit: object) -> None:
    file.write()
    file.path.write_text(edit(file.path.read_text()))  # type: ignore[operator]
    assert file.state() == "yours"


def test_the_diff_shows_what_would_be_lost(file: UnitFile) -> None:
    file.write()
    file.path.write_text(file.path.read_text().replace("on-failure", "no"))
    assert "-Restart=no\n" in file.diff()
    assert "+Restart=on-failure\n" in file.diff()


def test_the_text_as_a_package_has_it_is_the_same(file: UnitFile) -> None:
    file.path.parent.mkdir(parents=True)
    file.path.write_text(file.text)
    assert file.state() == "same"


def test_a_mark_without_its_words_is_nobodys(file: UnitFile) -> None:
    assert not file.is_ours("# Written by `openclawd gateway install`: 0123456789abcdef\n")


def test_a_file_that_is_removed_is_gone_and_may_be_removed_again(file: UnitFile) -> None:
    file.write()
    file.remove()
    file.remove()
    assert file.state() == "absent"
