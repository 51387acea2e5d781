"""What command lines share: a parser with kind errors, and options that mean the same everywhere."""

import argparse
import functools
import re
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn, TypeAlias

from openclawd.cli.failure import Failure
from openclawd.daemon.exit_codes import ExitCode

# As stock's CLI: long enough for a busy machine, short enough for a person who waits.
DEFAULT_TIMEOUT_MS: Final = 10_000
_INVALID_CHOICE: Final = re.compile(r"invalid choice: '(?P<word>[^']*)' \(choose from (?P<choices>.*)\)")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, what was probably meant, and where the help is."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        # Abbreviated options would change their meaning when a new one is added.
        # The column of the explanations is as wide as our longest option, so that few lines break.
        form = functools.partial(argparse.RawDescriptionHelpFormatter, max_help_position=28)
        super().__init__(*arguments, **{"allow_abbrev": False, "formatter_class": form, **settings})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Nothing is left over for the parser above, whose help would not name what this one knows."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        found = _INVALID_CHOICE.search(message)
        if found:
            # Imported here, as a start says nothing wrong.
            import difflib

            choices = re.findall(r"[\w-]+", found["choices"])
            near = difflib.get_close_matches(found["word"], choices, n=1)
            meant = f"Did you mean {near[0]!r}? " if near else ""
            message = f"{found['word']!r} is not one of: {', '.join(choices)}. {meant}".rstrip()
        print(f"{self.prog}: {message}\nSee: {self.prog} --help", file=sys.stderr)
        raise SystemExit(int(ExitCode.USAGE))


class ShowVersion(argparse.Action):
    """Print it, and what it was built from, which is looked up only then."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:  # noqa: ARG002  nothing is kept
        explanation = "show program's version number and exit"
        super().__init__(option_strings, dest=argparse.SUPPRESS, nargs=0, help=explanation)

    def __call__(self, *_: object) -> NoReturn:
        from openclawd.build_info import version_line

        print(version_line(), flush=True)
        raise SystemExit(0)


# What `add_subparsers` returns; argparse has no public name for it.
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"  # noqa: SLF001


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_connection(parser: argparse.ArgumentParser) -> None:
    """The options of every command that asks a running gateway something."""
    parser.add_argument(
        "--url",
        default=None,
        help="another gateway than this user's own: ws://HOST:PORT or wss://HOST:PORT",
    )
    parser.add_argument(
        "--tls-fingerprint",
        type=_fingerprint,
        default=None,
        metavar="SHA256",
        help="with --url wss://: trust this certificate and no other",
    )
    parser.add_argument("--port", metavar="N", help="the port of a gateway on this machine")
    add_secrets(parser)
    parser.add_argument(
        "--timeout",
        type=count,
        default=DEFAULT_TIMEOUT_MS,
        metavar="MS",
        help="give up after this many milliseconds (default: %(default)s)",
    )


def add_secrets(parser: argparse.ArgumentParser) -> None:
    for secret in ("token", "password"):
        parser.add_argument(
            f"--{secret}",
            metavar=secret.upper(),
            help=f"the {secret}; others can read it in the process list",
        )
        parser.add_argument(f"--{secret}-file", metavar="FILE", help=f"a file that holds the {secret}")


def add_service(parser: argparse.ArgumentParser) -> None:
    """Which service a command is about: this user's or the machine's, of which profile."""
    parser.add_argument(
        "--system", action="store_true", default=False, help="the machine's service, not this user's"
    )
    parser.add_argument(
        "--profile", default=None, metavar="NAME", help="the gateway of this profile (or OPENCLAW_PROFILE)"
    )


def warn_of_visible_secrets(arguments: argparse.Namespace) -> None:
    """One line when a secret stands on the command line."""
    for secret in ("token", "password"):
        if getattr(arguments, secret, None):
            print(
                f"Warning: other users of this machine can read --{secret} in the process list;"
                f" --{secret}-file, OPENCLAW_GATEWAY_{secret.upper()} and the config are private.",
                file=sys.stderr,
            )


def _fingerprint(text: str) -> str:
    from openclawd.config.values import Unfit, fingerprint

    try:
        return fingerprint(text)
    except Unfit as unfit:
        raise argparse.ArgumentTypeError(f"expected {unfit}") from None


def count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


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
