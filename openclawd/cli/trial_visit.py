"""One visit of a gateway over its local socket, as its owner: what it is, and what it answers."""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from openclawd.cli.failure import Failure, NotRunning
from openclawd.cli.probes import TIMEOUT_S
from openclawd.cli.rpc import Rpc, converse
from openclawd.cli.target import local_socket
from openclawd.config.paths import Paths

_DECISIONS: Final = 256
# What every client asks for when it comes; none of it changes anything, or takes long.
READS: Final[Mapping[str, object]] = {
    "agents.list": {},
    "chat.history": {"sessionKey": "main", "limit": 1},
    "config.get": {},
    "device.pair.list": {},
    "health": {},
    "sessions.list": {"limit": 1},
}


@attrs.frozen(eq=False, repr=False)
class Seen:
    """What one visit over the local socket tells."""

    version: str
    life: int
    address: tuple[str, int]
    tls: bool
    decisions: tuple[Mapping[str, Any], ...]
    connected: frozenset[str]
    """Devices."""

    counts: Mapping[str, int]
    """How much there is of what nobody wants to lose."""

    unread: Mapping[str, str]
    """Of READS, what was not answered, and why."""


def visit(paths: Paths) -> Seen:
    """Raises Failure."""
    found = list(local_socket(paths))
    if not found:
        raise NotRunning(f"no gateway listens for {paths.state_dir}")
    try:
        return converse(found, _look_around, timeout_ms=int(TIMEOUT_S * 1000))
    except Failure:
        raise
    except Exception as error:  # whatever a version that is not well answers
        raise Failure(f"what the gateway answers makes no sense: {type(error).__name__}: {error}") from error


def one_line(text: str) -> str:
    """For a reason that is one."""
    return " ".join(text.split()).rstrip(".")


async def _look_around(rpc: Rpc) -> Seen:
    status = await rpc.ask("status")
    running = status.get("openclawd", {})
    admissions = await rpc.ask("gateway.admissions", {"limit": _DECISIONS})
    presence = await rpc.ask("system-presence", {})
    unread: dict[str, str] = {}
    answers: dict[str, Any] = {}
    for method, params in READS.items():
        try:
            answers[method] = await rpc.ask(method, params)
        except Failure as failure:
            unread[method] = one_line(failure.message)
    counts = {
        "conversations": int(status.get("sessions", {}).get("count", 0)),
        "paired devices": len(answers.get("device.pair.list", {}).get("paired", ())),
    }
    return Seen(
        version=str(rpc.hello.get("server", {}).get("version")),
        life=int(running.get("startedAtMs", 0)),
        address=(str(running.get("address")), int(running.get("port", 0))),
        tls=running.get("tlsFingerprint") is not None,
        decisions=tuple(each for each in admissions.get("recent", ()) if isinstance(each, dict)),
        connected=frozenset(each["deviceId"] for each in presence if each.get("deviceId")),
        counts=counts,
        unread=unread,
    )
