"""Who has the port that a gateway could not have."""

from collections.abc import Mapping
from pathlib import Path

from openclawd.cli.target import settings_for
from openclawd.config.paths import Paths
from openclawd.config.problems import ConfigError
from openclawd.daemon.port_holder import port_holder
from openclawd.service.control_group import service_around


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
    if holder is None or holder.is_keeper:
        return None
    unit = service_around(holder.pid, proc)
    return port, f"{holder}" if unit is None else f"{holder} of {unit}"
