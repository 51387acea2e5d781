"""`openclawd backup`: make one now, see which there are."""

import argparse
import shlex
import time
from collections.abc import Mapping
from pathlib import Path

from openclawd.cli.arguments import Commands, add_json
from openclawd.cli.failure import Failure
from openclawd.cli.output import duration, print_json, print_table
from openclawd.daemon.exit_codes import ExitCode


def add_commands(families: Commands) -> None:
    backup = families.add_parser(
        "backup",
        help="make a backup of conversations, devices and settings, also while the gateway runs",
        description="The gateway makes one a day by itself. It holds secrets: keep it from others.",
    )
    _add_create_options(backup)
    backup.set_defaults(handler=_create)
    actions = backup.add_subparsers(title="commands", metavar="COMMAND")
    create = actions.add_parser(
        "create", help="make one (the same without the word)", argument_default=argparse.SUPPRESS
    )
    _add_create_options(create)
    create.set_defaults(handler=_create)
    listed = actions.add_parser("list", help="the backups that there are, the newest first")
    add_json(listed)
    listed.set_defaults(handler=_list)


def _add_create_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", metavar="FILE", help="the file to make, or the folder to make it in")
    add_json(parser)


def _create(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd import __version__
    from openclawd.config.paths import resolve_paths
    from openclawd.daemon.backups import belongings
    from openclawd.store.backup import Source, make_backup
    from openclawd.store.backup_files import name_of
    from openclawd.store.errors import StoreError

    paths, at_ms = resolve_paths(environ), time.time_ns() // 1_000_000
    if not paths.database.exists():
        raise Failure(
            f"There is nothing to back up yet: {paths.database} does not exist.",
            cure="Start the gateway: openclawd gateway",
        )
    target = Path(arguments.to).absolute() if arguments.to else paths.backups
    if target.is_dir() or not arguments.to:
        folder = target
        while (target := folder / name_of(at_ms)).exists():
            at_ms += 1000  # names tell seconds apart
    elif not target.parent.is_dir():
        # Often a slip of the pen: nobody would look there.
        raise Failure(
            f"--to {arguments.to}: there is no folder {target.parent}.",
            cure=f"mkdir -p {shlex.quote(str(target.parent))}",
        )
    try:
        make_backup(
            Source(paths.database, belongings(paths), __version__), target, owner=paths.own_dir, now_ms=at_ms
        )
    except StoreError as error:
        raise Failure(f"{error.path}: {error.problem}.", cure=error.cure) from error
    size = target.stat().st_size
    if arguments.json:
        print_json({"ok": True, "file": str(target), "bytes": size, "madeAtMs": at_ms})
    else:
        print(f"{target}  ({_size(size)})")
    return ExitCode.OK


def _list(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.called import as_typed_here
    from openclawd.config.paths import resolve_paths
    from openclawd.store.backup_files import backups_in

    folder = resolve_paths(environ).backups
    found = backups_in(folder)
    if arguments.json:
        print_json(
            {
                "folder": str(folder),
                "backups": [
                    {"file": str(each.path), "madeAtMs": each.made_at_ms, "bytes": each.size}
                    for each in found
                ],
            }
        )
    elif not found:
        print(as_typed_here(f"There are no backups in {folder}. Make one: openclawd backup"))
    else:
        now = time.time() * 1000
        print_table(
            ("MADE", "SIZE", "FILE"),
            (
                (f"{duration(max(0.0, now - each.made_at_ms))} ago", _size(each.size), each.path)
                for each in found
            ),
        )
    return ExitCode.OK


def _size(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB" if size >= 1_000_000 else f"{max(1, size // 1000)} kB"
