"""What a gateway does before, in and after its trial."""

import signal
from collections.abc import Generator
from pathlib import Path

import pytest

from openclawd.daemon.on_trial import arm, disarm, on_trial
from openclawd.slots.progress import update_lock
from openclawd.slots.trial import write_trial
from tests.slots.installed import NEW, OLD, installation, trial


@pytest.fixture(autouse=True)
def _no_alarm() -> Generator[None, None, None]:
    yield
    disarm()


def test_the_new_version_knows_that_it_is_on_trial_and_the_old_one_is_not(tmp_path: Path) -> None:
    found = installation(tmp_path, NEW)
    write_trial(found, trial())
    mine = on_trial(found.program(NEW))
    assert mine is not None
    assert mine.trial == trial()
    assert on_trial(found.program(OLD)) is None


def test_without_a_trial_nobody_is_on_it(tmp_path: Path) -> None:
    assert on_trial(installation(tmp_path, NEW).program(NEW)) is None


def test_one_that_has_given_its_word_is_on_trial_no_more(tmp_path: Path) -> None:
    found = installation(tmp_path, NEW)
    given = trial(word=str(tmp_path / "word"))
    write_trial(found, given)
    (tmp_path / "word").write_text(f"{NEW} {given.began_s}\n")
    assert on_trial(found.program(NEW)) is None


def test_the_alarm_clock_is_set_by_the_old_version_and_turned_off_by_whoever_serves(tmp_path: Path) -> None:
    found = installation(tmp_path, NEW)
    write_trial(found, trial())
    with update_lock(found):
        assert arm(found.program(OLD)) is None
    left_s, again_s = signal.getitimer(signal.ITIMER_REAL)
    assert trial().window_s < left_s
    assert again_s == 0
    disarm()
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_where_the_updater_has_died_before_the_restart_the_old_version_sees_that_somebody_judges(
    tmp_path: Path,
) -> None:
    """What ends with 0 at once starts no judge itself, and launchd starts nothing after it."""
    found = installation(tmp_path, NEW)
    write_trial(found, trial())
    found.program(OLD).write_text(f'#!/bin/sh\necho "$0 $*" >{tmp_path}/asked\n')
    judge = arm(found.program(OLD))
    assert judge is not None
    judge.wait(30)
    assert (tmp_path / "asked").read_text() == f"{found.program(OLD)} update judge\n"


@pytest.mark.parametrize(("current", "own"), [(OLD, OLD), (NEW, NEW)])
def test_an_ordinary_restart_sets_no_alarm_clock(tmp_path: Path, current: str, own: str) -> None:
    found = installation(tmp_path, current)
    write_trial(found, trial())
    arm(found.program(own))
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
