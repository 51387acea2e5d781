"""Setting the folder up: what `scripts/venv` makes of an environment that it finds."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
LOCK = "requirements.lock"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with an environment in which everything is installed, the project aside."""
    folder = tmp_path / "checkout"
    (folder / "openclawd").mkdir(parents=True)
    (folder / "openclawd" / "__init__.py").touch()
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    (folder / LOCK).write_text("# nothing to install\n")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    shutil.copy(folder / LOCK, folder / ".venv" / f".installed-{LOCK}")
    (packages(folder) / "pip.py").touch()
    return folder


def packages(folder: Path) -> Path:
    (found,) = (folder / ".venv").glob("lib/python*/site-packages")
    return found


def set_up(folder: Path, environment: str = ".venv") -> Path:
    """Run scripts/venv; the folder whose code the environment runs then."""
    named = () if environment == ".venv" else (environment,)
    done = subprocess.run(
        [folder / "scripts" / "venv", LOCK, *named], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    asked = subprocess.run(
        [folder / environment / "bin" / "python", "-P", "-c", "import openclawd; print(openclawd.__file__)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(asked.stdout.strip()).parents[1]


def test_a_folder_that_was_copied_with_its_environment_runs_its_own_code(checkout: Path) -> None:
    assert set_up(checkout) == checkout
    copy = checkout.with_name("copy")
    shutil.copytree(checkout, copy, symlinks=True)
    assert set_up(copy) == copy
    assert str(copy) in (copy / ".venv" / "bin" / "openclawd").read_text()
    assert set_up(checkout) == checkout


def test_an_environment_that_is_in_order_is_left_alone(checkout: Path) -> None:
    set_up(checkout)
    link = packages(checkout) / "openclawd-here.pth"
    before = link.stat().st_mtime_ns
    set_up(checkout)
    assert link.stat().st_mtime_ns == before


def test_another_environment_can_be_set_up_beside(checkout: Path) -> None:
    (checkout / "build").mkdir()
    (checkout / ".venv").rename(checkout / "build" / "venv")
    assert set_up(checkout, "build/venv") == checkout
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "usage: scripts/venv LOCKFILE"),
        (("--help",), "usage: scripts/venv LOCKFILE"),
        (("requirement.lock",), "there is no requirement.lock; there are: requirements.lock\n"),
    ],
)
def test_a_word_that_is_no_lock_file_sets_nothing_up(
    checkout: Path, arguments: tuple[str, ...], said: str
) -> None:
    command = [str(checkout / "scripts" / "venv"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not (packages(checkout) / "openclawd-here.pth").exists()


def test_who_asks_the_tests_for_help_gets_it_and_no_tests(checkout: Path) -> None:
    command = [str(checkout / "scripts" / "test"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    assert "\n  scripts/test --fast " in done.stdout
    assert not (checkout / ".cache").exists()
