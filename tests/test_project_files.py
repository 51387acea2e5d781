"""The project's files agree with the code and with each other."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import openclawd
from openclawd.cli.main import main
from openclawd.daemon.exit_codes import ExitCode

ROOT = Path(__file__).parent.parent
LOCKS = ("requirements.lock", "requirements-test.lock", "requirements-build.lock")


def pins(lock: str) -> dict[str, str]:
    """Package to version and marker, as a lock file has them."""
    text = (ROOT / lock).read_text()
    return {name: rest.strip() for name, rest in re.findall(r"^([\w.-]+)==([^\\\n]+)", text, re.MULTILINE)}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=~ ]", requirement)[0].lower() for requirement in requirements}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pinned_package_has_a_hash_and_no_host_is_named(lock: str) -> None:
    text = (ROOT / lock).read_text()
    for block in re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block
    assert "://" not in text
    assert not re.search(r"^--(?!hash)", text, re.MULTILINE)


def test_the_locks_hold_what_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert names(project["project"]["dependencies"]) <= pins(LOCKS[0]).keys()
    assert names(project["dependency-groups"]["test"]) <= pins(LOCKS[1]).keys()
    assert names(project["dependency-groups"]["build"]) <= pins(LOCKS[2]).keys()


@pytest.mark.parametrize("lock", LOCKS[1:])
def test_what_is_tested_and_frozen_has_the_versions_that_users_get(lock: str) -> None:
    assert pins(LOCKS[0]).items() <= pins(lock).items()


@pytest.mark.parametrize(
    "script",
    [
        "scripts/run",
        "scripts/venv",
        "scripts/lock",
        "scripts/test",
        "scripts/bench",
        "scripts/reference",
        ".ci/run",
        "packaging/build",
        "packaging/package",
        "packaging/deb/postinst",
        "packaging/deb/prerm",
        "packaging/deb/postrm",
    ],
)
def test_a_script_is_executable_and_its_shell_can_read_it(script: str) -> None:
    file = ROOT / script
    assert file.stat().st_mode & 0o111
    shell = "bash" if "bash" in file.read_text().splitlines()[0] else "sh"
    subprocess.run([shell, "-n", file], check=True)


def test_the_readme_has_the_table_of_exit_codes() -> None:
    table = re.findall(r"^\| (\d+) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert [int(code) for code in table] == [code.value for code in ExitCode]


def test_the_commands_of_the_readme_exist(capsys: pytest.CaptureFixture[str]) -> None:
    commands = set(re.findall(r"`openclawd ([a-z]+(?: [a-z]+)?)", (ROOT / "README.md").read_text()))
    assert {"gateway", "gateway status", "logs", "devices list"} <= commands
    for command in commands:
        assert main([*command.split(), "--help"]) == 0
    capsys.readouterr()


def test_the_page_names_the_version_of_the_gateway() -> None:
    page = (ROOT / "openclawd" / "control_ui" / "index.html").read_text()
    assert re.findall(r'<meta name="version" content="([^"]+)">', page) == [openclawd.__version__]


def test_the_vendored_libraries_are_those_that_were_pinned() -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "scripts" / "vendor", "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_page_loads_every_module_at_once() -> None:
    folder = ROOT / "openclawd" / "control_ui"
    modules = {str(file.relative_to(folder)) for file in folder.rglob("*.js")}
    named = set(re.findall(r'rel="modulepreload" href="\./([^"]+)"', (folder / "index.html").read_text()))
    assert named == modules
