"""The units of systemd and the property lists of launchd, as packagers get them and as they are installed."""

import os
import plistlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.house import DRAIN_TIMEOUT_S, GOODBYE_TIMEOUT_S
from openclawd.service.unit import ServiceSpec, service_text
from tests.packaging.frozen import ROOT

FILES = ROOT / "service-files"
UNITS = sorted(FILES.rglob("*.service"))
PLISTS = sorted(FILES.rglob("*.plist"))
STOP_S = DRAIN_TIMEOUT_S + GOODBYE_TIMEOUT_S
# What the units look like on a machine: from a package, and from `gateway install`.
INSTALLED = {
    "user": ServiceSpec(program=("%h/.local/lib/openclawd/guard",)),
    "profile": ServiceSpec(program=("%h/.local/lib/openclawd/guard",), profile="work", flags=("--port", "1")),
    "secrets": ServiceSpec(program=("/opt/a b/guard",), credentials=(("token", "/etc/gateway/token"),)),
    "system": ServiceSpec(program=("/opt/openclawd/guard",), system=True),
    "person": ServiceSpec(program=("/opt/openclawd/guard",), system=True, user="root"),
    "newest": ServiceSpec(program=("/opt/openclawd/guard",), system=True, systemd=10_000),
}
MOST_EXPOSED = 25
"""`systemd-analyze security` in tenths."""


def analyze(*words: str | Path, home: Path) -> tuple[int, str]:
    """systemd-analyze's exit code, and all that it prints."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here (Debian: sudo apt-get install systemd)")
    ended = subprocess.run(
        ["systemd-analyze", "--man=no", *words],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def verified(text: str, home: Path, *, system: bool) -> str:
    """What `systemd-analyze verify` has against a unit; it ends with 0 for an unknown key, too."""
    # The programs of the unit are somewhere else on this machine.
    text = re.sub(r'(?m)^(Exec\w+=\+?)("[^"]*"|\S+)', r"\1/bin/true", text)
    (home / "openclawd.service").write_text(text)
    scope = () if system else ("--user",)
    code, said = analyze(*scope, "verify", home / "openclawd.service", home=home)
    return said + (f"exit code {code}" if code else "")


# --- what packagers get


def test_the_files_for_packagers_are_what_the_program_would_write() -> None:
    made = subprocess.run(
        [sys.executable, "-P", "-c", _PRINT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    expected = dict(part.split("\0", 1) for part in made.stdout.split("\1")[:-1])
    found = {str(path.relative_to(FILES)): path.read_text() for path in FILES.rglob("*") if path.is_file()}
    assert found == expected, "anew: .venv/bin/python -P packaging/service_files.py"


_PRINT = """
import sys
sys.path.insert(0, "packaging")
from service_files import service_files
for name, text in service_files().items():
    sys.stdout.write(name + chr(0) + text + chr(1))
"""


@pytest.mark.parametrize("file", [*UNITS, *PLISTS], ids=lambda file: str(file.relative_to(FILES)))
def test_no_secret_and_no_home_of_anybody_stands_in_a_file(file: Path) -> None:
    text = file.read_text()
    assert not re.search(r"(?im)^[^#<]*(token|password|api_?key)\W*[=>]", text)
    assert not re.search(r"/home/|/root/|/Users/(?!you\b)", text)


def test_the_programs_that_property_lists_are_made_with_can_read_them() -> None:
    plutil = shutil.which("plistutil") or shutil.which("plutil")
    if plutil is None:
        pytest.skip("neither plutil nor plistutil here (Debian: sudo apt-get install libplist-utils)")
    option = "-lint" if plutil.endswith("plutil") else "-i"
    for plist in PLISTS:
        subprocess.run([plutil, option, plist], stdin=subprocess.DEVNULL, capture_output=True, check=True)
        assert f"{plistlib.loads(plist.read_bytes())['Label']}.plist" == plist.name


# --- what systemd says of them


@pytest.mark.parametrize("unit", UNITS, ids=lambda file: str(file.relative_to(FILES)))
def test_systemd_has_nothing_against_the_files_for_packagers(unit: Path, tmp_path: Path) -> None:
    assert verified(unit.read_text(), tmp_path, system=unit.parent.name == "system") == ""


@pytest.mark.parametrize("name", [name for name in INSTALLED if name != "newest"])
def test_systemd_has_nothing_against_what_is_installed(name: str, tmp_path: Path) -> None:
    assert verified(service_text(INSTALLED[name]), tmp_path, system=INSTALLED[name].system) == ""


def test_systemd_would_have_said_so(tmp_path: Path) -> None:
    wrong = service_text(INSTALLED["user"]).replace("RestartSec=", "RestartSecs=")
    assert "RestartSecs" in verified(wrong, tmp_path, system=False)


@pytest.mark.parametrize("name", ["system", "newest"])
def test_the_systems_service_is_little_exposed(name: str, tmp_path: Path) -> None:
    unit = tmp_path / "openclawd.service"
    unit.write_text(service_text(INSTALLED[name]))
    code, said = analyze("security", "--offline=yes", f"--threshold={MOST_EXPOSED}", unit, home=tmp_path)
    assert code == 0, said[-300:]


def test_a_unit_without_confinement_is_exposed(tmp_path: Path) -> None:
    unit = tmp_path / "openclawd.service"
    unit.write_text(service_text(INSTALLED["person"]))
    code, _ = analyze("security", "--offline=yes", f"--threshold={MOST_EXPOSED}", unit, home=tmp_path)
    assert code != 0


# --- what we have agreed on with it


def settings(unit: str) -> dict[str, str]:
    """Key to value, the last of each."""
    lines = (line for line in unit.splitlines() if not line.startswith(("#", "[")))
    return dict(line.split("=", 1) for line in lines if line)


@pytest.fixture(params=list(INSTALLED))
def unit(request: pytest.FixtureRequest) -> dict[str, str]:
    return settings(service_text(INSTALLED[request.param]))


def test_the_unit_says_who_is_ready_and_what_is_started_again(unit: dict[str, str]) -> None:
    assert (unit["Type"], unit["NotifyAccess"]) == ("notify", "main")
    assert unit["Restart"] == "on-failure"
    assert unit["RestartPreventExitStatus"] == str(ExitCode.CONFIG.value)
    assert float(unit["TimeoutStopSec"]) > 2 * STOP_S


def seconds(span: str) -> float:
    """A time as systemd writes it (systemd.time(7)), of one unit."""
    number, unit = re.fullmatch(r"(\d+)(ms|min|)", span).groups()  # type: ignore[union-attr]
    return float(number) * {"ms": 0.001, "min": 60, "": 1}[unit]


def test_the_limit_of_starts_can_be_reached(unit: dict[str, str]) -> None:
    most, window_s = int(unit["StartLimitBurst"]), seconds(unit["StartLimitIntervalSec"])
    # The pause and five seconds for a start that fails.
    assert most * (seconds(unit["RestartSec"]) + 5) < window_s


def test_after_a_crash_it_starts_at_once_with_the_sockets_that_it_had(unit: dict[str, str]) -> None:
    assert seconds(unit["RestartSec"]) <= 0.1
    # Both loopback addresses, and room for others of another configuration.
    assert int(unit["FileDescriptorStoreMax"]) >= 4


def test_a_reload_is_the_signal_for_it_and_the_watchdog_is_on(unit: dict[str, str]) -> None:
    assert unit["ExecReload"].endswith("/kill -HUP $MAINPID")
    assert 10 <= seconds(unit["WatchdogSec"]) <= 60


def test_no_socket_unit_is_asked_for(unit: dict[str, str]) -> None:
    assert not {"Sockets", "Requires", "BindsTo"} & unit.keys()
