"""What a new version is asked before anything is changed: a program says it, here a few lines of shell."""

from pathlib import Path

import pytest

from openclawd.update.examine import examine
from openclawd.update.staged import CannotUpdate, Staged

WELL = """echo '{"ok": true}'"""


def staged(folder: Path, says_version: str, checks: str) -> Staged:
    program = folder / "openclawd"
    program.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then {says_version}; else {checks}; fi\n')
    program.chmod(0o755)
    return Staged("0.7.0", folder)


def refusal(folder: Path, says_version: str, checks: str = WELL) -> CannotUpdate:
    with pytest.raises(CannotUpdate) as caught:
        examine(staged(folder, says_version, checks), {}, folder)
    return caught.value


def test_one_that_is_what_it_should_be_and_could_serve_passes(tmp_path: Path) -> None:
    examine(staged(tmp_path, "echo openclawd 0.7.0 '(abc, 2026-11-23)'", WELL), {}, tmp_path)


def test_one_that_is_another_version_than_was_signed_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, "echo openclawd 0.6.0")
    assert error.reason == f"{tmp_path}/openclawd says that it is 'openclawd 0.6.0', not 0.7.0"
    assert error.cure == f"To have it anew: rm -r {tmp_path}"


def test_one_that_cannot_be_executed_here_says_why_and_how_to_see_it(tmp_path: Path) -> None:
    error = refusal(tmp_path, "echo loading; echo libc.so.6: GLIBC_2.99 not found >&2; exit 1")
    assert error.reason == f"{tmp_path}/openclawd cannot be run here: libc.so.6: GLIBC_2.99 not found"
    assert error.cure == f"{tmp_path}/openclawd --version"


def test_what_is_no_program_is_refused(tmp_path: Path) -> None:
    made = staged(tmp_path, "true", WELL)
    (tmp_path / "openclawd").write_bytes(b"\x7fELF, and no more")
    with pytest.raises(CannotUpdate, match="cannot be run here: Exec format error"):
        examine(made, {}, tmp_path)


def test_what_stands_in_the_way_of_a_start_is_told_in_its_own_words(tmp_path: Path) -> None:
    found = '{"ok": false, "findings": [{"name": "state", "verdict": "failed", "said": "it is damaged"}]}'
    error = refusal(tmp_path, "echo openclawd 0.7.0", f"echo '{found}'; exit 78")
    assert error.reason == "0.7.0 could not serve here: state: it is damaged"
    assert error.cure == f"{tmp_path}/openclawd gateway check"


def test_one_that_ends_well_without_a_word_is_refused(tmp_path: Path) -> None:
    assert "says nothing to `gateway check`" in refusal(tmp_path, "echo openclawd 0.7.0", "true").reason
