"""The files of an installation: links, trials, outcomes, progress."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.slots.layout import Installation, installation_of, is_version
from openclawd.slots.progress import (
    Phase,
    Progress,
    ProgressFile,
    UpdateUnderWay,
    read_progress,
    update_lock,
    updater_pid,
)
from openclawd.slots.trial import (
    Outcome,
    Trial,
    read_failed,
    read_last,
    trial_of,
    write_failed,
    write_outcome,
)
from tests.slots.installed import NEW, OLD, add_version, installation, trial

VERSIONS = st.from_regex(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,20}", fullmatch=True)
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
KEYS = st.from_regex(r"[A-Z]{1,8}", fullmatch=True)


@given(
    st.lists(VERSIONS, min_size=2, max_size=2, unique=True),
    st.integers(0, 9),
    st.integers(0, 10**10),
    st.integers(0, 10**10),
    st.dictionaries(KEYS, WORDS, max_size=3),
)
def test_a_trial_is_read_as_it_was_written(
    versions: list[str], starts: int, began_s: int, window_s: int, others: dict[str, str]
) -> None:
    written = Trial(versions[0], versions[1], starts, began_s, window_s, others=others)
    assert trial_of(written.text()) == written


@given(st.text())
def test_no_text_breaks_whoever_reads_a_trial(text: str) -> None:
    found = trial_of(text)
    assert found is None or (is_version(found.from_version) and is_version(found.to_version))


@pytest.mark.parametrize("name", ["", ".", "..", ".0.7.0-abc", "a/b", "a b", "-x", "a\n", "x" * 65])
def test_what_is_no_name_of_a_folder_is_no_version(name: str) -> None:
    assert not is_version(name)


def test_the_current_version_changes_in_one_step(tmp_path: Path) -> None:
    found = installation(tmp_path)
    assert found.current_version() == OLD
    found.swap(NEW)
    assert found.current_version() == NEW
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_what_could_not_run_does_not_become_the_current_version(tmp_path: Path) -> None:
    found = installation(tmp_path)
    found.program(NEW).chmod(0o644)
    with pytest.raises(FileNotFoundError):
        found.swap(NEW)
    assert found.current_version() == OLD


@pytest.mark.parametrize("target", ["/etc", "versions/../../x", "versions", "elsewhere/0.7.0"])
def test_a_link_that_leads_out_of_the_slots_names_no_version(tmp_path: Path, target: str) -> None:
    found = installation(tmp_path)
    found.current.unlink()
    found.current.symlink_to(target)
    assert found.current_version() is None


def test_a_program_knows_its_installation_by_whatever_link_it_is_named(tmp_path: Path) -> None:
    found = installation(tmp_path.resolve() / "lib")
    command = tmp_path / "openclawd"
    command.symlink_to(found.entry)
    assert installation_of(command) == found
    assert installation_of(Path(os.__file__)) is None


def test_slots_that_are_not_complete_are_none(tmp_path: Path) -> None:
    found = installation(tmp_path)
    (found.versions / ".0.8.0-1234").mkdir()
    (found.versions / "0.9.0").mkdir()
    # A shell would take an empty program for a script that is well, and a folder can be "executed".
    add_version(found, "0.9.1")
    found.program("0.9.1").write_text("")
    (found.versions / "0.9.2" / "openclawd").mkdir(parents=True)
    assert found.slots() == [OLD, NEW]


def test_the_oldest_slots_go_and_those_that_are_needed_stay(tmp_path: Path) -> None:
    found = installation(tmp_path, "1", "1", "2", "3", "4")
    for age, version in enumerate(("1", "2", "3", "4")):
        os.utime(found.slot(version), (1000 + age, 1000 + age))
    found.set_previous("2")
    assert found.prune(3) == ["3"]
    assert found.slots() == ["1", "2", "4"]
    assert found.prune(0, also=["4"]) == []


def test_what_a_crash_left_half_made_or_half_removed_goes_with_the_oldest_slots(tmp_path: Path) -> None:
    found = installation(tmp_path)
    for left in (".unpacking-0.8.0-12ab", ".0.8.0-12ab", ".0.1.0-12ab-gone"):
        (found.versions / left / "_internal").mkdir(parents=True)
    assert found.prune(3) == []
    assert sorted(each.name for each in found.versions.iterdir()) == [OLD, NEW]


def test_the_latest_outcome_counts_whoever_wrote_it(tmp_path: Path) -> None:
    found = installation(tmp_path)
    assert read_last(found) is None
    confirmed = Outcome(OLD, NEW, "confirmed", 1_000, "updater")
    write_outcome(found, confirmed)
    assert read_last(found) == confirmed
    write_failed(found, trial(), "it\nended", "gateway")
    last = read_last(found)
    assert last == read_failed(found)
    assert last is not None
    assert (last.end, last.reason, last.by) == ("rolled-back", "it ended", "gateway")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"outcome": "well"}', '{"outcome": "failed"}'])
def test_an_outcome_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    found = installation(tmp_path)
    found.last.write_text(text)
    assert read_last(found) is None


def test_progress_is_told_at_each_phase_and_not_a_thousand_times_a_second(tmp_path: Path) -> None:
    found = installation(tmp_path)
    file = ProgressFile(found)
    file.tell(Progress(Phase.DOWNLOADING, OLD, NEW, 1, 9))
    file.tell(Progress(Phase.DOWNLOADING, OLD, NEW, 2, 9))
    told = read_progress(found)
    assert told is not None
    assert (told.phase, told.done_bytes, told.pid) == (Phase.DOWNLOADING, 1, os.getpid())
    file.tell(Progress(Phase.FAILED, OLD, NEW, problem="no room"))
    told = read_progress(found)
    assert told is not None
    assert (told.phase, told.problem, told.phase.is_end) == (Phase.FAILED, "no room", True)


def test_progress_that_makes_no_sense_is_none(tmp_path: Path) -> None:
    found = installation(tmp_path)
    found.progress.write_text('{"phase": "dreaming", "pid": 1, "atMs": 1}')
    assert read_progress(found) is None


def test_one_updates_at_a_time_and_others_learn_who(tmp_path: Path) -> None:
    found = Installation(tmp_path)
    assert updater_pid(found) is None
    with update_lock(found):
        assert updater_pid(found) == os.getpid()
        with pytest.raises(UpdateUnderWay) as refused, update_lock(found):
            pass
        assert refused.value.pid == os.getpid()
    assert updater_pid(found) is None
