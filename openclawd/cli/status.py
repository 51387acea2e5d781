"""`openclawd status`: the gateway on one screen, and what is open wider than it need be."""

import argparse
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from openclawd.cli.arguments import Commands, add_connection, add_json, warn_of_visible_secrets
from openclawd.cli.failure import Failure
from openclawd.cli.output import duration, print_facts, print_json
from openclawd.daemon.exit_codes import ExitCode

if TYPE_CHECKING:
    from openclawd.cli.finding import Finding
    from openclawd.cli.rpc import Rpc


def add_commands(families: Commands) -> None:
    status = families.add_parser(
        "status", help="the gateway on one screen, with what could be safer; exit code 0 when it runs"
    )
    add_connection(status)
    add_json(status)
    status.set_defaults(handler=_status)


def _status(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.rpc import converse
    from openclawd.cli.target import endpoints

    warn_of_visible_secrets(arguments)
    failure: Failure | None = None
    found: dict[str, Any] = {"running": False}
    try:
        found = converse(endpoints(arguments, environ), _ask, timeout_ms=arguments.timeout)
    except Failure as error:
        if error.exit_code == ExitCode.USAGE:
            raise
        failure = error
    warnings = list(_warnings(arguments, environ, found))
    if arguments.json:
        said = failure.document() if failure is not None else {}
        print_json({**found, **said, "warnings": [each.document() for each in warnings]})
    else:
        _print(found, failure, warnings)
    return ExitCode.OK if failure is None else failure.exit_code


async def _ask(rpc: "Rpc") -> dict[str, Any]:
    from openclawd.cli.running import running_gateway

    found = await running_gateway(rpc)
    if "gateway.admissions" in rpc.hello.get("features", {}).get("methods", []):
        found["lastRefused"] = next(iter(await last_refused(rpc, 1)), None)
    return found


async def last_refused(rpc: "Rpc", most: int) -> list[Mapping[str, Any]]:
    """Who was turned away last, newest first; nothing of a gateway that does not tell."""
    from openclawd.cli.doctor_mark import is_mark

    if "gateway.admissions" not in rpc.hello.get("features", {}).get("methods", []):
        return []
    recent = (await rpc.ask("gateway.admissions", {})).get("recent", [])
    # What `openclawd doctor` tries without a secret is meant to be refused.
    refused = (
        each for each in recent if each.get("outcome") == "refused" and not is_mark(each.get("version"))
    )
    return [*islice(refused, most)]


def _warnings(
    arguments: argparse.Namespace, environ: Mapping[str, str], found: Mapping[str, Any]
) -> "Iterator[Finding]":
    from openclawd.cli.posture import exposure, files, state
    from openclawd.config.paths import resolve_paths

    yield from exposure(found)
    if not arguments.url:
        paths = resolve_paths(environ)
        yield from state(paths, found)
        yield from files(paths)


def _print(found: Mapping[str, Any], failure: Failure | None, warnings: "list[Finding]") -> None:
    from openclawd.cli.called import as_typed_here
    from openclawd.cli.finding import print_findings

    if failure is not None:
        print(as_typed_here(failure.text()))
    else:
        print_facts(_facts(found))
    if warnings:
        print()
        print_findings(warnings)


def _facts(found: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    from openclawd.cli.running import last_restart_of, lifecycle_of, refused_restart_of

    up_ms, clients, runs = found.get("uptimeMs"), found.get("clients"), found.get("runs")
    up = f", up {duration(up_ms)}" if isinstance(up_ms, int) else ""
    pid = f", process {found['pid']}" if found.get("pid") is not None else ""
    yield "gateway", f"running{pid}, version {found.get('version')}{up}"
    yield "now", lifecycle_of(found)
    yield "restarted", last_restart_of(found)
    yield "restart", refused_restart_of(found)
    if found.get("port") is not None:
        tls = "TLS" if found.get("tlsFingerprint") else "no TLS"
        yield "listening", f"port {found['port']}, {found.get('bind')}, {found.get('address')}, {tls}"
    strong = found.get("strongSecret")
    strength = "" if strong is None else ", strong" if strong else ", weak"
    yield "auth", f"{found.get('authMode')}{strength}"
    # This command is one of them.
    yield "clients", None if clients is None else f"{max(0, clients - 1)} besides this command"
    waiting = found.get("devicesWaiting")
    yield "waiting", f"{waiting} device{'s' * (waiting > 1)}: openclawd devices list" if waiting else None
    yield "answering", None if runs is None else f"{runs} run{'s' * (runs != 1)} now"
    yield "refused", refused_line(found.get("lastRefused"))
    for name, key in (
        ("model", "model"),
        ("config", "configFile"),
        ("state", "stateDir"),
        ("log", "logFile"),
    ):
        yield name, found.get(key)
    refused = found.get("restartProblem")
    for warning in found.get("configWarnings", []):
        if refused is None or refused not in warning:
            yield "warning", warning


def refused_line(record: object) -> str | None:
    """A decision of `gateway.admissions`, in a line."""
    if not isinstance(record, Mapping):
        return None
    ago_ms = time.time() * 1000 - float(record.get("ts", 0))
    who = record.get("origin") or record.get("client") or "somebody"
    said = f"{duration(max(0.0, ago_ms))} ago: {who} at {record.get('address')}, {record.get('reason')}"
    step = record.get("next")
    return f"{said} ({step})" if step else said
