"""Becoming the person whom a job of the machine is for."""

import os
import pwd
import subprocess
import sys

import pytest

from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.person import VARIABLE, become_person
from openclawd.daemon.refusal import StartRefused

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="of root")
BECOME = """
import os
from openclawd.daemon.person import become_person
found = become_person(os.environ)
print(os.getuid(), os.geteuid(), os.getgid(), 0 in os.getgroups(), found["HOME"], found["USER"])
"""


def test_nobody_is_named_and_nothing_changes() -> None:
    assert become_person({}) == {}


@as_root
def test_root_becomes_the_person_for_good() -> None:
    person = pwd.getpwnam("nobody")
    told = subprocess.run(
        [sys.executable, "-c", BECOME],
        env={**os.environ, VARIABLE: "nobody"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout.split()
    assert told == [str(person.pw_uid)] * 2 + [str(person.pw_gid), "False", person.pw_dir, "nobody"]


@as_root
def test_a_person_who_is_gone_is_named_with_what_helps() -> None:
    with pytest.raises(StartRefused, match="no user nobody-of-this-name any more") as refused:
        become_person({VARIABLE: "nobody-of-this-name"})
    assert refused.value.exit_code is ExitCode.CONFIG


@pytest.mark.skipif(os.geteuid() == 0, reason="of a person")
def test_the_next_generation_is_the_person_already() -> None:
    assert become_person({VARIABLE: "nobody"}) == {}
