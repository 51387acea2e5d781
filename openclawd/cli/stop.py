"""`openclawd gateway stop`: end the gateway of this state directory, and wait until it has ended."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final

from openclawd.cli.arguments import add_service, count
from openclawd.cli.failure import Failure
from openclawd.cli.output import print_json
from openclawd.daemon.exit_codes import ExitCode

# It ends within five seconds: thrice that on a busy machine, as its unit allows.
_PATIENCE_MS: Final = 15_000
# Who waits longer than this wants to know for what.
_SILENT_S: Final = 1.0
_LOOK_EVERY_S: Final = 0.02


def add_command(add_action: Callable[[str, str], argparse.ArgumentParser]) -> None:
    stop = add_action("stop", "end it: clients are told, runs under way go on after the next start")
    stop.add_argument(
        "--timeout",
        type=count,
        default=_PATIENCE_MS,
        metavar="MS",
        help="how long to wait for its end (default: %(default)s)",
    )
    add_service(stop)
    stop.add_argument("--json", action="store_true", help="print JSON")
    stop.set_defaults(handler=_stop)


def _ask_to_end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return  # it has ended by itself
    except PermissionError as error:
        raise Failure(
            f"Process {pid} runs the gateway, and belongs to another user.",
            cure=f"End it as that user, or as root: sudo kill {pid}",
        ) from error


def _stop(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.arguments import refuse_connection_options
    from openclawd.cli.service import chosen, said_plainly, supervising
    from openclawd.config.paths import resolve_paths
    from openclawd.daemon.lock import running_pid

    refuse_connection_options(arguments, "stop")
    asked = chosen(arguments, environ)
    paths = resolve_paths(asked.environ)
    pid = running_pid(paths.lock_file)
    started_s = time.monotonic()
    # What is supervised is its supervisor's to stop: another one would be started, or its sockets start it.
    with said_plainly():
        service = supervising(asked, pid)
        stopped = service is not None and service.stop()
    if stopped:
        _say_stopped(arguments, pid, started_s)
        return ExitCode.OK
    if pid is None:
        if arguments.json:
            print_json({"ok": True, "stopped": False})
        else:
            print(f"No gateway is running for {paths.state_dir}.")
        return ExitCode.OK
    _ask_to_end(pid)
    told = False
    while running_pid(paths.lock_file) == pid:
        waited_s = time.monotonic() - started_s
        if waited_s * 1000 > arguments.timeout:
            raise Failure(
                f"Process {pid} was asked to stop, and has not ended within {arguments.timeout / 1000:g} s.",
                cure=f"What it is doing: openclawd logs. Without a goodbye: kill -9 {pid}",
            )
        if waited_s > _SILENT_S and not told and not arguments.json:
            told = True
            print(f"Waiting for process {pid}: it puts runs back and tells its clients.", file=sys.stderr)
        time.sleep(_LOOK_EVERY_S)
    _say_stopped(arguments, pid, started_s)
    return ExitCode.OK


def _say_stopped(arguments: argparse.Namespace, pid: int | None, started_s: float) -> None:
    took_ms = round((time.monotonic() - started_s) * 1000)
    if arguments.json:
        print_json({"ok": True, "stopped": True, "pid": pid, "tookMs": took_ms})
    else:
        print("The gateway has stopped" + (f" (process {pid})." if pid is not None else "."))
