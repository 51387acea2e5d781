"""Who has the port that a gateway could not have."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from openclawd.cli.target import settings_for
from openclawd.config.paths import Paths
from openclawd.config.problems import ConfigError
from openclawd.daemon.port_holder import port_holder
from openclawd.service.control_group import service_around

_PID: Final = re.compile(r"\(pid (\d+)\)$")
# It keeps our own sockets for the next process.
_SUPERVISOR: Final = "systemd ("


def taken_port(
    paths: Paths, environ: Mapping[str, str], proc: Path = Path("/proc")
) -> tuple[int, str] | None:
    """The port of the config, and the process that listens there: `python3 (pid 9) of web.service`.

    None where nobody does, or where that cannot be told: other users' processes are root's to see.
    """
    try:
        port = settings_for(paths, environ).port
    except ConfigError:
        return None
    holder = port_holder(port, proc)
    if holder is None or holder.startswith(_SUPERVISOR):
        return None
    pid = _PID.search(holder)
    unit = service_around(int(pid[1]), proc) if pid is not None else None
    return port, holder if unit is None else f"{holder} of {unit}"
