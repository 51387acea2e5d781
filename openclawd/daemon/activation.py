"""Sockets that a service manager opened for us before we ran (sd_listen_fds(3)).

They begin at descriptor 3, and the environment says how many there are and for which process. systemd hands
over what it listens on itself (socket units) and what it keeps for us (its FD store, daemon/fd_store.py) in
the same way. launchd is asked (daemon/launchd.py).
"""

import os
import socket
import stat
from collections.abc import Iterable, MutableMapping
from contextlib import suppress
from typing import Final

from openclawd.daemon.handover import sockets_of
from openclawd.daemon.launchd import activated_descriptors

# SD_LISTEN_FDS_START.
FIRST: Final = 3
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def announced(environ: MutableMapping[str, str], pid: int) -> range:
    """The descriptors that are meant for process `pid`. The variables are taken away, whomever they mean:
    what we start, and what we become, must not find them.
    """
    words = {name: environ.pop(name, "") for name in _VARIABLES}
    if not all(words[name].isascii() and words[name].isdigit() for name in ("LISTEN_PID", "LISTEN_FDS")):
        return range(0)
    if int(words["LISTEN_PID"]) != pid:
        return range(0)
    return range(FIRST, FIRST + int(words["LISTEN_FDS"]))


def given_sockets(
    handed_over: Iterable[int] | None, environ: MutableMapping[str, str], pid: int
) -> list[socket.socket]:
    """Every socket that is open for process `pid` already: from the generation before, whose descriptors are
    `handed_over` (None without one), and from the service manager. No child inherits them.
    """
    descriptors = [] if handed_over is None else list(handed_over)
    for descriptor in announced(environ, pid):
        try:
            is_socket = stat.S_ISSOCK(os.fstat(descriptor).st_mode)
        except OSError:
            break  # they have no gaps
        if is_socket:
            descriptors.append(descriptor)
        else:
            with suppress(OSError):
                os.close(descriptor)
    if handed_over is None:
        descriptors += activated_descriptors(environ)
    found = sockets_of(descriptors)
    for each in found:
        each.set_inheritable(False)
    return found
