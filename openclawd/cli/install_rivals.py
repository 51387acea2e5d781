"""Who has already what a service would need, before anything is changed for it: the state, or the port.

A service that could only fail is not installed: systemd would start it again and again for half an hour.
"""

import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from openclawd.cli.failure import Failure
from openclawd.cli.output import shown
from openclawd.cli.service import as_typed
from openclawd.config.paths import resolve_paths
from openclawd.config.problems import ConfigError
from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.port_holder import listener_command, neighbour, port_holder
from openclawd.daemon.refusal import StartRefused
from openclawd.service.control_group import service_around

_OWN_UNITS: Final = ("openclawd.", "openclawd-")


def refuse_another_gateway(environ: Mapping[str, str]) -> None:
    """What somebody has started by hand holds the state: the service could only fail."""
    from openclawd.cli.service_unit import unit_of
    from openclawd.daemon.lock import running_pid

    state = resolve_paths(environ)
    pid = running_pid(state.lock_file)
    if pid is not None and unit_of(pid) is None and os.getpid() != pid:
        raise Failure(
            f"Process {pid} already runs the gateway for {shown(state.state_dir)}, outside of any service.",
            cure="End it first: openclawd gateway stop",
        )


def refuse_taken_port(environ: Mapping[str, str], port: int | None) -> None:
    """Another program, stock's own perhaps, listens where this gateway would; `port` is the flag's."""
    from openclawd.cli.target import settings_for
    from openclawd.config.settings import Flags
    from openclawd.daemon.sockets import bind_tcp

    try:
        settings = settings_for(resolve_paths(environ), environ, Flags(port=port))
        for bound in bind_tcp(settings):
            bound.close()
    except ConfigError:
        return  # its start says so, with the words of the config
    except StartRefused as refused:
        if refused.exit_code is not ExitCode.BUSY:
            return
        holder = port_holder(settings.port)
        if holder is not None and holder.is_keeper:
            return
        said, *_ = str(refused).splitlines()
        end = end_of_holder(settings.port)
        cure = f"have another port: {as_typed()} --port {neighbour(settings.port)}"
        cure = f"{end}\nOr {cure}" if end is not None else f"{cure[:1].upper()}{cure[1:]}"
        raise Failure(said, cure=cure) from refused


def end_of_holder(port: int, proc: Path = Path("/proc")) -> str | None:
    """What ends for good whoever listens on `port`: a service would be there again after the next boot. None
    where that is a gateway of ours, of another profile or another user.
    """
    holder = port_holder(port, proc)
    if holder is None:
        return f"End that program first; root sees which it is: {listener_command(port)}"
    unit = service_around(holder.pid, proc)
    if unit is not None and unit.startswith(_OWN_UNITS):
        return None
    if unit is None:
        return "End that program first."
    try:
        process = proc / str(holder.pid)
        of_user = "/user@" in (process / "cgroup").read_text()
        owner = process.stat().st_uid
        of_another = f" -M {pwd.getpwuid(owner).pw_name}@" if owner != os.geteuid() else ""
    except (OSError, KeyError):
        return "End that program first."
    sudo = "" if os.geteuid() == 0 else "sudo "
    systemctl = f"systemctl --user{of_another}" if of_user else f"{sudo}systemctl"
    return f"End that one for good: {systemctl} disable --now {unit}"
