"""`openclawd health`: what the gateway says about itself."""

import argparse
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from openclawd.cli.arguments import Commands, add_connection, add_json, warn_of_visible_secrets
from openclawd.cli.output import duration, print_facts, print_json
from openclawd.daemon.exit_codes import ExitCode

if TYPE_CHECKING:
    from openclawd.cli.rpc import Rpc


def add_commands(families: Commands) -> None:
    health = families.add_parser(
        "health", help="the health of the running gateway; exit code 0 when it is well"
    )
    add_connection(health)
    add_json(health)
    health.set_defaults(handler=_health)


def _health(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.rpc import converse
    from openclawd.cli.target import endpoints

    async def ask(rpc: "Rpc") -> tuple[dict[str, Any], float]:
        asked = time.monotonic()
        return await rpc.ask("health"), (time.monotonic() - asked) * 1000

    warn_of_visible_secrets(arguments)
    snapshot, took_ms = converse(endpoints(arguments, environ), ask, timeout_ms=arguments.timeout)
    well = snapshot.get("ok") is True
    if arguments.json:
        print_json(snapshot)
    else:
        agents = [_agent(agent) for agent in snapshot.get("agents", [])]
        print_facts(
            [
                ("health", "ok" if well else "not ok"),
                ("answered in", f"{took_ms:.1f} ms"),
                ("agents", ", ".join(agents) or None),
                ("sessions", snapshot.get("sessions", {}).get("count")),
                ("last active", _last_active(snapshot)),
                ("channels", ", ".join(snapshot.get("channelOrder", [])) or "none"),
                *(("warning", each) for each in snapshot.get("configWarnings", [])),
                *(("warning", each) for each in snapshot.get("stateWarnings", [])),
            ]
        )
    return ExitCode.OK if well else ExitCode.UNEXPECTED


def _agent(agent: Mapping[str, Any]) -> str:
    name = str(agent.get("name") or agent.get("agentId"))
    return f"{name} (default)" if agent.get("isDefault") else name


def _last_active(snapshot: Mapping[str, Any]) -> str | None:
    recent = snapshot.get("sessions", {}).get("recent", [])
    if not recent or recent[0].get("age") is None:
        return None
    return f"{recent[0].get('key')}, {duration(recent[0]['age'])} ago"
