"""The end of a trial, where who judges may decide nothing: a service's own user, of root's installation."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from openclawd.slots.layout import Installation
from openclawd.slots.trial import Trial, is_well, read_trial, write_trial
from openclawd.update.verdicts import confirm, roll_back
from tests.slots.installed import NEW, installation, trial

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

NOBODY = 65534


@attrs.frozen
class Place:
    """Root's installation in a trial, and the state of the service's user."""

    found: Installation
    trial: Trial
    word: Path

    def as_the_user(self, judge: Callable[[], object]) -> None:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
                judge()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        assert (self.found.current_version(), read_trial(self.found)) == (NEW, self.trial)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    found = installation(tmp_path / "root", NEW)
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, NOBODY, NOBODY)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
    write_trial(found, trial(word=str(state / "word")))
    under_way = read_trial(found)
    assert under_way is not None
    return Place(found, under_way, state / "word")


def test_that_it_is_well_is_left_for_root(place: Place) -> None:
    place.as_the_user(lambda: confirm(place.found, place.trial, keep=3))
    assert place.word.read_text() == f"{place.trial.word_of}\n"
    assert is_well(place.trial)


def test_why_it_is_not_well_is_left_for_root(place: Place) -> None:
    place.as_the_user(lambda: roll_back(place.found, place.trial, "it did not\nserve"))
    assert place.word.read_text() == f"{place.trial.word_of} it did not serve\n"
    assert not is_well(place.trial)


def test_without_room_for_a_word_the_trial_is_over_all_the_same(place: Place) -> None:
    place.word.mkdir()
    place.as_the_user(lambda: roll_back(place.found, place.trial, "it did not serve"))
