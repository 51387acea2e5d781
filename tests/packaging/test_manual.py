"""The manual page says what the parser knows."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import attr
import attrs
import pytest

from openclawd.cli.main import main
from openclawd.daemon.exit_codes import ExitCode

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written where no library is but what the project asks for when a wheel is built."""
    folder = tmp_path_factory.mktemp("manual")
    hook = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "hooks"
    ]
    assert [re.split(r"\W", each)[0] for each in hook["custom"]["dependencies"]] == ["attrs"]
    for module in (attr, attrs):
        path = Path(str(module.__file__)).parent
        (folder / path.name).symlink_to(path)
    command = (sys.executable, "-S", "-P", ROOT / "packaging" / "manual.py", folder / "openclawd.1")
    subprocess.run(command, env={"PYTHONPATH": str(folder)}, check=True)
    return folder / "openclawd.1"


def plain(page: Path) -> str:
    """As a person reads it, but for the layout."""
    text = re.sub(r"\\f[BIR]|\\&", "", page.read_text())
    for mark, sign in (
        ("\\-", "-"),
        ("\\(ti", "~"),
        ("\\(ha", "^"),
        ("\\(ga", "`"),
        ("\\(aq", "'"),
        ("\\ ", " "),
    ):
        text = text.replace(mark, sign)
    return text


def help_of(*words: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*words, "--help"]) == 0
    return capsys.readouterr().out


def test_every_command_and_option_that_help_lists_is_in_it(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = plain(page)
    ahead: list[tuple[str, ...]] = [()]
    seen = 0
    while ahead:
        words = ahead.pop()
        shown = help_of(*words, capsys=capsys)
        section = text.partition(f".SS {' '.join(('openclawd', *words))}\n")[2].partition("\n.SS ")[0]
        for option in re.findall(r"^  +(?:-\w(?: \w+)?, )?(--[\w-]+)", shown, re.MULTILINE) if words else ():
            assert option == "--help" or option in section, f"{' '.join(words)} {option}"
        commands = shown.partition("\n  COMMAND\n")[2].partition("\n\n")[0]
        below = re.findall(r"^    ([\w-]+)", commands, re.MULTILINE)
        ahead += [(*words, name) for name in below]
        seen += len(below)
        for name in below:
            assert f"\n.SS {' '.join(('openclawd', *words, name))}\n" in text
    assert seen > 30


def test_it_has_the_table_of_exit_codes(page: Path) -> None:
    section = plain(page).partition(".SH EXIT STATUS\n")[2].partition("\n.SH ")[0]
    assert [int(code) for code in re.findall(r"^\.TP\n(\d+)$", section, re.MULTILINE)] == [*ExitCode]


def test_no_line_of_it_begins_with_a_space_that_would_break_a_sentence(page: Path) -> None:
    flowing = re.sub(r"^\.nf$.*?^\.fi$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^[ \t]+.*$", flowing, re.MULTILINE) == []


def test_the_variables_that_it_names_are_read_somewhere(page: Path) -> None:
    section = plain(page).partition(".SH ENVIRONMENT\n")[2].partition("\n.SH ")[0]
    names = re.findall(r"^\.TP\n(\w+)$", section, re.MULTILINE)
    assert len(names) > 5
    code = "".join(path.read_text() for path in (ROOT / "openclawd").rglob("*.py"))
    stems = [re.sub(r"_(TOKEN|PASSWORD|PORT)$", "_", name) for name in names]
    assert [stem for stem in stems if stem not in code] == []


def test_the_same_source_gives_the_same_page(page: Path, tmp_path: Path) -> None:
    dates = {"SOURCE_DATE_EPOCH": "86400", "TZ": "Asia/Tokyo"}
    for name in ("one", "two"):
        command = (sys.executable, "-P", ROOT / "packaging" / "manual.py", tmp_path / name)
        subprocess.run(command, env=dates, check=True)
    assert (tmp_path / "one").read_text() == (tmp_path / "two").read_text()
    assert '"1970-01-02"' in (tmp_path / "one").read_text()


def test_man_has_nothing_against_it(page: Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("no groff here (Debian: sudo apt-get install groff)")
    command = ("groff", "-man", "-ww", "-Tutf8", page)
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    # The macro package of some systems looks for a local file that few have.
    assert [line for line in shown.stderr.splitlines() if "man.local" not in line] == []
    assert "openclawd gateway restart" in re.sub(r".\x08|\x1b\[[0-9;]*m", "", shown.stdout)
