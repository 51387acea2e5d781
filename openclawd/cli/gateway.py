"""`openclawd gateway`: run it, ask it, see how it is."""

import argparse
import gc
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from openclawd.cli import access, check, gateway_status, install, restart, start, stop
from openclawd.cli.arguments import (
    Commands,
    add_connection,
    add_json,
    add_secrets,
    warn_of_visible_secrets,
)
from openclawd.cli.failure import Failure
from openclawd.cli.output import duration, print_json
from openclawd.daemon.exit_codes import ExitCode

if TYPE_CHECKING:
    from openclawd.cli.rpc import Rpc

_BINDS: Final = ("loopback", "lan", "auto", "tailnet", "custom")
# The life that begins with the first restart.
_SECOND: Final = 2
_AUTH_MODES: Final = ("none", "token", "password", "trusted-proxy")


def add_commands(families: Commands) -> None:
    gateway = families.add_parser("gateway", help="start the gateway, or ask it something")
    _add_run_options(gateway)
    gateway.set_defaults(handler=_run, serves=True)
    actions = gateway.add_subparsers(title="commands", metavar="COMMAND")

    def add_action(name: str, explanation: str) -> argparse.ArgumentParser:
        # SUPPRESS: `gateway --port 1 run` keeps what stood before `run`.
        action = actions.add_parser(name, help=explanation, argument_default=argparse.SUPPRESS)
        action.set_defaults(serves=False)
        return action

    run = add_action("run", "start it (the same without the word)")
    _add_run_options(run)
    run.set_defaults(handler=_run, serves=True)

    call = add_action("call", "call a method of the protocol")
    call.add_argument("method", metavar="METHOD", help="such as health, status or chat.history")
    call.add_argument("--params", default=None, metavar="JSON", help="the params of the call")
    add_connection(call)
    add_json(call)
    call.set_defaults(handler=_call)

    gateway_status.add_command(add_action)
    install.add_command(add_action)
    start.add_commands(add_action)
    restart.add_command(add_action)
    stop.add_command(add_action)
    check.add_command(add_action, _add_run_options)
    access.add_commands(add_action)


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", metavar="N", help="the port (default: the config's, else 18789)")
    parser.add_argument(
        "--bind", choices=_BINDS, help="where to listen (default: the config's, else loopback)"
    )
    parser.add_argument("--auth", choices=_AUTH_MODES, help="what a client must present")
    add_secrets(parser)
    parser.add_argument(
        "--allow-unconfigured", action="store_true", help="accepted; no config is needed anyway"
    )
    parser.add_argument("--verbose", action="store_true", help="log details and tracebacks to the terminal")
    parser.add_argument("--json", action="store_true", help="log JSON lines to the terminal")


def refuse_run_options(arguments: argparse.Namespace, action: str) -> None:
    """What stood before `action` and means nothing to it must not look as if it did."""
    for name in ("bind", "auth", "allow_unconfigured", "verbose"):
        if getattr(arguments, name):
            raise Failure(
                f"openclawd gateway {action}: --{name.replace('_', '-')} is for starting the gateway.",
                cure=f"See: openclawd gateway {action} --help",
                exit_code=ExitCode.USAGE,
            )


def refuse_connection_options(arguments: argparse.Namespace, action: str) -> None:
    """`action` is for the gateway of this state directory, and knows the way to it."""
    refuse_run_options(arguments, action)
    for name in ("port", "token", "token_file", "password", "password_file"):
        if getattr(arguments, name) is not None:
            raise Failure(
                f"openclawd gateway {action}: it takes no --{name.replace('_', '-')}.",
                cure=f"It asks the gateway of this state directory: openclawd gateway {action}",
                exit_code=ExitCode.USAGE,
            )


def _run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    # Of every class with slots an unslotted twin is thrown away, two megabytes in all. One look at each new
    # object finds them; what lives is not looked at again while starting, which would cost a tenth of it.
    gc.set_threshold(10_000, 1_000, 1_000)

    import attrs

    from openclawd.cli.target import given_flags
    from openclawd.daemon.main import run
    from openclawd.slots.carried import keep_unpacked

    keep_unpacked()
    warn_of_visible_secrets(arguments)
    flags = attrs.evolve(given_flags(arguments), bind=arguments.bind, auth=arguments.auth)
    return run(flags, environ, verbose=arguments.verbose, json_lines=arguments.json)


def _call(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.rpc import converse
    from openclawd.cli.target import endpoints

    refuse_run_options(arguments, "call")
    try:
        params = None if arguments.params is None else json.loads(arguments.params)
    except json.JSONDecodeError as error:
        raise Failure(
            f"--params is not JSON: {error}",
            cure='For example: openclawd gateway call chat.history --params \'{"sessionKey": "main"}\'',
            exit_code=ExitCode.USAGE,
        ) from error

    async def ask(rpc: "Rpc") -> Any:
        try:
            return await rpc.ask(arguments.method, params)
        except Failure as failure:
            offered = rpc.hello.get("features", {}).get("methods", [])
            if failure.cure is None and arguments.method not in offered:
                import difflib

                near = difflib.get_close_matches(arguments.method, offered, n=1)
                failure.cure = f"Did you mean: openclawd gateway call {near[0]}" if near else None
            raise

    warn_of_visible_secrets(arguments)
    # JSON is the only form that an unknown payload has.
    print_json(converse(endpoints(arguments, environ), ask, timeout_ms=arguments.timeout))
    return ExitCode.OK


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
    """Why a restart that was asked for since then did not happen."""
    problem = found.get("restartProblem")
    return None if problem is None else f"the last one was refused: {problem} (now: openclawd gateway check)"


def listening_of(found: Mapping[str, Any]) -> str | None:
    """Its port, and where that is open to."""
    if found.get("port") is None:
        return None
    return ", ".join(
        [f"port {found['port']}", *(str(found[key]) for key in ("bind", "address") if found.get(key))]
    )
