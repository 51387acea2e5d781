"""The property list of launchd, checked as its readers check it."""

import plistlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.daemon.house import DRAIN_TIMEOUT_S, GOODBYE_TIMEOUT_S
from openclawd.service.plist import (
    JobSpec,
    agent_file,
    agent_log,
    daemon_file,
    daemon_log,
    label_of,
    plist_text,
)
from openclawd.service.plist_file import PlistFile, list_in, person_in
from tests.support.launchd_keys import complaints

AGENT = JobSpec(("/Users/ada/.local/lib/openclawd/guard", "gateway"), "/Users/ada/Library/Logs/openclawd.log")
DAEMON = JobSpec(
    ("/opt/openclawd/guard", "gateway"),
    "/Library/Logs/openclawd/openclawd.log",
    label="ai.openclawd.gateway.work",
    environment={"OPENCLAW_STATE_DIR": "/Library/Application Support/openclawd", "OPENCLAW_PROFILE": "work"},
    user="_openclawd",
)
# What XML can write: no control characters, no surrogates, neither of the two that are none.
TEXTS = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"), max_size=40
)


def read(spec: JobSpec) -> dict[str, Any]:
    return dict(plistlib.loads(plist_text(spec).encode()))


@pytest.mark.parametrize("spec", [AGENT, DAEMON], ids=["agent", "daemon"])
def test_every_key_is_one_of_launchds_with_its_type(spec: JobSpec) -> None:
    assert complaints(read(spec)) == []


@pytest.mark.parametrize(
    ("slip", "said"),
    [
        ({"KeepAliv": True}, "KeepAliv: no key of launchd's"),
        ({"KeepAlive": {"SuccesfulExit": False}}, "KeepAlive.SuccesfulExit: no key of launchd's"),
        ({"KeepAlive": {"SuccessfulExit": 0}}, "KeepAlive.SuccessfulExit: 0 is no bool"),
        ({"ThrottleInterval": "5"}, "ThrottleInterval: '5' is no int"),
        ({"ExitTimeOut": True}, "ExitTimeOut: True is no int"),
        ({"EnvironmentVariables": {"A": 1}}, "EnvironmentVariables.A: 1 is no str"),
        ({"ProgramArguments": ["openclawd"]}, "'openclawd': no absolute path"),
        ({"StandardErrorPath": "~/x.log"}, "'~/x.log': no absolute path"),
        ({"ProcessType": "interactive"}, "ProcessType: 'interactive' is none"),
    ],
)
def test_the_table_of_keys_would_have_said_so(slip: dict[str, Any], said: str) -> None:
    assert complaints(read(AGENT) | slip) == [said]


@pytest.mark.parametrize("spec", [AGENT, DAEMON], ids=["agent", "daemon"])
def test_libplist_reads_the_same_as_python(spec: JobSpec, tmp_path: Path) -> None:
    plistutil = shutil.which("plistutil")
    if plistutil is None:
        pytest.skip("no plistutil here (Debian: sudo apt-get install libplist-utils)")
    file, again = tmp_path / spec.file_name, tmp_path / "again.plist"
    file.write_text(plist_text(spec))
    subprocess.run([plistutil, "-i", file, "-f", "bin", "-o", again], stdin=subprocess.DEVNULL, check=True)
    assert plistlib.loads(again.read_bytes()) == read(spec)


def test_it_is_started_again_after_a_failure_and_not_after_a_stop() -> None:
    plist = read(AGENT)
    assert (plist["KeepAlive"], plist["RunAtLoad"]) == ({"SuccessfulExit": False}, True)
    assert "Sockets" not in plist


def test_it_may_take_longer_to_end_than_it_ever_needs() -> None:
    assert read(AGENT)["ExitTimeOut"] > 2 * (DRAIN_TIMEOUT_S + GOODBYE_TIMEOUT_S)


def test_nobody_else_may_read_its_log() -> None:
    assert read(AGENT)["Umask"] == 0o077


def test_a_daemon_runs_as_its_user_and_knows_where_its_state_is() -> None:
    plist = read(DAEMON)
    assert plist["UserName"] == "_openclawd"
    assert plist["EnvironmentVariables"] == dict(DAEMON.environment)
    assert "UserName" not in read(AGENT)


@given(words=st.lists(TEXTS, max_size=3), environment=st.dictionaries(TEXTS, TEXTS, max_size=3))
def test_whatever_stands_in_a_path_or_a_variable_is_read_as_it_was_meant(
    words: list[str], environment: dict[str, str]
) -> None:
    spec = JobSpec(("/opt/open clawd/<guard>&co", *words), "/tmp/a'b\".log", environment=environment)
    plist = read(spec)
    assert plist["ProgramArguments"] == list(spec.program)
    assert plist.get("EnvironmentVariables", {}) == environment
    assert plist["StandardErrorPath"] == spec.log_file


@pytest.mark.parametrize(
    "wrong",
    [
        {"program": ("openclawd", "gateway")},
        {"program": ()},
        {"program": ("/bin/open\x00clawd",)},
        {"log_file": "~/Library/Logs/openclawd.log"},
        {"label": "two words"},
        {"label": "../elsewhere"},
        {"environment": {"A": "\x1b[2J"}},
    ],
)
def test_what_launchd_would_misunderstand_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        JobSpec(**{"program": AGENT.program, "log_file": AGENT.log_file, **wrong})


def test_each_profile_has_a_label_a_file_and_a_log_of_its_own() -> None:
    home = Path("/Users/ada")
    assert label_of(None) == label_of("default") == "ai.openclawd.gateway"
    work = label_of("work")
    assert agent_file(home, work) == home / "Library/LaunchAgents/ai.openclawd.gateway.work.plist"
    assert daemon_file(work) == Path("/Library/LaunchDaemons/ai.openclawd.gateway.work.plist")
    assert [agent_log(home, label_of(each)).name for each in (None, "work")] == [
        "openclawd.log",
        "openclawd.work.log",
    ]
    assert daemon_log(work) != daemon_log(label_of(None))


def test_the_guard_of_a_daemon_is_roots_and_the_gateway_becomes_its_user() -> None:
    """As its user, the guard could not take back a version that is not well: the program is root's."""
    plist = read(attrs.evolve(DAEMON, guarded=True))
    assert "UserName" not in plist
    assert plist["EnvironmentVariables"] == {**DAEMON.environment, "OPENCLAWD_USER": "_openclawd"}
    assert person_in(plist) == person_in(read(DAEMON)) == "_openclawd"


def test_an_edit_is_told_from_what_an_older_version_wrote(tmp_path: Path) -> None:
    file = PlistFile(tmp_path / "job.plist", plist_text(AGENT))
    assert file.state() == "absent"
    file.write()
    assert file.state() == "same"
    assert plistlib.loads(file.path.read_bytes()) == read(AGENT)
    newer = PlistFile(file.path, plist_text(attrs.evolve(AGENT, environment={"A": "b"})))
    assert newer.state() == "ours"
    file.path.write_text(file.path.read_text().replace("<integer>5</integer>", "<integer>6</integer>"))
    assert (file.state(), newer.state()) == ("yours", "yours")
    assert "-\t<integer>6</integer>" in file.diff()


@pytest.mark.parametrize("text", ["", "no list", "<plist></plist>", "<plist><array/></plist>", "\0"])
def test_what_is_no_property_list_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "job.plist").write_text(text)
    assert list_in(tmp_path / "job.plist") is None
    assert list_in(tmp_path / "absent.plist") is None
