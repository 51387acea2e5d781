"""Whose gateway root means: the one that runs as a service of the system, where root has none of its own.

So `sudo openclawd status` finds it, and so does every other command. Only files are read; a person who says
where the state is (OPENCLAW_STATE_DIR, OPENCLAW_HOME) means that.
"""

import os
import pwd
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from openclawd.config.paths import resolve_paths
from openclawd.config.problems import ConfigError
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
    try:
        own = resolve_paths(environ).own_dir
    except ConfigError:
        return environ  # the command itself says what is wrong
    profile = environ.get("OPENCLAW_PROFILE", "").strip()
    named = None if profile in {"", "default"} else profile
    found = () if own.exists() else settings_of_system_unit(named, root)
    return {**environ, **dict(found)}


def settings_of_system_unit(profile: str | None, root: Path = Path("/")) -> tuple[tuple[str, str], ...]:
    """Where the gateway of a system's unit has its state, as a variable; nothing without such a unit."""
    for folder in _FOLDERS:
        try:
            text = (root / folder / f"{unit_name(profile)}.service").read_text(errors="replace")
        except OSError:
            continue
        settings = dict(_SETTING.findall(text))
        if folder_name := settings.get("StateDirectory"):
            return (("OPENCLAW_STATE_DIR", str(_STATE / folder_name)),)
        user = settings.get("User", "")
        if user not in {"", OWN_USER}:
            try:
                return (("OPENCLAW_HOME", pwd.getpwnam(user).pw_dir),)
            except KeyError:
                return ()
    return ()
