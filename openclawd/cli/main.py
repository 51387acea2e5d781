"""The `openclawd` command: parse, hand over to a family, turn what goes wrong into a sentence.

No family imports a heavy library before it runs, so `openclawd --help` costs a bare Python and argparse.
No traceback reaches a user; `OPENCLAWD_DEBUG=1` lets it through, for a bug report.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from io import TextIOWrapper
from typing import Final

from openclawd.cli.arguments import Parser, ShowVersion
from openclawd.cli.failure import Failure
from openclawd.cli.output import print_json
from openclawd.daemon.exit_codes import ExitCode

# 128 plus the signal, as a shell shows it: SIGINT and SIGPIPE.
_INTERRUPTED: Final = 130
_PIPE_CLOSED: Final = 141

# Modules beside this one.
_FAMILIES: Final = (
    "gateway",
    "dashboard",
    "devices",
    "status",
    "doctor",
    "health",
    "logs",
    "config",
    "backup",
    "restore",
    "update",
)

_EXAMPLES: Final = """\
start here:
  openclawd gateway          start the gateway; it prints the link to the chat
  openclawd dashboard        print that link again
  openclawd status           is it running, how, and what could be safer
  openclawd doctor           why somebody does not get in
  openclawd logs -f          watch what it does
"""

Handler = Callable[[argparse.Namespace, Mapping[str, str]], int]


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run one command; returns its exit code and never raises, save for faults under OPENCLAWD_DEBUG."""
    environ = os.environ if environ is None else environ
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that is not UTF-8 gets escapes, not a crash.
            stream.reconfigure(errors="backslashreplace")
    as_json = False
    try:
        words = sys.argv[1:] if argv is None else argv
        arguments = _parser(words).parse_args(words)
        as_json = getattr(arguments, "json", False)
        handler: Handler = arguments.handler
        if os.geteuid() == 0 and not getattr(arguments, "serves", False):
            from openclawd.service.addressed import addressed

            environ = addressed(environ)
        code = handler(arguments, environ)
        sys.stdout.flush()
    except SystemExit as leaving:
        # argparse: 0 after --help and --version, 2 after a wrong command line.
        return leaving.code if isinstance(leaving.code, int) else ExitCode.UNEXPECTED
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except Failure as failure:
        return _end(failure, as_json=as_json)
    except Exception as error:
        if environ.get("OPENCLAWD_DEBUG"):
            raise
        return _end(_failure_of(error), as_json=as_json)
    return code


def _parser(words: Sequence[str]) -> Parser:
    """For this command line: where it begins with a command, the others are not even imported."""
    parser = Parser(
        prog="openclawd",
        description="The OpenClaw Gateway as a small, fast, supervised daemon.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("-V", "--version", action=ShowVersion)
    families = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    named = [name for name in _FAMILIES if name in words[:1]]
    for name in named or _FAMILIES:
        importlib.import_module(f"openclawd.cli.{name}").add_commands(families)
    return parser


def _end(failure: Failure, *, as_json: bool) -> int:
    if as_json:
        print_json(failure.document())
    else:
        from openclawd.cli.called import as_typed_here

        print(as_typed_here(failure.text()), file=sys.stderr)
    return failure.exit_code


def _failure_of(error: Exception) -> Failure:
    """A config that cannot be used is the user's to mend; anything else is ours."""
    from openclawd.config.problems import ConfigError, UsageError

    if isinstance(error, ConfigError):
        usage = isinstance(error, UsageError)
        return Failure(error.text(), exit_code=ExitCode.USAGE if usage else ExitCode.CONFIG)
    while isinstance(error, ExceptionGroup):
        # What brought the others down comes first.
        error = error.exceptions[0]
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" ({os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno})" if trace else ""  # noqa: PTH119
    return Failure(
        f"This is a fault in openclawd: {type(error).__name__}: {error}{where}",
        cure="Run the command again with OPENCLAWD_DEBUG=1 in the environment for a report that can be sent.",
    )
