"""Becoming the person whom a job of the machine is for.

launchd could start the guard as that person (`UserName`), but then it could neither count the starts of a
version on trial nor take it back, as the program is root's, and launchd has no step before a start that
another user takes. So the guard runs as root, and what it executes becomes the person before it does anything
else. systemd has such a step, and starts the gateway as its own user.
"""

import os
import pwd
from collections.abc import Mapping
from typing import Final

from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.refusal import StartRefused

VARIABLE: Final = "OPENCLAWD_USER"
"""Who it is, in the environment of the job: it goes on through every restart in place."""


def become_person(environ: Mapping[str, str]) -> dict[str, str]:
    """What changes in the environment of a process that root has started; nothing of any other. Raises
    StartRefused where there is no such person.
    """
    name = environ.get(VARIABLE)
    if not name or os.geteuid() != 0:
        return {}
    try:
        person = pwd.getpwnam(name)
    except KeyError:
        raise StartRefused(
            ExitCode.CONFIG,
            f"{VARIABLE}: there is no user {name} any more.\n"
            "Install it for somebody else: sudo openclawd gateway install --system --as USER",
        ) from None
    os.initgroups(person.pw_name, person.pw_gid)
    os.setgid(person.pw_gid)
    os.setuid(person.pw_uid)
    return {
        "HOME": person.pw_dir,
        "USER": person.pw_name,
        "LOGNAME": person.pw_name,
        "SHELL": person.pw_shell,
    }
