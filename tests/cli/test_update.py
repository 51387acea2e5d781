"""`openclawd update run` where it cannot even begin: what is said, and the command that helps."""

import argparse
import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest

from openclawd.cli.failure import Failure
from openclawd.cli.update import _drive
from openclawd.slots.layout import Installation
from openclawd.slots.progress import update_lock
from tests.slots.installed import NEW, installation


@pytest.fixture(autouse=True)
def _hangups() -> Generator[None, None, None]:
    """A command leaves them ignored."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


def refusal(found: Installation, home: Path) -> Failure:
    with pytest.raises(Failure) as refused:
        _drive(argparse.Namespace(json=True), {"HOME": str(home)}, found, lambda *_: None, NEW)
    assert refused.value.cure is not None
    assert refused.value.cure.endswith("openclawd update status")
    return refused.value


def test_of_two_who_update_the_second_is_told_who_does(tmp_path: Path) -> None:
    found = installation(tmp_path)
    with update_lock(found):
        assert refusal(found, tmp_path).message == f"An update is under way (process {os.getpid()})."


def test_what_the_disk_refuses_is_said_in_the_systems_words_with_its_place(tmp_path: Path) -> None:
    found = installation(tmp_path)
    found.update.rmdir()
    found.update.write_text("")
    assert refusal(found, tmp_path).message == f"The update cannot go on: {found.update}: File exists."
