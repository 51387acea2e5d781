"""The guard, as a text: what is installed as `<root>/guard` (guard.sh says what it does)."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from openclawd.config.atomic import sync_folder
from openclawd.slots.layout import Installation

_MODE: Final = 0o755
# Inside a slot, as it is built.
_IN_SLOT: Final = Path("_internal") / "openclawd" / "slots" / "guard.sh"
_PATIENCE_S: Final = 10


def guard_text() -> str:
    """This version's."""
    return Path(__file__).with_name("guard.sh").read_text()


def install_guard(installation: Installation, text: str) -> bool:
    """Put it in its place, durably; whether it was another one before. Raises OSError."""
    guard = installation.guard
    if guard.is_file() and guard.read_text() == text and os.access(guard, os.X_OK):
        return False
    beside = guard.with_name(".guard.new")
    with beside.open("w") as file:
        file.write(text)
        os.fchmod(file.fileno(), _MODE)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(guard)
    sync_folder(installation.root)
    return True


def adopt_guard(installation: Installation, version: str) -> bool:
    """Take the guard of a version that has proved itself; whether it was another one. One that the shell
    cannot read is not taken.
    """
    file = installation.slot(version) / _IN_SLOT
    shell = shutil.which("sh") or "/bin/sh"
    try:
        text = file.read_text()
        checked = subprocess.run(  # noqa: S603  the shell, and a file of a version that was verified
            [shell, "-n", file], env={}, capture_output=True, check=False, timeout=_PATIENCE_S
        )
        return checked.returncode == 0 and bool(text) and install_guard(installation, text)
    except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired):
        return False
