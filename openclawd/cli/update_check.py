"""`openclawd update check`: is there a newer version, and which command brings it."""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from openclawd import __version__
from openclawd.cli.arguments import Commands, add_json
from openclawd.cli.failure import Failure
from openclawd.cli.output import print_facts, print_json
from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.log_text import printable

if TYPE_CHECKING:
    from openclawd.update.fetch import Latest
    from openclawd.update.source import Source

_WIDTH = 100


def add_check(actions: Commands) -> None:
    check = actions.add_parser("check", help="is there a newer version; nothing is changed")
    add_json(check)
    check.set_defaults(handler=_check)


def _check(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.config.load import load_config
    from openclawd.config.paths import resolve_paths
    from openclawd.update.fetch import latest
    from openclawd.update.source import running_program, source_of
    from openclawd.update.staged import CannotUpdate

    source = source_of(running_program())
    current = __version__
    paths = resolve_paths(environ)
    if source.installation is not None:
        # What `update run` would replace; this process may be an older one.
        current = source.installation.current_version() or __version__
    config = load_config(paths, environ).config
    try:
        found = latest(source.installation, config, paths.config_file, current)
    except CannotUpdate as error:
        raise Failure(f"No news of versions: {error.reason}.", cure=error.cure) from error
    if arguments.json:
        print_json(_document(found, current, source))
    else:
        _print(found, current, source)
    return ExitCode.OK


def _document(found: "Latest", current: str, source: "Source") -> dict[str, object]:
    """`updateAvailable` is stock's; null where nothing is newer."""
    release = found.release
    told: dict[str, object] = {
        "ok": True,
        "currentVersion": current,
        "channel": found.channel,
        "updateAvailable": None,
        "installedBy": source.kind,
    }
    if release is not None:
        told["updateAvailable"] = {
            "currentVersion": current,
            "latestVersion": release.version,
            "channel": found.channel,
        }
        told["bytes"] = release.length
        told["command"] = source.command
        if release.notes is not None:
            told["notes"] = release.notes
    if found.unfit is not None:
        told["unfit"] = {"version": found.unfit[0].version, "reason": found.unfit[1]}
    return told


def _print(found: "Latest", current: str, source: "Source") -> None:
    import textwrap

    release = found.release
    if release is None:
        that_fits = " that fits" if found.unfit is not None else ""
        print(f"Nothing{that_fits} is newer than {current}, which is installed ({found.channel}).")
        _print_unfit(found)
        return
    size = f"{release.length / 1e6:.0f} MB"
    print_facts([("newer", f"{release.version} ({release.channel}, {size})"), ("installed", current)])
    if release.notes is not None:
        print()
        for line in release.notes.splitlines():
            print(textwrap.fill(printable(line), _WIDTH))
    _print_unfit(found)
    print()
    if source.installation is None:
        print(source.said())
    print(source.command)


def _print_unfit(found: "Latest") -> None:
    if found.unfit is not None:
        print(f"{found.unfit[0].version} is not for this machine: {found.unfit[1]}.")
