"""`openclawd gateway install`: have the gateway run from now on, after a crash, and after every boot.

The same command may be given again at any time: it does what is missing, shows what it would change of a unit
that somebody has edited, and restarts nothing that is as it should be.
"""

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from openclawd.cli.arguments import add_service
from openclawd.cli.failure import Failure
from openclawd.cli.output import print_facts, print_json

if TYPE_CHECKING:
    from openclawd.cli.service import Chosen

_COMMAND: Final = "openclawd gateway install"


def add_command(add_action: Callable[[str, str], argparse.ArgumentParser]) -> None:
    install = add_action("install", "run it as a service: now, after a crash, after every boot")
    add_service(install)
    install.add_argument(
        "--as",
        dest="run_as",
        default=None,
        metavar="USER",
        help="with --system: as this person, with their conversations, in place of a user of its own",
    )
    install.add_argument(
        "--root",
        default=None,
        metavar="DIR",
        help="where the program goes (default: ~/.local/lib/openclawd, with --system /opt/openclawd)",
    )
    install.add_argument("--port", metavar="N", help="the port (default: the config's, else 18789)")
    for secret in ("token", "password"):
        install.add_argument(f"--{secret}-file", metavar="FILE", help=f"a file that holds the {secret}")
    install.add_argument(
        "--linger",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="keep your services running while you are logged out (default: ask)",
    )
    install.add_argument(
        "--yes", action="store_true", default=False, help="replace a unit that was edited, without asking"
    )
    install.add_argument(
        "--dry-run", action="store_true", default=False, help="show what would change, and change nothing"
    )
    install.add_argument("--json", action="store_true", default=False, help="print JSON")
    install.set_defaults(handler=_install)


class _Report:
    """What is said at the end."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.notes: list[dict[str, str]] = []

    def note(self, said: str, cure: str) -> None:
        self.notes.append({"said": said, "cure": cure})


def _install(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.service import chosen, refuse_as_usage, said_plainly
    from openclawd.service.surroundings import obstacle
    from openclawd.service.systemd_service import SystemdService
    from openclawd.slots.durable import for_all

    for_all()
    for secret in ("token", "password"):
        if getattr(arguments, secret, None):
            raise refuse_as_usage(
                f"{_COMMAND}: --{secret} would stand in the unit, where others can read it.",
                f"Put it into a file: {_COMMAND} --{secret}-file FILE",
            )
    system = bool(arguments.system)
    asked = chosen(arguments, environ, system=system)
    if arguments.run_as is not None and not system:
        raise refuse_as_usage(f"{_COMMAND}: --as goes with --system.", f"See: {_COMMAND} --help")
    if (advice := obstacle(asked.around, system=system)) is not None:
        raise Failure(advice.text, cure=advice.command)
    _refuse_foreign_home(asked)
    report = _Report()
    with said_plainly():
        if isinstance(asked.service, SystemdService):
            from openclawd.cli.install_systemd import install

            code = install(arguments, asked, asked.service, report.facts, report.note)
        else:
            from openclawd.cli.install_launchd import install as install_job

            code = install_job(arguments, asked, asked.service, report.facts, report.note)
    _print(report, as_json=arguments.json)
    return code


def _refuse_foreign_home(asked: "Chosen") -> None:
    """`su` and sudo may leave the caller's HOME to the one who is called."""
    from openclawd.service.program import home_of

    home, user = home_of(asked.environ), asked.around.user
    # Stays as it is for a user whom nobody has written down, as in a container.
    own = Path(os.path.expanduser(f"~{user}"))  # noqa: PTH111
    if asked.system or os.access(home, os.W_OK) or not (own.is_dir() and home.is_dir()):
        return
    if not own.samefile(home):
        raise Failure(f"HOME is {home}, which is not {user}'s.", cure=f"HOME=~{user} {_COMMAND}")


def _print(report: _Report, *, as_json: bool) -> None:
    if as_json:
        print_json({"ok": True, **report.facts, "notes": report.notes})
        return
    print_facts((name, value) for name, value in report.facts.items() if value not in (None, False))
    for note in report.notes:
        print(f"\n{note['said']}\n  {note['cure']}")
