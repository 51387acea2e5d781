"""What is told of an installation's updates, to programs and people alike."""

import os
from pathlib import Path

from openclawd.slots.document import document_of
from openclawd.slots.progress import Phase, Progress, ProgressFile, update_lock
from openclawd.slots.trial import Outcome, write_outcome, write_trial
from tests.slots.installed import NEW, OLD, installation, trial


def test_of_an_installation_that_never_was_updated_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert document_of(installation(tmp_path)) == {}


def test_how_the_last_one_ended_and_what_there_is_to_go_back_to(tmp_path: Path) -> None:
    found = installation(tmp_path, NEW)
    found.set_previous(OLD)
    write_outcome(found, Outcome(OLD, NEW, "confirmed", 5, "updater"))
    last = {"from": OLD, "to": NEW, "outcome": "confirmed", "atMs": 5, "by": "updater"}
    assert document_of(found) == {"previous": OLD, "last": last}


def test_a_trial_is_told_until_its_gateway_has_left_its_word_that_it_is_well(tmp_path: Path) -> None:
    found = installation(tmp_path, NEW)
    under_way = trial(word=str(tmp_path / "word"))
    write_trial(found, under_way)
    told = {"from": OLD, "to": NEW, "beganMs": under_way.began_s * 1000, "windowMs": 30_000}
    assert document_of(found) == {"trial": told}
    (tmp_path / "word").write_text(f"{under_way.word_of}\n")
    os.utime(tmp_path / "word", (7, 7))
    last = {"from": OLD, "to": NEW, "outcome": "confirmed", "atMs": 7000, "by": "gateway"}
    assert document_of(found) == {"last": last}


def test_how_far_it_is_is_told_while_its_updater_lives(tmp_path: Path) -> None:
    found = installation(tmp_path)
    with update_lock(found):
        ProgressFile(found).tell(Progress(Phase.DOWNLOADING, OLD, NEW, 5, 20))
        assert document_of(found)["progress"]["phase"] == "downloading"
    assert document_of(found) == {}
