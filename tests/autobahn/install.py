"""Autobahn's fuzzing client, which runs under Python 2.7 only, installed once into the cache.

`python -m tests.autobahn.install` tells whether there is a Python for it here: exit code 0 or 1.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
REQUIREMENTS: Final = HERE / "requirements.txt"
CACHE: Final = HERE.parents[1] / ".cache" / "autobahn"
# The last one that makes environments of Python 2.7.
VIRTUALENV: Final = "virtualenv==20.15.1"
# Two of the packages are compiled.
INSTALL_TIMEOUT_S: Final = 300


class NotAvailable(Exception):
    """There is no fuzzing client here, and why."""


def python_27() -> Path:
    """A Python 2.7. Raises NotAvailable."""
    found = shutil.which("python2.7")
    candidates = [Path(found)] if found else []
    candidates += sorted((Path.home() / ".pyenv" / "versions").glob("2.7.*/bin/python"))
    for candidate in candidates:
        with_version = [str(candidate), "-c", "import sys, ctypes; sys.exit(sys.version_info[:2] != (2, 7))"]
        if subprocess.run(with_version, check=False, capture_output=True, timeout=30).returncode == 0:
            return candidate
    raise NotAvailable("there is no Python 2.7 here")


def fuzzing_client() -> Path:
    """The `wstest` command. Raises NotAvailable."""
    python = python_27()
    wanted = hashlib.sha256(f"{python} {VIRTUALENV}".encode() + REQUIREMENTS.read_bytes())
    folder = CACHE / wanted.hexdigest()[:16]
    if not (folder / "installed").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _install(python, folder)
        (folder / "installed").touch()
    return folder / "bin" / "wstest"


def _install(python: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as work:
        tools = Path(work) / "tools"
        _run(Path(sys.executable), "-m", "venv", str(tools))
        _run(tools / "bin" / "python", "-m", "pip", "install", "--quiet", VIRTUALENV)
        _run(tools / "bin" / "virtualenv", "--quiet", "--python", str(python), str(folder))
    _run(folder / "bin" / "pip", "install", "--quiet", "--requirement", str(REQUIREMENTS))


def _run(program: Path, *arguments: str) -> None:
    command: Sequence[str] = (str(program), *arguments)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NotAvailable("the fuzzing client was not installed in time") from error
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise NotAvailable(f"the fuzzing client could not be installed: {why}")


if __name__ == "__main__":
    try:
        python_27()
    except NotAvailable:
        sys.exit(1)
