"""The unit of systemd and the property list of launchd, checked as their readers check them."""

import os
import plistlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.house import DRAIN_TIMEOUT_S, GOODBYE_TIMEOUT_S
from tests.packaging.frozen import ROOT

FILES = ROOT / "service-files"
UNIT = FILES / "openclawd.service"
PLIST = FILES / "ai.openclawd.gateway.plist"
DOCUMENT = ROOT / "docs" / "service.md"

# launchd.plist(5): what we use, with the type that each has there.
LAUNCHD_KEYS: dict[str, type] = {
    "Label": str,
    "ProgramArguments": list,
    "RunAtLoad": bool,
    "KeepAlive": dict,
    "ThrottleInterval": int,
    "ExitTimeOut": int,
    "ProcessType": str,
    "StandardOutPath": str,
    "StandardErrorPath": str,
}
STOP_S = DRAIN_TIMEOUT_S + GOODBYE_TIMEOUT_S


def settings(unit: str) -> dict[str, dict[str, str]]:
    """Section to key to value."""
    sections: dict[str, dict[str, str]] = {}
    for line in unit.splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            section[key] = value
    return sections


@pytest.fixture
def unit() -> dict[str, dict[str, str]]:
    return settings(UNIT.read_text())


@pytest.fixture
def plist() -> dict[str, Any]:
    return dict(plistlib.loads(PLIST.read_bytes()))


# --- systemd


def verified(unit: Path, home: Path) -> str:
    """What `systemd-analyze verify` has against a unit of a user in whose home the binary is installed."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here (Debian: sudo apt-get install systemd)")
    (home / ".local" / "bin").mkdir(parents=True)
    (home / ".local" / "bin" / "openclawd").symlink_to("/bin/true")
    ended = subprocess.run(
        ["systemd-analyze", "--user", "--man=no", "verify", unit],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    # It ends with 0 for an unknown key, too.
    return ended.stdout + ended.stderr + (f"exit code {ended.returncode}" if ended.returncode else "")


def test_systemd_has_nothing_against_the_unit(tmp_path: Path) -> None:
    assert verified(UNIT, tmp_path) == ""


def test_systemd_would_have_said_so(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.service"
    wrong.write_text(UNIT.read_text().replace("RestartSec=", "RestartSecs="))
    assert "RestartSecs" in verified(wrong, tmp_path)


def test_the_unit_says_who_is_ready_and_what_is_started_again(unit: dict[str, dict[str, str]]) -> None:
    service = unit["Service"]
    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == str(ExitCode.CONFIG.value)
    assert float(service["TimeoutStopSec"]) > 2 * STOP_S


def seconds(span: str) -> float:
    """A time as systemd writes it (systemd.time(7)), of one unit."""
    number, unit = re.fullmatch(r"(\d+)(ms|min|)", span).groups()  # type: ignore[union-attr]
    return float(number) * {"ms": 0.001, "min": 60, "": 1}[unit]


def test_the_limit_of_starts_can_be_reached(unit: dict[str, dict[str, str]]) -> None:
    most, window_s = int(unit["Unit"]["StartLimitBurst"]), seconds(unit["Unit"]["StartLimitIntervalSec"])
    # The pause and five seconds for a start that fails.
    assert most * (seconds(unit["Service"]["RestartSec"]) + 5) < window_s


def test_after_a_crash_it_starts_at_once_with_the_sockets_that_it_had(
    unit: dict[str, dict[str, str]],
) -> None:
    service = unit["Service"]
    assert seconds(service["RestartSec"]) <= 0.1
    # Both loopback addresses, and room for others of another configuration.
    assert int(service["FileDescriptorStoreMax"]) >= 4


def test_a_reload_is_the_signal_for_it_and_the_watchdog_is_on(unit: dict[str, dict[str, str]]) -> None:
    assert unit["Service"]["ExecReload"].endswith("/kill -HUP $MAINPID")
    assert 10 <= seconds(unit["Service"]["WatchdogSec"]) <= 60


# --- launchd


def test_every_key_of_the_list_is_one_of_launchds_with_its_type(plist: dict[str, Any]) -> None:
    assert {key: type(value) for key, value in plist.items()} == LAUNCHD_KEYS


def test_launchd_starts_it_again_after_a_failure_only(plist: dict[str, Any]) -> None:
    assert plist["KeepAlive"] == {"SuccessfulExit": False}
    assert plist["RunAtLoad"] is True
    assert plist["ExitTimeOut"] > 2 * STOP_S


def test_the_label_is_the_files_name_and_the_program_is_the_gateway(plist: dict[str, Any]) -> None:
    assert f"{plist['Label']}.plist" == PLIST.name
    program, *arguments = plist["ProgramArguments"]
    assert Path(program).is_absolute()
    assert arguments == ["gateway"]


def test_the_programs_that_property_lists_are_made_with_can_read_it() -> None:
    plutil = shutil.which("plistutil") or shutil.which("plutil")
    if plutil is None:
        pytest.skip("neither plutil nor plistutil here (Debian: sudo apt-get install libplist-utils)")
    option = "-lint" if plutil.endswith("plutil") else "-i"
    subprocess.run([plutil, option, PLIST], stdin=subprocess.DEVNULL, capture_output=True, check=True)


# --- both


@pytest.mark.parametrize("file", [UNIT, PLIST], ids=lambda file: file.name)
def test_no_secret_and_no_home_of_anybody_stands_in_it(file: Path) -> None:
    text = file.read_text()
    assert not re.search(r"(?i)(token|password|api_?key)\W*[=>]", text)
    assert not re.search(r"/home/|/root/|/Users/(?!you\b)", text)


def test_the_document_names_files_that_are_there_and_places_that_they_use(plist: dict[str, Any]) -> None:
    text = DOCUMENT.read_text()
    for name in re.findall(r"service-files/[\w.-]+", text):
        assert (ROOT / name).is_file()
    assert set(FILES.iterdir()) == {UNIT, PLIST}
    assert "~/.local/bin/openclawd" in text
    assert "%h/.local/bin/openclawd " in UNIT.read_text()
    for path in (plist["ProgramArguments"][0], plist["StandardErrorPath"]):
        assert path.replace("/Users/you", "~") in text
    assert "%E/openclawd/environment" in UNIT.read_text()
    assert "~/.config/openclawd/environment" in text


def test_the_list_of_the_document_is_for_the_reader_s_own_home() -> None:
    (command,) = re.findall(r'^sed "([^"]+)"', DOCUMENT.read_text(), re.MULTILINE)
    filled = subprocess.run(
        ["sed", command.replace("$HOME", "/Users/ada"), PLIST], capture_output=True, check=True
    )
    plist = plistlib.loads(filled.stdout)
    assert plist["ProgramArguments"][0] == "/Users/ada/.local/bin/openclawd"
    assert "/Users/you" not in filled.stdout.decode().partition("<dict>")[2]
