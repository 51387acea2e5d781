"""`openclawd gateway status`: all that one wants to know of a gateway at night, on one screen."""

import argparse
from collections.abc import Callable, Mapping

from openclawd.cli.arguments import add_connection, add_json, warn_of_visible_secrets
from openclawd.cli.output import print_facts, print_json
from openclawd.daemon.exit_codes import ExitCode


def add_command(add_action: Callable[[str, str], argparse.ArgumentParser]) -> None:
    status = add_action("status", "is it running, how, and why not; exit code 0 when it is")
    add_connection(status)
    add_json(status)
    status.set_defaults(handler=_status)


def _status(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.arguments import refuse_run_options
    from openclawd.cli.called import as_typed_here
    from openclawd.cli.gateway_screen import document, lines
    from openclawd.cli.gateway_seen import look

    refuse_run_options(arguments, "status")
    warn_of_visible_secrets(arguments)
    seen = look(arguments, environ)
    if seen.failure is not None and not arguments.json and not seen.is_something:
        raise seen.failure
    if arguments.json:
        print_json(document(seen))
    else:
        print_facts((name, as_typed_here(str(said))) for name, said in lines(seen) if said is not None)
    return ExitCode.OK if seen.failure is None else seen.failure.exit_code
