"""`openclawd gateway`: run it, ask it, see how it is."""

import argparse
import gc
import json
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from openclawd.cli import access, check, gateway_status, install, restart, start, stop
from openclawd.cli.arguments import (
    Commands,
    add_connection,
    add_json,
    add_secrets,
    refuse_run_options,
    warn_of_visible_secrets,
)
from openclawd.cli.failure import Failure
from openclawd.cli.output import print_json
from openclawd.daemon.exit_codes import ExitCode

if TYPE_CHECKING:
    from openclawd.cli.rpc import Rpc

_BINDS: Final = ("loopback", "lan", "auto", "tailnet", "custom")
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


def _run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    # A restart or a reload that is asked for already waits until somebody heeds it, and does not kill.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2))
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
