"""How a gateway runs, by its own word."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from openclawd.cli.output import duration

if TYPE_CHECKING:
    from openclawd.cli.rpc import Rpc

# The life that begins with the first restart.
_SECOND: Final = 2


async def running_gateway(rpc: "Rpc") -> dict[str, Any]:
    """How the gateway runs: what its hello tells, and what ours adds to `status` (stock's does not)."""
    status = await rpc.ask("status")
    snapshot = rpc.hello.get("snapshot", {})
    known = {
        "version": rpc.hello.get("server", {}).get("version"),
        "uptimeMs": snapshot.get("uptimeMs"),
        "authMode": snapshot.get("authMode"),
        "stateDir": snapshot.get("stateDir"),
        "configFile": snapshot.get("configPath"),
    }
    return {"running": True, **known, **status.get("openclawd", {})}


def lifecycle_of(found: Mapping[str, Any]) -> str | None:
    """Where the gateway stands, while it does not simply serve."""
    lifecycle = found.get("lifecycle")
    return None if lifecycle == "ready" else lifecycle


def last_restart_of(found: Mapping[str, Any]) -> str | None:
    """When and why it last restarted in place, how long nobody was served, how often it did."""
    last, generation = found.get("lastRestart"), found.get("generation")
    if not isinstance(last, Mapping) or not isinstance(generation, int):
        return None
    ago = duration(max(0.0, time.time() * 1000 - last.get("atMs", 0)))
    said = f"{ago} ago, in {duration(last.get('gapMs', 0))}: {last.get('reason')}"
    return said if generation == _SECOND else f"{generation - 1} times, last {said}"


def refused_restart_of(found: Mapping[str, Any]) -> str | None:
    """Why a restart that was asked for since then did not happen, and since when; or that one is needed."""
    problem, at_ms = found.get("restartProblem"), found.get("restartProblemAtMs")
    keys = ", ".join(found.get("restartRequiredFor") or ())
    if problem is None:
        return f"needed for {keys}, and not asked for yet" if keys else None
    since = "" if at_ms is None else f" {duration(max(0.0, time.time() * 1000 - at_ms))} ago"
    if not keys:
        return f"the last one was refused{since}: {problem}"
    # A file that cannot be used is waited for.
    again = any(problem in each for each in found.get("configWarnings") or ())
    return f"needed for {keys}, refused{since}{', and tried again by itself' if again else ''}: {problem}"


def listening_of(found: Mapping[str, Any]) -> str | None:
    """Its port, and where that is open to."""
    if found.get("port") is None:
        return None
    return ", ".join(
        [f"port {found['port']}", *(str(found[key]) for key in ("bind", "address") if found.get(key))]
    )
