"""`openclawd update`: another version, judged before it stays, and how the last one fared."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from openclawd.cli.arguments import Commands, add_json
from openclawd.cli.failure import Failure, reason_of
from openclawd.cli.output import print_json
from openclawd.cli.update_check import add_check
from openclawd.daemon.exit_codes import ExitCode

if TYPE_CHECKING:
    from openclawd.slots.layout import Installation
    from openclawd.update.run import Updater
    from openclawd.update.staged import Fetch, Staged, Tell

# Behind stdin, stdout and stderr.
_FIRST_DESCRIPTOR: Final = 3
# Everybody is served meanwhile.
_BACKUP_LIMIT_S: Final = 60.0


def add_commands(families: Commands) -> None:
    update = families.add_parser(
        "update",
        help="get another version, which goes back by itself if it is not well",
        description="The gateway restarts in place into the new version, is watched, and goes back by itself"
        " where that is not well. Nobody who is connected is turned away.",
    )
    actions = update.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_check(actions)
    run = actions.add_parser("run", help="bring the newest version, or VERSION, to run")
    run.add_argument("version", nargs="?", metavar="VERSION", help="such as 0.7.0 (default: the newest)")
    run.add_argument(
        "--bundle", metavar="FILE", help="a file with a release and its signatures, for hosts offline"
    )
    add_json(run)
    run.set_defaults(handler=_run)
    rollback = actions.add_parser("rollback", help="go back to the version before the last update")
    add_json(rollback)
    rollback.set_defaults(handler=_rollback)
    status = actions.add_parser("status", help="which version runs, which others are here, the last update")
    add_json(status)
    status.set_defaults(handler=_status)
    # The guard and a gateway on trial start it where the updater died.
    judge = actions.add_parser("judge")
    judge.set_defaults(handler=_judge)


def _run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.update_source import downloaded, installation_here
    from openclawd.slots.layout import is_version
    from openclawd.update.staged import Staged

    installation = installation_here(changing=True)
    wanted: str | None = arguments.version
    if wanted is not None and not is_version(wanted):
        raise Failure(
            f"{wanted!r} is no version.",
            cure="Which are here: openclawd update status",
            exit_code=ExitCode.USAGE,
        )

    def fetch(version: str | None, tell: "Tell") -> Staged | None:
        # What has a slot was verified when it got it.
        if version is not None and arguments.bundle is None and installation.is_complete(version):
            return Staged(version, installation.slot(version))
        return downloaded(installation, environ, version, tell, bundle=arguments.bundle)

    return _drive(arguments, environ, installation, fetch, wanted)


def _rollback(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.update_source import installation_here
    from openclawd.update.staged import Staged

    installation = installation_here(changing=True)
    previous = installation.previous_version()
    if previous is None or not installation.is_complete(previous):
        raise Failure(
            "There is no version before this one to go back to.",
            cure="Which are here: openclawd update status",
        )
    staged = Staged(previous, installation.slot(previous))
    return _drive(arguments, environ, installation, lambda *_: staged, previous)


def _judge(_arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.update_source import installation_here
    from openclawd.slots.durable import for_all
    from openclawd.slots.progress import ProgressFile, UpdateUnderWay, update_lock

    for_all()
    # The shell of the guard may have had sockets of the gateway's open; they are its own. As is its process
    # group, which launchd ends with the gateway.
    for descriptor in Path("/dev/fd").iterdir():
        if int(descriptor.name) >= _FIRST_DESCRIPTOR:
            with suppress(OSError):
                os.close(int(descriptor.name))
    with suppress(OSError):
        os.setsid()
    installation = installation_here()
    try:
        with update_lock(installation):
            _updater(installation, environ, ProgressFile(installation).tell).judge()
    except UpdateUnderWay:
        return ExitCode.OK  # somebody judges
    return ExitCode.OK


def _drive(
    arguments: argparse.Namespace,
    environ: Mapping[str, str],
    installation: "Installation",
    fetch: "Fetch",
    wanted: str | None,
) -> int:
    from openclawd.cli.update_shown import Shown, print_result
    from openclawd.slots.durable import for_all
    from openclawd.slots.progress import UpdateUnderWay, update_lock
    from openclawd.slots.trial import read_trial
    from openclawd.update.staged import CannotUpdate

    for_all()
    # Who logs out in the middle of it wants it to go on.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with update_lock(installation), Shown(installation, quiet=arguments.json) as shown:
            result = _updater(installation, environ, shown.tell).update(fetch, wanted)
    except UpdateUnderWay as error:
        raise Failure(str(error), cure="How it fares: openclawd update status") from None
    except CannotUpdate as error:
        raise Failure(f"No update: {error.reason.rstrip('.')}.", cure=error.cure) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise Failure(
            f"The update cannot go on: {where}{reason_of(error)}.",
            cure="How things are: openclawd update status",
        ) from error
    except KeyboardInterrupt:
        if read_trial(installation) is not None:
            print("The trial goes on without this command: openclawd update status", file=sys.stderr)
        raise
    return print_result(installation, result, as_json=arguments.json)


def _updater(installation: "Installation", environ: Mapping[str, str], tell: "Tell") -> "Updater":
    from openclawd.cli.rehearsal import rehearse
    from openclawd.cli.update_source import word_of
    from openclawd.cli.watched_gateway import WatchedGateway
    from openclawd.config.load import load_config
    from openclawd.config.model import Own
    from openclawd.config.paths import resolve_paths
    from openclawd.config.problems import ConfigError
    from openclawd.daemon.backups import backup_before_migration
    from openclawd.store.errors import StoreError
    from openclawd.update.examine import examine, owner_of
    from openclawd.update.run import Updater

    paths = resolve_paths(environ)
    try:
        own = load_config(paths, environ).config.openclawd
    except ConfigError:
        # A trial must come to its end whatever became of the config.
        own = Own()
    settings, keeps_backups = own.update, own.backup.keep and paths.database.exists()

    def try_out(staged: "Staged") -> None:
        examine(staged, environ, paths.own_dir)
        # The one before has shown here what it can do, and is wanted at once.
        if staged.version != installation.previous_version():
            rehearse(staged, owner_of(paths.own_dir))
        if keeps_backups:
            # By this version, as the next one may have its own ideas about the state.
            with suppress(StoreError):
                backup_before_migration(
                    paths, now_ms=lambda: time.time_ns() // 1_000_000, limit_s=_BACKUP_LIMIT_S
                )

    return Updater(
        installation=installation,
        gateway=WatchedGateway(installation, paths, environ),
        tell=tell,
        examine=try_out,
        window_s=max(1, round(settings.trial_ms / 1000)),
        keep=settings.keep,
        word=word_of(installation, paths),
    )


def _status(arguments: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    from openclawd.cli.update_shown import print_status, status_of
    from openclawd.cli.update_source import installation_here

    found = status_of(installation_here())
    if arguments.json:
        print_json(found)
    else:
        print_status(found)
    return ExitCode.OK
