"""`openclawd gateway check`: whether a gateway could start here with these flags."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

import openclawd
from openclawd.cli.failure import Failure
from openclawd.cli.output import print_json
from openclawd.daemon.exit_codes import ExitCode

if TYPE_CHECKING:
    from openclawd.cli.finding import Finding
    from openclawd.config.settings import Flags

# One that is well answers within milliseconds.
_PATIENCE_MS: Final = 2_000
_SECRETS: Final = ("token", "token_file", "password", "password_file")
# The kernel allows no longer word on a command line (execve(2), MAX_ARG_STRLEN), and there are two.
_MAX_STDIN_CHARS: Final = 512 * 1024


def add_command(
    add_action: Callable[[str, str], argparse.ArgumentParser],
    add_run_options: Callable[[argparse.ArgumentParser], None],
) -> None:
    check = add_action(
        "check", "could it start here, with these options; touches nothing, exit code 0 when it could"
    )
    add_run_options(check)
    check.add_argument(
        "--secrets-from-stdin",
        action="store_true",
        help='read {"token": ...} as JSON: how a gateway that restarts asks the next program',
    )
    check.set_defaults(handler=_check)


def _check(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.finding import print_findings

    found = list(_findings(arguments, environ))
    bad = [exit_code for _, exit_code in found if exit_code]
    if arguments.json:
        shown = [finding.document() for finding, _ in found]
        print_json({"ok": not bad, "version": openclawd.__version__, "findings": shown})
    else:
        print_findings(finding for finding, _ in found)
        print()
        mend = f"{len(bad)} thing{'s' * (len(bad) > 1)} to mend before a start."
        print(mend if bad else f"A gateway could start here.{_next(environ)}")
    # As the start would end, which stops at the first.
    return bad[0] if bad else ExitCode.OK


def _findings(
    arguments: argparse.Namespace, environ: Mapping[str, str]
) -> "Iterator[tuple[Finding, ExitCode]]":
    """What was looked at, and the exit code that a start would end with because of it."""
    from openclawd.cli.finding import failed, ok
    from openclawd.cli.service_user import become_owner
    from openclawd.daemon.program import import_everything
    from openclawd.daemon.refusal import StartRefused

    program = f"openclawd {openclawd.__version__}, {sys.executable}"
    try:
        import_everything()
    except StartRefused as error:
        sentence, _, cure = str(error).partition("\n")
        yield failed("program", f"{sentence} ({program})", cure), error.exit_code
        return
    yield ok("program", program), ExitCode.OK

    from openclawd.daemon.check import check
    from openclawd.daemon.preflight import PORT_WORD

    asked_by_gateway = getattr(arguments, "secrets_from_stdin", False)
    if not asked_by_gateway:
        become_owner(environ)
    given = _given(sys.stdin.read(_MAX_STDIN_CHARS) if asked_by_gateway else "{}")
    port = given.get(PORT_WORD, "")
    listening = int(port) if port.isdecimal() else None
    if not asked_by_gateway and arguments.port is None:
        listening = _listening(environ)
    for each in check(
        _flags(arguments, given), environ, beside_running=asked_by_gateway, listening=listening
    ):
        if each.problem is None:
            yield ok(each.name, each.said), ExitCode.OK
        else:
            yield failed(each.name, each.problem, each.cure), each.exit_code


def _listening(environ: Mapping[str, str]) -> int | None:
    """The port of the gateway that runs here, which another one could not have: any other is to be free."""
    from openclawd.cli.rpc import converse
    from openclawd.cli.running import running_gateway
    from openclawd.cli.target import local_socket
    from openclawd.config.paths import resolve_paths
    from openclawd.config.problems import ConfigError

    try:
        where = [*local_socket(resolve_paths(environ))]
        port = converse(where, running_gateway, timeout_ms=_PATIENCE_MS).get("port") if where else None
    except (ConfigError, Failure):
        return None
    return port if isinstance(port, int) else None


def _next(environ: Mapping[str, str]) -> str:
    """What may be wanted, now that nothing stands in its way."""
    from openclawd.config.paths import resolve_paths
    from openclawd.daemon.lock import running_pid
    from openclawd.daemon.log_file import LOG_NAME

    paths = resolve_paths(environ)
    if running_pid(paths.lock_file) is not None:
        return " With what has changed: openclawd gateway restart"
    was_one = (paths.log_dir / LOG_NAME).exists()
    return " Why the last one ended: openclawd logs -n 50" if was_one else ""


def _given(as_json: str) -> Mapping[str, str]:
    """What a gateway that asks tells about itself."""
    try:
        given = json.loads(as_json)
    except ValueError:
        given = None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise Failure(
            "--secrets-from-stdin: expected a JSON object of flags and their values.",
            cure="A person gives a file: openclawd gateway check --token-file FILE",
            exit_code=ExitCode.USAGE,
        )
    return given


def _flags(arguments: argparse.Namespace, given: Mapping[str, str]) -> "Flags":
    """What stands on the command line, and what does not because others could read it there."""
    import attrs

    from openclawd.cli.target import given_flags

    flags = attrs.evolve(given_flags(arguments), bind=arguments.bind, auth=arguments.auth)
    secrets = {name.replace("-", "_"): value for name, value in given.items()}
    # A gateway of a later version may have a flag that this one does not know.
    return attrs.evolve(flags, **{name: secrets[name] for name in _SECRETS if name in secrets})
