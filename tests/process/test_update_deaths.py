"""kill -9 and power cuts in the middle of an update: one of the two versions can be started at any moment, a
bad one does not stay, and the next update finds a tidy place.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from openclawd.slots.layout import Installation
from openclawd.slots.trial import read_last, read_trial
from openclawd.update.run import Waiting
from tests.slots.installed import NEW, OLD, guard, installation
from tests.support.dying import build, watched
from tests.update.worlds import World, hangs, serves

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]

FULL: Final = bool(os.environ.get("OPENCLAWD_TEST_FULL"))
MOMENTS: Final = ("before", "torn", "after")
PATIENCE_S: Final = 60


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("library"))


def update(found: Installation, new: str, library: Path, **more: str) -> int:
    """An update in a process of its own, which may die; its exit code."""
    return subprocess.run(
        [sys.executable, "-m", "tests.update.dying", found.root, new],
        env={"PATH": os.environ["PATH"], **watched(library, found.root, **more)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=PATIENCE_S,
        check=False,
    ).returncode


def calls_of(folder: Path, new: str, library: Path) -> int:
    found, trace = installation(folder / "whole"), folder / "trace"
    assert update(found, new, library, KILL_TRACE=str(trace)) == 0
    return len(trace.read_text().splitlines())


def deaths(calls: int) -> list[tuple[int, str]]:
    """Where to die: everywhere, or at some places of each sort."""
    if FULL:
        return [(at, moment) for at in range(1, calls + 1) for moment in MOMENTS]
    return [(at, MOMENTS[at % 3]) for at in range(2, calls + 1, 5)]


@pytest.mark.parametrize("new", ["good", "bad"])
def test_an_updater_that_is_killed_leaves_a_host_that_serves(tmp_path: Path, library: Path, new: str) -> None:
    calls = calls_of(tmp_path, new, library)
    for at, moment in deaths(calls):
        found = installation(tmp_path / f"{at}-{moment}")
        code = update(found, new, library, KILL_AT=str(at), KILL_MOMENT=moment)
        assert code == -signal.SIGKILL, f"call {at} of {calls}, {moment}"
        where = f"killed {moment} call {at} of {calls}"
        # The power is back. A new version that is bad has no start of its own here.
        version = guard(found).stdout.strip()
        assert version in ({OLD, NEW} if new == "good" else {OLD}), where
        # The next updater ends what is left.
        here = World(found, {OLD: serves(OLD), NEW: serves(NEW) if new == "good" else hangs})
        here.running, here.life = version, 7
        left = here.updater().settle()
        assert not isinstance(left, Waiting), where
        assert read_trial(found) is None, where
        assert found.current_version() in {OLD, NEW}, where
        if new == "bad":
            assert found.current_version() == OLD, where
            last = read_last(found)
            assert last is None or last.end != "confirmed", where
        # And another update finds a tidy place.
        here.updater().update(here.staged, None)
        assert found.current_version() == (NEW if new == "good" else OLD), where
