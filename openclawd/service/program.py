"""What a unit starts: the program of this process, by a path that will still mean it after the next update.

A frozen program that a person downloaded is put into an installation first (self_unpack.py), and started
through its guard. What a package manager put somewhere (a .deb, pip, pipx) stays there: it is that one's to
replace, and has no guard.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

_NAME: Final = "openclawd"
SYSTEM_ROOT: Final = Path("/opt/openclawd")
SYSTEM_COMMAND: Final = Path("/usr/local/bin/openclawd")


@attrs.frozen
class Program:
    """`words` start it; `is_portable`: it may be put into an installation."""

    words: tuple[str, ...]
    is_portable: bool


def running_program() -> Program:
    """The one of this process."""
    if getattr(sys, "frozen", False):
        executable = Path(sys.executable)
        packaged = _packaged(executable)
        return Program((str(packaged or executable),), is_portable=packaged is None)
    script = Path(os.path.abspath(sys.argv[0]))  # noqa: PTH100  a link in it stays a link
    if script.name == _NAME and os.access(script, os.X_OK):
        return Program((str(script),), is_portable=False)
    return Program((sys.executable, "-m", _NAME), is_portable=False)


def default_root(home: Path, *, system: bool) -> Path:
    """Where an installation is put unless somebody says where."""
    return SYSTEM_ROOT if system else home / ".local" / "lib" / _NAME


def command_link(home: Path, *, system: bool) -> Path:
    """The link by which people call it."""
    return SYSTEM_COMMAND if system else home / ".local" / "bin" / _NAME


def home_of(environ: Mapping[str, str]) -> Path:
    """The user's home folder, as programs of this user see it."""
    return Path(environ.get("HOME") or Path.home())


def config_home(environ: Mapping[str, str]) -> Path:
    """~/.config, or what a user has in its place: %E of a unit."""
    return Path(environ.get("XDG_CONFIG_HOME") or home_of(environ) / ".config")


def is_on_path(link: Path, environ: Mapping[str, str]) -> bool:
    """Whether a shell finds `link` by its name alone."""
    found = shutil.which(link.name, path=environ.get("PATH", ""))
    return found is not None and Path(found).resolve() == link.resolve()


def _packaged(executable: Path) -> Path | None:
    """The command of a package that this program belongs to: it lies below /usr, where no person puts one."""
    if not executable.is_relative_to("/usr") or executable.is_relative_to("/usr/local"):
        return None
    command = Path("/usr/bin") / _NAME
    return command if command.resolve() == executable.resolve() else executable
