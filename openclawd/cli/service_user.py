"""Root asks what would be if the machine's gateway were started: as the user that this one runs as.

To root everything can be read and written, so what stands in that user's way would not be seen.
"""

import os
import pwd
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from openclawd.service.addressed import user_meant

_FOR_ALL: Final = stat.S_IROTH | stat.S_IXOTH


def become_owner(environ: Mapping[str, str]) -> None:
    """For the rest of this process, where root asks about the service of another user, who can read it."""
    if os.geteuid() != 0 or not _is_for_all(Path(sys.executable)):
        return
    try:
        owner = pwd.getpwnam(user_meant(environ) or "root")
    except KeyError:
        return
    if owner.pw_uid != 0:
        os.initgroups(owner.pw_name, owner.pw_gid)
        os.setgid(owner.pw_gid)
        os.setuid(owner.pw_uid)


def _is_for_all(program: Path) -> bool:
    try:
        return all(each.stat().st_mode & _FOR_ALL == _FOR_ALL for each in (program, *program.parents))
    except OSError:
        return False
