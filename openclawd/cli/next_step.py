"""The one command that `gateway status` ends in. Pure."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from openclawd.daemon.port_holder import way_out
from openclawd.service.ends import cure
from openclawd.service.standing import Condition
from openclawd.service.systemctl import Systemctl

if TYPE_CHECKING:
    from openclawd.cli.gateway_seen import Seen

# After so long nobody waits for a device that was turned away.
_RECENT_MS = 3_600_000


def next_step(seen: "Seen") -> str:
    """What helps most, or where to look."""
    if seen.running is not None:
        return _of_running(seen, seen.running)
    standing = seen.standing
    if seen.taken_port is not None:
        return _with_sudo(seen, way_out(seen.taken_port[0]))
    starts = standing is not None and standing.condition is Condition.STARTING and seen.end is not None
    if seen.pid is not None and not starts:
        # Alive and deaf: its log has what it waits for, its stack included.
        return _with_sudo(seen, "openclawd logs -n 50")
    if seen.config_problem:
        return _with_sudo(seen, "openclawd config validate")
    if standing is None:
        return "openclawd gateway" if seen.stopped_well is not False else "openclawd logs -n 50"
    if standing.wakes is not None:
        return standing.wakes
    match standing.condition:
        case Condition.STARTING | Condition.STOPPING if seen.end is not None:
            # Once more; what ended the others ends this one, too.
            return cure(attrs.evolve(standing, end=seen.end), as_root=seen.as_root)
        case Condition.STOPPED:
            if seen.end is not None and seen.end.code not in {0, None}:
                return cure(standing, as_root=seen.as_root)
            return _with_sudo(seen, "openclawd gateway start")
        case Condition.FAILED | Condition.WAITING:
            return cure(standing, as_root=seen.as_root)
        case Condition.RUNNING if not standing.of_user:
            # It runs, and only its user and root may ask it.
            return _with_sudo(seen, "openclawd gateway status")
        case _:
            return _with_sudo(seen, "openclawd logs -f")


def _of_running(seen: "Seen", found: Mapping[str, Any]) -> str:
    standing, update = seen.standing, seen.update or {}
    if found.get("lifecycle") not in {None, "ready"}:
        return "openclawd logs -f"
    if "trial" in update or "progress" in update:
        return "openclawd update status"
    refused = found.get("restartProblem")
    if any(refused is None or refused not in each for each in found.get("configWarnings") or ()):
        # What is wrong may be beside the file: a certificate, an address.
        return "openclawd gateway check" if seen.config_is_valid else "openclawd config validate"
    if refused is not None:
        return "openclawd gateway check"
    if found.get("restartRequiredFor"):
        return "openclawd gateway restart"
    if seen.unwritable is not None and seen.unwritable.cure is not None:
        return seen.unwritable.cure
    for warning in found.get("stateWarnings") or ():
        if warning.get("failing"):
            return str(warning.get("cure"))
    if standing is not None and standing.pid != seen.pid:
        # Two want to be it; the service's turn comes when the other one ends.
        return "openclawd gateway stop && openclawd gateway start"
    if found.get("devicesWaiting"):
        return "openclawd devices list"
    if standing is not None and standing.of_user and standing.enabled and standing.lingers is False:
        return "loginctl enable-linger"
    if seen.unit is not None and seen.unit.said is not None:
        return seen.unit.command
    if standing is not None and standing.supervisor == "systemd" and not standing.enabled:
        return f"{Systemctl(standing.of_user).command} enable {standing.name}"
    recent = (each for each in seen.refused if seen.now_ms - float(each.get("ts") or 0) < _RECENT_MS)
    if step := next((str(each["next"]) for each in recent if each.get("next")), None):
        return step
    available = found.get("updateAvailable")
    if isinstance(available, Mapping):
        return "openclawd update run"
    return "openclawd status" if found.get("pid") is not None else "openclawd logs -f"


def _with_sudo(seen: "Seen", command: str) -> str:
    machines = seen.standing is not None and not seen.standing.of_user
    return f"sudo {command}" if machines and not seen.as_root else command
