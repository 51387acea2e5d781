"""Putting this program where the service starts it from, and saying so."""

import argparse
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from openclawd.cli.failure import Failure, look_at, reason_of
from openclawd.cli.output import shown
from openclawd.cli.service import Chosen, as_typed, refuse_as_usage
from openclawd.service.install import InTheWay, NoPrograms, Placed, link_command, place_program
from openclawd.service.program import Program, command_link, default_root, home_of, is_on_path
from openclawd.service.self_unpack import AnotherBuild
from openclawd.slots.layout import Installation, own_installation
from openclawd.slots.progress import UpdateUnderWay

Facts: TypeAlias = dict[str, Any]
Note: TypeAlias = Callable[[str, str], None]


def installation_for(arguments: argparse.Namespace, asked: Chosen, program: Program) -> Installation | None:
    """Where the program goes; None where a package manager has put it somewhere."""
    if not program.is_portable:
        if arguments.root is not None:
            raise refuse_as_usage(
                f"--root: {shown(program.words[0])} was installed by a package manager, and stays there.",
                "Without it: openclawd gateway install",
            )
        return None
    if arguments.root is not None:
        return Installation(Path(arguments.root).expanduser().resolve())
    home = home_of(asked.environ)
    own = own_installation()
    # What the machine's service runs is root's; a person's own installation is not.
    if own is not None and not (asked.system and own.root.stat().st_uid != 0):
        return own
    return Installation(default_root(home, system=asked.system).resolve())


def placed(installation: Installation, asked: Chosen, facts: Facts, note: Note) -> None:
    """Have it there, and the command lead to it. Raises Failure."""
    done = _place(installation)
    runs_this = done.current == done.version
    new = " (new)" if done.changed and runs_this else ""
    facts["program"] = f"{shown(installation.slot(done.current))}{new}"
    if not runs_this:
        older = "the older " if _is_older(done.version, done.current) else ""
        note(
            f"{done.current} is installed here and goes on. This program is {older}{done.version}, and lies"
            " beside it now. Have it tried:",
            f"{shown(installation.entry)} update run {done.version}",
        )
    link = command_link(home_of(asked.environ), system=asked.system)
    try:
        link_command(link, installation, Path(sys.argv[0]))
    except InTheWay as error:
        note(f"{error} This installation's own command: {shown(installation.entry)}.", f"ls -l {shown(link)}")
        return
    except OSError as error:
        note(
            f"{shown(link)} could not be made: {reason_of(error)}. The command: {shown(installation.entry)}.",
            look_at(link.parent, error),
        )
        return
    facts["command"] = shown(link)
    if not is_on_path(link, asked.environ):
        note(f"{shown(link.parent)} is not in your PATH yet.", f'export PATH="{link.parent}:$PATH"')


def _place(installation: Installation) -> Placed:
    root = installation.root
    elsewhere = f"Have it elsewhere: {as_typed()} --root DIR"
    try:
        return place_program(installation)
    except UpdateUnderWay as error:
        raise Failure(str(error), cure="How it fares: openclawd update status") from None
    except AnotherBuild as error:
        raise Failure(
            f"{error} A slot is never changed.",
            cure=f"Take it away first: openclawd gateway uninstall && rm -r {shown(root)}",
        ) from error
    except NoPrograms as error:
        raise Failure(str(error), cure=elsewhere) from error
    except OSError as error:
        there = next(each for each in (root, *root.parents) if os.access(each, os.F_OK))
        cure = elsewhere if error.errno == errno.EROFS else look_at(there, error)
        said = f"The program cannot be put into {shown(root)}: {reason_of(error)}."
        raise Failure(said, cure=cure) from error


def _is_older(version: str, than: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version) < Version(than)
    except InvalidVersion:
        return False
