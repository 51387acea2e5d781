"""Who listens on a port, for the error text when it is taken.

Linux: /proc/net/tcp and tcp6 (proc(5)) give the socket's inode, /proc/PID/fd the process that has it open;
other users' processes stay unnamed. Elsewhere there is no such list without a tool, and the text does
without.
"""

import sys
from pathlib import Path
from typing import Final

import attrs

# proc_net_tcp(5): state 0A is TCP_LISTEN.
_LISTEN: Final = "0A"
_LAST_PORT: Final = 65535
_KEEPER: Final = "systemd"


@attrs.frozen
class Holder:
    """A process that listens."""

    name: str
    pid: int

    @property
    def is_keeper(self) -> bool:
        """Whether that is systemd, which listens for the gateway that is to come."""
        return self.name == _KEEPER

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def neighbour(port: int) -> int:
    """Another port, for who cannot have this one."""
    return port + 1 if port < _LAST_PORT else port - 1


def way_out(port: int) -> str:
    """The command for who cannot have `port`."""
    return f"openclawd config set gateway.port {neighbour(port)}"


def listener_command(port: int) -> str:
    """What shows root who listens there."""
    if sys.platform == "darwin":
        return f"sudo lsof -nP -iTCP:{port} -sTCP:LISTEN"
    return f"sudo ss -ltnp 'sport = :{port}'"


def port_holder(port: int, proc: Path = Path("/proc")) -> Holder | None:
    """The process that listens on TCP `port`, or None when that cannot be told.

    systemd only where nobody else does: it keeps a copy of what a service listens on.
    """
    inodes = _listening_inodes(port, proc)
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    keeper = None
    for process in proc.glob("[0-9]*"):
        try:
            if any(str(descriptor.readlink()) in wanted for descriptor in (process / "fd").iterdir()):
                found = Holder((process / "comm").read_text().strip(), int(process.name))
                if not found.is_keeper:
                    return found
                keeper = found
        except OSError:
            continue  # gone meanwhile, or another user's
    return keeper


def _listening_inodes(port: int, proc: Path) -> set[str]:
    inodes: set[str] = set()
    for table in ("tcp", "tcp6"):
        try:
            rows = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes
