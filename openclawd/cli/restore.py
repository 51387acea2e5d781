"""`openclawd restore`: a backup's conversations and devices in the place of those that are there, which are
kept beside them.
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from openclawd.cli.arguments import Commands, add_json
from openclawd.cli.failure import Failure
from openclawd.cli.output import print_json
from openclawd.daemon.exit_codes import ExitCode

if TYPE_CHECKING:
    from openclawd.config.paths import Paths

_LATEST: Final = "latest"
_START: Final = "openclawd gateway"


def add_commands(families: Commands) -> None:
    restore = families.add_parser(
        "restore",
        help="bring a backup back; what is there now is kept beside it",
        description="The database always comes back; the config, the gateway's key and its certificate where"
        " they are missing, or with --all.",
    )
    restore.add_argument("backup", metavar="FILE", help="the backup, or the word latest")
    restore.add_argument(
        "--all",
        action="store_true",
        help="replace the config, the gateway's key and its certificate, too",
    )
    add_json(restore)
    restore.set_defaults(handler=_restore)


def _restore(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.config.paths import resolve_paths
    from openclawd.daemon.lock import state_lock
    from openclawd.daemon.refusal import StartRefused
    from openclawd.store.errors import StoreError

    paths = resolve_paths(environ)
    backup = _backup(arguments.backup, paths)
    try:
        paths.own_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with state_lock(paths.lock_file, now_ms=time.time_ns() // 1_000_000):
            restored, kept = _bring_back(backup, paths, replace=arguments.all)
    except StartRefused as error:
        raise Failure(
            f"A gateway is running for {paths.state_dir}; it must not lose its state under way.",
            cure="Stop it first: openclawd gateway stop",
            exit_code=error.exit_code,
        ) from error
    except StoreError as error:
        raise Failure(f"{error.path}: {error.problem}.", cure=error.cure) from error
    if arguments.json:
        document = {"ok": True, "backup": str(backup), "restored": restored, "kept": kept, "next": _START}
        print_json(document)
        return ExitCode.OK
    print(f"Restored from {backup}: {', '.join(restored)}.")
    for each in kept:
        print(f"What was there before: {each}")
    print(f"Start the gateway: {_START}")
    return ExitCode.OK


def _backup(word: str, paths: "Paths") -> Path:
    from openclawd.store.backup_files import backups_in

    if word != _LATEST:
        return Path(word).absolute()
    found = backups_in(paths.backups)
    if not found:
        raise Failure(
            f"There are no backups in {paths.backups}.", cure="Name the file: openclawd restore FILE"
        )
    return found[0].path


def _bring_back(backup: Path, paths: "Paths", *, replace: bool) -> tuple[list[str], list[str]]:
    """What was restored, by its name in the backup; and the files that were there before."""
    from openclawd.daemon.backups import belongings
    from openclawd.store.restore import FORMER, close_cleanly, extract, finish, prepare, put_back

    manifest = prepare(backup, paths.database)
    close_cleanly(paths.database)
    former = finish(paths.database, FORMER)
    restored, kept = [paths.database.name], [str(former)] if former is not None else []
    for name, file in belongings(paths).items():
        if name not in manifest.names or (file.exists() and not replace):
            continue
        before = put_back(
            file, extract(backup, name), owner=paths.own_dir, now_ms=time.time_ns() // 1_000_000
        )
        restored.append(name)
        kept += [str(before)] if before is not None else []
    return restored, kept
