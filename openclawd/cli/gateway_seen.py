"""What can be found out about a gateway: from itself, its supervisor, its installation, its log.

It is asked over its local socket; the others tell of it in any case, so that a gateway that is down, or dies
again and again, has a reason.
"""

import argparse
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from openclawd.cli.failure import Failure, NotRunning
from openclawd.cli.finding import Finding
from openclawd.cli.log_tail import LogTail, log_tail
from openclawd.cli.posture import unwritable
from openclawd.cli.rpc import Rpc, converse
from openclawd.cli.service_unit import Unit, unit_of
from openclawd.cli.taken_port import taken_port
from openclawd.cli.target import endpoints, settings_for
from openclawd.cli.update_line import installation_with
from openclawd.config.paths import resolve_paths
from openclawd.config.problems import ConfigError, UsageError
from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.lock import running_pid
from openclawd.daemon.log_file import LOG_NAME
from openclawd.daemon.log_text import render
from openclawd.service.ends import unread_credentials
from openclawd.service.found import find_service
from openclawd.service.launchd_standing import last_words
from openclawd.service.standing import Condition, End, Standing
from openclawd.service.systemd_standing import Journal
from openclawd.slots.document import document_of
from openclawd.slots.layout import own_installation

_REFUSED_SHOWN: Final = 3
_LAST_LINES: Final = 3
# One that is well answers within milliseconds, and there is more to say of one that is not.
_PATIENCE_MS: Final = 3_000
_ASKED_ELSEWHERE: Final = ("url", "port", "token", "token_file", "password", "password_file")


@attrs.define(eq=False, repr=False)
class Seen:
    """What was found out."""

    now_ms: float
    """When that was."""

    as_root: bool = False
    """Whether who asks needs no sudo."""

    running: Mapping[str, Any] | None = None
    """What the gateway says of itself; None when it does not answer."""

    failure: Failure | None = None
    config_problem: tuple[str, ...] = ()
    """Why the config cannot be used, where that had to be known."""

    pid: int | None = None
    """Who holds the state directory."""

    standing: Standing | None = None
    end: End | None = None
    last_words: tuple[str, ...] = ()
    taken_port: tuple[int, str] | None = None
    """The port that it would have, and who has it."""

    unit: Unit | None = None
    """Of one that runs: what only its supervisor can apply."""

    unwritable: Finding | None = None
    """Of one that runs: that nothing can be written to its state."""

    update: Mapping[str, Any] | None = None
    refused: tuple[Mapping[str, Any], ...] = ()
    failed_answers: tuple[Mapping[str, Any], ...] = ()
    """Those of one that runs that failed since the last one that did not, newest first."""

    config_is_valid: bool = True
    """Of one that runs: whether nothing is wrong with the file by itself."""

    stopped_well: bool | None = None
    """Of a gateway that is down, by its log."""

    last_log_ms: int | None = None
    files: Mapping[str, str] = attrs.Factory(dict)

    @property
    def is_down(self) -> bool:
        """Whether nobody has to be asked: who holds its sockets meanwhile would let us wait."""
        standing = self.standing
        runs = (Condition.RUNNING, Condition.RELOADING)
        return self.pid is None and standing is not None and standing.condition not in runs

    @property
    def is_something(self) -> bool:
        """Whether there is more to say than that no gateway runs."""
        known = (self.standing, self.pid, self.update, self.stopped_well)
        return any(each is not None for each in known) or bool(self.last_words or self.config_problem)


def look(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Seen:
    """Of another gateway than this user's own, only what it says. Raises Failure for a wrong command line."""
    seen = Seen(now_ms=0, as_root=os.geteuid() == 0)
    own = all(getattr(arguments, name) is None for name in _ASKED_ELSEWHERE)
    if own:
        _look_at_service(seen, environ)
    try:
        if own and seen.is_down:
            _refuse_bad_config(environ)
            raise NotRunning(f"No gateway is running for {resolve_paths(environ).state_dir}.")
        patience_ms = min(arguments.timeout, _PATIENCE_MS) if own else arguments.timeout
        found = converse(endpoints(arguments, environ), _ask, timeout_ms=patience_ms)
    except Failure as error:
        if error.exit_code == ExitCode.USAGE:
            raise
        seen.failure = error
    except UsageError:
        raise
    except ConfigError as error:
        # The local socket led nowhere, and where else to ask the config would say.
        seen.config_problem = tuple(error.text().splitlines()[:-1])
        seen.failure = NotRunning(error.text(), exit_code=ExitCode.CONFIG)
    else:
        seen.refused = tuple(found.pop("lastRefused", ()))
        seen.running = found
    if own:
        if seen.running is None:
            # Which may be another one since it was asked.
            _look_at_service(seen, environ)
        _look_around(seen, environ)
    seen.now_ms = time.time() * 1000
    return seen


def look_around(environ: Mapping[str, str]) -> Seen:
    """Of one that does not answer: what everybody else says."""
    seen = Seen(now_ms=0, as_root=os.geteuid() == 0)
    _look_at_service(seen, environ)
    _look_around(seen, environ)
    seen.now_ms = time.time() * 1000
    return seen


async def _ask(rpc: Rpc) -> dict[str, Any]:
    from openclawd.cli.running import running_gateway
    from openclawd.cli.status import last_refused

    found = await running_gateway(rpc)
    found["updateAvailable"] = rpc.hello.get("snapshot", {}).get("updateAvailable")
    found["lastRefused"] = await last_refused(rpc, _REFUSED_SHOWN)
    return found


def _look_around(seen: Seen, environ: Mapping[str, str]) -> None:
    """What this machine tells, whether the gateway answers or not."""
    paths = resolve_paths(environ)
    log_file = paths.log_dir / LOG_NAME
    program = seen.standing.program if seen.standing is not None else None
    installation = installation_with(program) or own_installation()
    if installation is not None:
        seen.update = {"current": installation.current_version(), **document_of(installation)}
    if seen.standing is not None:
        _look_at_end(seen, seen.standing)
    if seen.running is not None:
        seen.unit = unit_of(seen.pid) if seen.pid is not None else None
        seen.unwritable = next(unwritable(paths), None)
        seen.failed_answers = tuple(log_tail(log_file).failed_answers)
        try:
            settings_for(paths, environ)
        except ConfigError:
            seen.config_is_valid = False
    else:
        tail = log_tail(log_file)
        seen.refused = tuple(tail.refused(_REFUSED_SHOWN))
        seen.stopped_well, seen.last_log_ms = tail.stopped_well, tail.last_at_ms
        seen.last_words = seen.last_words or tuple(_fault_of(tail))
        output = seen.standing.output if seen.standing is not None else None
        named = {"config": paths.config_file, "state": paths.state_dir, "log": log_file}
        named |= {"output": output} if output is not None else {}
        seen.files = {name: str(file) for name, file in named.items()}
        if seen.end is not None and seen.end.code == ExitCode.BUSY:
            seen.taken_port = taken_port(paths, environ)


def _look_at_service(seen: Seen, environ: Mapping[str, str]) -> None:
    paths = resolve_paths(environ)
    seen.pid = running_pid(paths.lock_file)
    seen.standing = find_service(paths, environ, seen.pid)


def _refuse_bad_config(environ: Mapping[str, str]) -> None:
    settings_for(resolve_paths(environ), environ)


def _look_at_end(seen: Seen, standing: Standing) -> None:
    """How the process before ended, if there is one that did not end well, and what it said."""
    seen.end = standing.end
    if standing.supervisor == "launchd":
        ended = standing.end is not None and standing.condition is not Condition.STOPPED
        if ended and seen.running is None and standing.output is not None:
            seen.last_words = tuple(last_words(standing.output, _LAST_LINES))
        return
    journal = Journal(standing.name, standing.of_user)
    if standing.end is None and standing.starts_again:
        # The one that runs now made the manager forget it.
        seen.end = journal.last_end()
        seen.standing = attrs.evolve(standing, end=seen.end)
    if seen.end is not None and seen.end.code != ExitCode.OK:
        seen.last_words = tuple(journal.last_words(seen.end)) or tuple(unread_credentials(standing, seen.end))


def _fault_of(tail: LogTail) -> Iterator[str]:
    fault = tail.last_fault
    if fault is not None and not tail.stopped_well:
        yield render(fault, colour=False)
