"""Whose gateway root means: the one that runs as a service of the system, unless one of root's own is
installed or runs. What root tried once and ended long ago is not meant.

So `sudo openclawd status` finds it, and so does every other command. Only files are read; a person who says
where the state is (OPENCLAW_STATE_DIR, OPENCLAW_HOME) means that.
"""

import os
import pwd
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from openclawd.config.paths import profile_of, resolve_paths
from openclawd.config.problems import ConfigError
from openclawd.daemon.lock import running_pid
from openclawd.daemon.person import VARIABLE
from openclawd.service.plist import daemon_file, label_of
from openclawd.service.plist_file import list_in, person_in
from openclawd.service.program import config_home
from openclawd.service.unit import OWN_USER, unit_name

# Where systemd looks for units, first things first (systemd.unit(5)).
_FOLDERS: Final = ("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
_STATE: Final = Path("/var/lib")
_SETTING: Final = re.compile(r"^(User|StateDirectory)=(\S+)$", re.MULTILINE)
_NAMED: Final = ("OPENCLAW_STATE_DIR", "OPENCLAW_HOME")


def addressed(environ: Mapping[str, str], root: Path = Path("/")) -> Mapping[str, str]:
    """The environment in which a command finds the gateway that is meant."""
    if os.geteuid() != 0 or any(environ.get(name) for name in _NAMED):
        return environ
    if person := environ.get(VARIABLE):
        return {**environ, **dict(_home_of(person))}
    try:
        own = resolve_paths(environ)
    except ConfigError:
        return environ  # the command itself says what is wrong
    profile = profile_of(environ)
    unit = config_home(environ) / "systemd" / "user" / f"{unit_name(profile)}.service"
    if unit.exists() or running_pid(own.lock_file) is not None:
        return environ
    return {**environ, **dict(settings_of_system_unit(profile, root))}


def settings_of_system_unit(profile: str | None, root: Path = Path("/")) -> tuple[tuple[str, str], ...]:
    """Where the gateway of a system's unit has its state, as a variable; nothing without such a unit."""
    for settings in _system_units(profile, root):
        if folder_name := settings.get("StateDirectory"):
            return (("OPENCLAW_STATE_DIR", str(_STATE / folder_name)),)
        user = settings.get("User", "")
        if user not in {"", OWN_USER} or "Label" in settings:
            return _home_of(user)
    return ()


def user_meant(environ: Mapping[str, str], root: Path = Path("/")) -> str | None:
    """Whom the gateway of this environment runs as, where that is a service of the system."""
    profile = profile_of(environ)
    found = settings_of_system_unit(profile, root)
    if not found or any(environ.get(name) != value for name, value in found):
        return None
    return next((unit["User"] for unit in _system_units(profile, root) if "User" in unit), None)


def _system_units(profile: str | None, root: Path) -> Iterator[Mapping[str, str]]:
    for folder in _FOLDERS:
        with suppress(OSError):
            text = (root / folder / f"{unit_name(profile)}.service").read_text(errors="replace")
            yield dict(_SETTING.findall(text))
    job = list_in(root / str(daemon_file(label_of(profile))).lstrip("/"))
    if job is not None and (person := person_in(job)) is not None:
        yield {"Label": str(job.get("Label")), "User": person}


def _home_of(user: str) -> tuple[tuple[str, str], ...]:
    try:
        return (("OPENCLAW_HOME", pwd.getpwnam(user).pw_dir),)
    except KeyError:
        return ()
