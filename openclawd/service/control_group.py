"""Which service of systemd a process is in, whoever started it: the kernel's word."""

import re
from pathlib import Path
from typing import Final

# cgroups(7): `0::/path`, and with version 1 the hierarchy that systemd keeps for itself.
_HIERARCHY: Final = re.compile(r"^(?:0:|\d+:name=systemd):(/.+)$", re.MULTILINE)


def service_around(pid: int, proc: Path = Path("/proc")) -> str | None:
    """The innermost unit that it is in, if that is a service: `openclawd.service`; it may have any name."""
    try:
        found = _HIERARCHY.search((proc / str(pid) / "cgroup").read_text())
    except OSError:
        return None
    name = found[1].rpartition("/")[2] if found is not None else ""
    return name if name.endswith(".service") else None
