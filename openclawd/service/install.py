"""The files that a service needs beside its unit: the program in its slot, the guard, the command, the keys.

Each step may be repeated, says whether it changed anything, and is durable when it returns. Nothing here asks
or prints. The version that runs is changed by `openclawd update` alone: a second version of the program that
is put into an installation becomes the current one only where none is.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from openclawd.config.atomic import sync_folder
from openclawd.service.program import config_home
from openclawd.service.self_unpack import place
from openclawd.service.unit import SECRETS, ServiceSpec, literal
from openclawd.slots.guard import guard_text, install_guard
from openclawd.slots.layout import Installation
from openclawd.slots.progress import update_lock

_PRIVATE: Final = 0o600
_SYSTEM_CONFIG: Final = Path("/etc")
_ENVIRONMENT: Final = """\
# What {unit} gets as its environment: one NAME=value a line, such as a model provider's key.
# ANTHROPIC_API_KEY=...
# After a change: {restart}
"""
PLACES: Final = ("OPENCLAW_STATE_DIR", "OPENCLAW_CONFIG_PATH", "OPENCLAW_HOME")
"""Where the state is, if somebody said so; a service that looked elsewhere would be another gateway."""


@attrs.frozen
class Placed:
    """The program in its installation."""

    version: str
    current: str
    """What the service runs: another version where one was there before."""

    changed: bool


class NoPrograms(Exception):
    """Nothing that lies there is executed."""


def place_program(installation: Installation) -> Placed:
    """Have this program in a slot, and the guard in front. Raises OSError, NoPrograms, AnotherBuild,
    UpdateUnderWay.
    """
    installation.root.mkdir(mode=0o755, parents=True, exist_ok=True)
    # statvfs(3); systems that have no such flag let the slot be found incomplete.
    if os.statvfs(installation.root).f_flag & getattr(os, "ST_NOEXEC", 0):
        raise NoPrograms(f"{installation.root} may hold no programs: what it lies on is mounted noexec.")
    # With it the folder of updates is there from the start: the guard looks whether it may write into it.
    with update_lock(installation):
        version, changed = place(installation)
        current = installation.current_version()
        if current is None or not installation.is_complete(current):
            installation.swap(version)
            current, changed = version, True
        if install_guard(installation, guard_text()):
            changed = True
        return Placed(version, current, changed)


class InTheWay(Exception):
    """Something that is not ours has the place of the command's link; it was left alone."""


def link_command(link: Path, installation: Installation, running: Path) -> bool:
    """Have `link` lead to the current version; whether it did not yet. What this very program was downloaded
    as makes room for it. Raises InTheWay, OSError.
    """
    entry = installation.entry
    target = Path(os.path.relpath(entry, link.parent)) if _share_home(link, entry) else entry
    if link.is_symlink():
        if link.readlink() == target:
            return False
    elif link.exists() and not (running.exists() and link.samefile(running)):
        raise InTheWay(f"{link} is another program.")
    link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    beside = link.with_name(f".{link.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    beside.replace(link)
    sync_folder(link.parent)
    return True


def environment_file(environ: Mapping[str, str], profile: str | None, *, system: bool) -> Path:
    """The file for keys of a service: what `%E` of its unit stands for."""
    folder = _SYSTEM_CONFIG if system else config_home(environ)
    return folder / "openclawd" / f"environment{'' if profile is None else f'-{profile}'}"


def make_environment_file(file: Path, unit: str, restart: str) -> bool:
    """Have a file for keys that nobody else can read; whether anything had to be done. Raises OSError."""
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE)
        with os.fdopen(descriptor, "w") as written:
            written.write(_ENVIRONMENT.format(unit=unit, restart=restart))
        return True
    if mode & 0o077:
        file.chmod(_PRIVATE)
        return True
    return False


def written_for_systemd(path: Path, home: Path, *, system: bool) -> str:
    """A path as a unit has it: of a user's service below the home, so that the unit fits any user."""
    if not system and path.is_relative_to(home) and path != home:
        return f"%h/{literal(str(path.relative_to(home)))}"
    return literal(str(path))


def places(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The variables that say where the state is, for the unit."""
    return tuple((name, literal(environ[name])) for name in PLACES if environ.get(name, "").strip())


def credentials(files: Mapping[str, str | None]) -> tuple[tuple[str, str], ...]:
    """Of `--token-file` and `--password-file`, what the unit loads."""
    given = ((secret, files.get(secret)) for secret in SECRETS)
    return tuple((secret, os.path.abspath(file)) for secret, file in given if file is not None)  # noqa: PTH100


def is_readable_by_service(spec: ServiceSpec) -> bool:
    """Whether a user of its own gets at the program: what lies in a home is hidden from it."""
    hidden = ("/home/", "/root/", "/tmp/", "/var/tmp/")  # noqa: S108  hidden, not used
    return not (spec.is_confined and any(word.startswith(hidden) for word in spec.program))


def _share_home(link: Path, entry: Path) -> bool:
    """Whether both would move together, as below one home; a link across the system says where it leads."""
    return len(Path(os.path.commonpath((link, entry))).parts) > 2
