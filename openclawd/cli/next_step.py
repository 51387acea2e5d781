"""The one command that `gateway status` ends in. Pure."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from openclawd.service.ends import cure
from openclawd.service.standing import Condition

if TYPE_CHECKING:
    from openclawd.cli.gateway_seen import Seen

# After so long nobody waits for a device that was turned away.
_RECENT_MS = 3_600_000


def next_step(seen: "Seen") -> str:
    """What helps most, or where to look."""
    if seen.running is not None:
        return _of_running(seen, seen.running)
    standing = seen.standing
    if seen.pid is not None:
        # Alive and deaf: its log has what it waits for, its stack included.
        return _with_sudo(seen, "openclawd logs -n 50")
    if seen.config_problem:
        return _with_sudo(seen, "openclawd config validate")
    if standing is None:
        return "openclawd gateway" if seen.stopped_well is not False else "openclawd logs -n 50"
    match standing.condition:
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
    if found.get("restartProblem") is not None:
        return "openclawd gateway check"
    if found.get("configWarnings"):
        return "openclawd config validate"
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
