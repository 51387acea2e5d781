"""`openclawd gateway restart`: have the gateway of this state directory restart in place, and see it back.

It asks over the local socket, which the gateway never closes between two lives: who connects in between is
served by the next one.
"""

import argparse
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from openclawd.cli.arguments import add_service
from openclawd.cli.failure import Failure, NotRunning
from openclawd.cli.output import duration, print_json
from openclawd.daemon.exit_codes import ExitCode

if TYPE_CHECKING:
    from openclawd.cli.rpc import Rpc
    from openclawd.cli.service import Chosen
    from openclawd.config.paths import Paths

T = TypeVar("T")

_ENDED: Final = (
    "The gateway ended in place of restarting: the new program could be executed, and did not start.\n"
    "What it said is where the gateway's own output goes: a terminal, the journal, launchd's file"
)
_WHY: Final = "Why: openclawd logs"
_STANDS_IN_THE_WAY: Final = "What would stand in the way of a start: openclawd gateway check"
_REASON: Final = "openclawd gateway restart"
# The answer comes once the next program has proved itself, which may take it 20 seconds.
_ASK_TIMEOUT_MS: Final = 30_000
# Without a word from it, no longer than this: a database that a new version converts takes its time.
_SILENCE_S: Final = 60.0
# The longest delay that anybody can ask for, the longest that it waits for runs, and the silence.
_PATIENCE_S: Final = 60.0 + 300.0 + _SILENCE_S
_LOOK_TIMEOUT_MS: Final = 10_000
_LOOK_EVERY_S: Final = 0.05
# Who waits longer than this wants to know for what.
_SILENT_S: Final = 1.0


def add_command(add_action: Callable[[str, str], argparse.ArgumentParser]) -> None:
    restart = add_action(
        "restart", "restart it in place: runs end or go on afterwards, and no connection is refused"
    )
    restart.add_argument(
        "--wait",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="wait until it serves again (default)",
    )
    add_service(restart)
    restart.add_argument("--json", action="store_true", help="print JSON")
    restart.set_defaults(handler=_restart)


def _restart(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.arguments import refuse_connection_options
    from openclawd.cli.service import chosen, is_there
    from openclawd.cli.service_unit import unit_of
    from openclawd.config.paths import resolve_paths
    from openclawd.daemon.lock import running_pid

    refuse_connection_options(arguments, "restart")
    meant = chosen(arguments, environ)
    paths = resolve_paths(meant.environ)
    if running_pid(paths.lock_file) is None and is_there(meant.service):
        return _start(meant, as_json=arguments.json)
    before, asked = _ask(paths)
    pid = before["pid"]
    unit = unit_of(pid)
    found: dict[str, Any] = {"ok": True, "status": asked.get("status"), "pid": pid}
    if arguments.wait:
        after = _wait(paths, before, tell=not arguments.json)
        found |= {"generation": after.get("generation"), "lastRestart": after.get("lastRestart")}
    if unit is not None and unit.said is not None:
        found["notes"] = [{"said": unit.said, "cure": unit.command}]
    if arguments.json:
        print_json(found)
    else:
        _print(found)
    return ExitCode.OK


def _start(meant: "Chosen", *, as_json: bool) -> int:
    """There is nothing to restart in place: the service starts it."""
    from openclawd.cli.service import said_plainly, started

    with said_plainly():
        started(meant)
    if as_json:
        print_json({"ok": True, "status": "started"})
    else:
        print("The gateway did not run: its service has started it.")
    return ExitCode.OK


def _ask(paths: "Paths") -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """How the gateway ran when it was asked, and what it answered."""
    from openclawd.protocol.closes import SERVICE_RESTART

    before: dict[str, Any] = {}

    async def ask(rpc: "Rpc") -> Mapping[str, Any]:
        before.update(await _look(rpc))
        if "generation" not in before:
            raise Failure(
                "The gateway that runs does not restart in place.",
                cure="Stop it, and start this one: openclawd gateway",
            )
        answer: Mapping[str, Any] = await rpc.ask("gateway.restart.request", {"reason": _REASON})
        return answer

    try:
        return before, _converse(paths, ask, _ASK_TIMEOUT_MS)
    except Failure as failure:
        if before and failure.code == str(SERVICE_RESTART.code):
            # Somebody was faster: it is restarting.
            return before, {"status": "coalesced"}
        if failure.details is not None and failure.details.get("reason") == "restart-refused":
            failure.cure = _STANDS_IN_THE_WAY
        raise


async def _look(rpc: "Rpc") -> Mapping[str, Any]:
    status: Mapping[str, Any] = (await rpc.ask("status")).get("openclawd", {})
    return status


def _wait(paths: "Paths", before: Mapping[str, Any], *, tell: bool) -> Mapping[str, Any]:
    """How the next generation runs. Raises Failure when there is none."""
    began_s = heard_s = time.monotonic()
    told = False
    while True:
        now = _look_once(paths)
        at_s = time.monotonic()
        is_next = bool(now) and now.get("startedAtMs") != before.get("startedAtMs")
        if is_next and now.get("pid") != before.get("pid"):
            raise Failure(
                f"The gateway ended in place of restarting; another was started, process {now.get('pid')}.",
                cure=_WHY,
            )
        if is_next and now.get("lifecycle") != "starting":
            return now
        if not is_next and now.get("lifecycle") == "ready" and now.get("restartProblem"):
            raise Failure(
                f"No restart, and the gateway serves on: {now['restartProblem']}", cure=_STANDS_IN_THE_WAY
            )
        heard_s = at_s if now else heard_s
        if at_s - heard_s > _SILENCE_S or at_s - began_s > _PATIENCE_S:
            raise Failure(f"The gateway has not restarted within {at_s - began_s:.0f} s.", cure=_WHY)
        if tell and not told and at_s - began_s > _SILENT_S and now.get("runs"):
            told = True
            runs = now["runs"]
            print(f"It waits for {runs} run{'s' * (runs != 1)} to end.", file=sys.stderr, flush=True)
        time.sleep(_LOOK_EVERY_S)


def _look_once(paths: "Paths") -> Mapping[str, Any]:
    """How it runs now; empty when it does not say so, for a moment. Raises Failure when it has ended."""
    from openclawd.daemon.lock import running_pid

    try:
        return _converse(paths, _look, _LOOK_TIMEOUT_MS)
    except NotRunning as gone:
        if running_pid(paths.lock_file) is None:
            raise Failure(_ENDED, cure=_WHY) from gone
    except Failure:
        pass  # it closed the connection, as it goes
    return {}


def _converse(paths: "Paths", conversation: Callable[["Rpc"], Awaitable[T]], timeout_ms: int) -> T:
    from openclawd.cli.rpc import converse
    from openclawd.cli.target import local_socket

    endpoints = list(local_socket(paths))
    if not endpoints:
        raise NotRunning(f"No gateway is running for {paths.state_dir}.", cure="Start it: openclawd gateway")
    return converse(endpoints, conversation, timeout_ms=timeout_ms)


def _print(found: Mapping[str, Any]) -> None:
    last = found.get("lastRestart")
    if isinstance(last, dict):
        gap = duration(last.get("gapMs", 0))
        print(f"Restarted: process {found['pid']} is generation {found['generation']}, after {gap}.")
    elif found["status"] == "deferred":
        print("The gateway restarts when the runs under way have ended.")
    else:
        print("The gateway restarts now.")
    for note in found.get("notes", []):
        print(f"Note: {note['said']}.\n{note['cure']}")
