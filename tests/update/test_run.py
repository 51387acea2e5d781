"""An update from its beginning to its end, on a host whose processes are pretended and its files real."""

import time
from pathlib import Path

import attrs
import pytest

from openclawd.slots.guard import guard_text
from openclawd.slots.layout import Installation
from openclawd.slots.trial import Trial, read_last, read_trial, write_trial
from openclawd.update.judge import Look
from openclawd.update.run import Waiting
from openclawd.update.staged import CannotUpdate, Staged
from tests.slots.installed import NEW, OLD, installation
from tests.update.worlds import World, dies, hangs, serves


@pytest.fixture
def found(tmp_path: Path) -> Installation:
    return installation(tmp_path)


def world(found: Installation, new: object = None, **more: object) -> World:
    made = World(found, {OLD: serves(OLD), NEW: new or serves(NEW)}, **more)  # type: ignore[arg-type,dict-item]
    made.boot()
    return made


def test_a_version_that_is_well_stays(found: Installation) -> None:
    here = world(found)
    outcome = here.updater().update(here.staged, None)
    assert outcome == read_last(found)
    assert outcome is not None
    assert not isinstance(outcome, Waiting)
    assert (outcome.end, outcome.by) == ("confirmed", "updater")
    assert (found.current_version(), found.previous_version(), read_trial(found)) == (NEW, OLD, None)
    assert here.running == NEW
    assert here.phases == ["checking", "examining", "switching", "restarting", "trial", "confirmed"]


def test_one_that_dies_as_it_starts_goes_back(found: Installation) -> None:
    here = world(found, dies)
    outcome = here.updater().update(here.staged, None)
    assert outcome is not None
    assert not isinstance(outcome, Waiting)
    assert (outcome.end, outcome.by) == ("rolled-back", "guard")
    assert (found.current_version(), here.running, read_trial(found)) == (OLD, OLD, None)
    assert here.phases[-1] == "rolled-back"
    assert read_last(found) == outcome


def test_one_that_dies_later_goes_back(found: Installation) -> None:
    here = world(found, lambda there: Look(0, NEW) if there.now_s < 20 else None)
    outcome = here.updater().update(here.staged, None)
    assert outcome is not None
    assert not isinstance(outcome, Waiting)
    assert outcome.end == "rolled-back"
    assert (found.current_version(), here.running) == (OLD, OLD)


def test_one_that_hangs_is_killed_and_goes_back(found: Installation) -> None:
    here = world(found, hangs)
    outcome = here.updater().update(here.staged, None)
    assert outcome is not None
    assert not isinstance(outcome, Waiting)
    assert outcome.reason == "it did not serve within 15 s: no answer within 2 s"
    assert (here.killed, here.running, found.current_version()) == ([NEW], OLD, OLD)


def test_one_that_turns_a_known_device_away_goes_back_by_a_restart(found: Installation) -> None:
    here = world(found, lambda _: Look(0, NEW, faults=("a device was refused",)))
    outcome = here.updater().update(here.staged, None)
    assert outcome is not None
    assert not isinstance(outcome, Waiting)
    assert outcome.reason == "a device was refused"
    assert (here.killed, here.running, found.current_version()) == ([], OLD, OLD)


def test_a_restart_that_is_refused_changes_nothing(found: Installation) -> None:
    here = world(found, refuses="no room")
    outcome = here.updater().update(here.staged, None)
    assert outcome is not None
    assert not isinstance(outcome, Waiting)
    assert (outcome.end, outcome.reason) == ("rolled-back", "no room")
    assert (found.current_version(), here.running, here.life) == (OLD, OLD, 1)


def test_without_a_supervisor_the_outcome_says_that_nobody_started_it(found: Installation) -> None:
    here = world(found, dies, supervised=False)
    outcome = here.updater().update(here.staged, None)
    assert outcome is not None
    assert not isinstance(outcome, Waiting)
    assert "nobody has started 0.6.0 yet" in str(outcome.reason)
    assert found.current_version() == OLD


def test_what_it_did_to_the_guard_is_undone(found: Installation) -> None:
    def spoils_the_guard(_: World) -> Look:
        if found.trial.exists():
            found.guard.write_text("#!/bin/sh\nexit 1\n")
        return Look(0, NEW, problems=("not ready (503)",))

    own = found.slot(OLD) / "_internal" / "openclawd" / "slots" / "guard.sh"
    own.parent.mkdir(parents=True)
    own.write_text(guard_text())
    here = world(found, spoils_the_guard)
    outcome = here.updater().update(here.staged, None)
    assert outcome is not None
    assert not isinstance(outcome, Waiting)
    assert outcome.end == "rolled-back"
    assert (found.guard.read_text(), here.running) == (guard_text(), OLD)


def test_one_that_takes_its_trial_away_and_dies_is_not_kept_for_it(found: Installation) -> None:
    def dies_without_a_trace(there: World) -> Look | None:
        if there.now_s >= 2:
            return None
        found.trial.unlink(missing_ok=True)
        return Look(0, NEW)

    here = world(found, dies_without_a_trace)
    outcome = here.updater().update(here.staged, None)
    assert outcome is not None
    assert not isinstance(outcome, Waiting)
    assert outcome.end == "rolled-back"
    assert (found.current_version(), here.running, read_trial(found)) == (OLD, OLD, None)


def test_one_that_cannot_serve_here_is_not_tried(found: Installation) -> None:
    here = world(found)

    def refuse(_: Staged) -> None:
        raise CannotUpdate("its libraries are too new", "ldd --version")

    updater = attrs.evolve(here.updater(), examine=refuse)
    with pytest.raises(CannotUpdate):
        updater.update(here.staged, None)
    last = read_last(found)
    assert last is not None
    assert (last.end, last.reason) == ("failed", "its libraries are too new")
    assert (found.current_version(), here.life, read_trial(found)) == (OLD, 1, None)


def test_where_nothing_can_be_written_down_the_reason_is_told_all_the_same(found: Installation) -> None:
    here = world(found)
    # A folder cannot be replaced by a file, whoever tries.
    found.last.mkdir()

    def refuse(*_: object) -> None:
        raise CannotUpdate("the disk is full", "df -h")

    with pytest.raises(CannotUpdate, match="the disk is full"):
        here.updater().update(refuse, None)
    assert here.phases == ["checking", "failed"]


def test_nothing_newer_is_no_update(found: Installation) -> None:
    here = world(found)
    assert here.updater().update(lambda *_: None, None) is None
    assert read_last(found) is None


def test_the_version_that_runs_is_no_update(found: Installation) -> None:
    here = world(found)
    assert here.updater().update(lambda *_: Staged(OLD, found.slot(OLD)), OLD) is None


def test_while_no_gateway_runs_the_next_start_is_the_trial(found: Installation) -> None:
    here = World(found, {OLD: serves(OLD), NEW: serves(NEW)})
    waiting = here.updater().update(here.staged, None)
    assert isinstance(waiting, Waiting)
    here.boot()
    assert here.running == NEW
    outcome = here.updater().judge()
    assert outcome is not None
    assert not isinstance(outcome, Waiting)
    assert outcome.end == "confirmed"


def test_a_gateway_that_died_in_that_moment_and_is_started_again_takes_part(found: Installation) -> None:
    here = World(found, {OLD: serves(OLD), NEW: serves(NEW)})
    here.at_s[1.0] = here.boot
    outcome = here.updater().update(here.staged, None)
    assert outcome is not None
    assert not isinstance(outcome, Waiting)
    assert (outcome.end, here.running) == ("confirmed", NEW)


def test_a_version_that_waits_for_its_start_is_not_updated_over(found: Installation) -> None:
    here = World(found, {OLD: serves(OLD), NEW: serves(NEW)})
    here.updater().update(here.staged, None)
    with pytest.raises(CannotUpdate, match="waits for the gateway's next start"):
        here.updater().update(here.staged, None)


def test_a_trial_whose_gateway_was_stopped_waits(found: Installation) -> None:
    here = world(found)
    trial = Trial(OLD, NEW, 0, int(time.time()), 30)

    def stopped(there: World) -> Look | None:
        if there.now_s < 5:
            return Look(0, NEW)
        write_trial(found, attrs.evolve(trial, starts=1))  # what a gateway that is told to stop does
        there.supervised, there.running = False, None
        return None

    here.behaves[NEW] = stopped
    waiting = here.updater().update(here.staged, None)
    assert isinstance(waiting, Waiting)
    assert (found.current_version(), read_trial(found)) == (NEW, waiting.trial)


# --- what an updater that died has left


def test_a_switch_that_was_interrupted_before_the_restart_is_undone_by_the_next_update(
    found: Installation,
) -> None:
    here = world(found)
    write_trial(found, Trial(OLD, NEW, 0, 1, 30))
    found.swap(NEW)
    outcome = here.updater().settle()
    assert outcome is not None
    assert not isinstance(outcome, Waiting)
    assert outcome.reason == "the update was interrupted before the restart"
    assert (found.current_version(), here.life) == (OLD, 1)


def test_a_trial_that_nobody_judges_any_more_is_judged_by_the_next_update(found: Installation) -> None:
    here = world(found)
    write_trial(found, Trial(OLD, NEW, 0, 1, 30))
    found.swap(NEW)
    here.restart("")
    outcome = here.updater().settle()
    assert outcome is not None
    assert not isinstance(outcome, Waiting)
    assert outcome.end == "confirmed"


def test_a_trial_that_was_written_before_a_switch_that_never_came_is_set_aside(found: Installation) -> None:
    here = world(found)
    write_trial(found, Trial(OLD, NEW, 0, 1, 30))
    outcome = here.updater().settle()
    assert outcome is not None
    assert not isinstance(outcome, Waiting)
    assert (outcome.end, read_trial(found)) == ("failed", None)


def test_the_word_of_a_gateway_that_was_well_confirms(found: Installation, tmp_path: Path) -> None:
    here = world(found)
    trial = Trial(OLD, NEW, 0, 1, 30, word=str(tmp_path / "word"))
    write_trial(found, trial)
    found.swap(NEW)
    (tmp_path / "word").write_text(trial.word_of)
    outcome = here.updater().settle()
    assert outcome is not None
    assert not isinstance(outcome, Waiting)
    assert (outcome.end, found.previous_version(), read_trial(found)) == ("confirmed", OLD, None)


# --- old versions


def test_old_slots_are_kept_by_count_and_never_the_two_that_matter(tmp_path: Path) -> None:
    found = installation(tmp_path, OLD, "0.3.0", "0.4.0", "0.5.0", OLD, NEW)
    here = world(found)
    here.updater().update(here.staged, None)
    assert len(found.slots()) == 3
    assert {OLD, NEW} <= set(found.slots())
