"""What can be found out about a gateway: from itself, its supervisor, its installation, its log.

It is asked over its local socket; the others tell of it in any case, so that a gateway that is down, or dies
again and again, has a reason.
"""

import argparse
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from openclawd.cli.failure import Failure, NotRunning
from openclawd.cli.log_tail import LogTail, log_tail
from openclawd.cli.rpc import Rpc, converse
from openclawd.cli.target import endpoints
from openclawd.cli.update_line import installation_with, update_document
from openclawd.config.paths import resolve_paths
from openclawd.config.problems import ConfigError, UsageError
from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.lock import running_pid
from openclawd.daemon.log_file import LOG_NAME
from openclawd.daemon.log_text import render
from openclawd.service.found import find_service
from openclawd.service.program import own_installation
from openclawd.service.standing import End, Standing
from openclawd.service.systemd_standing import Journal

_REFUSED_SHOWN: Final = 3
_ASKED_ELSEWHERE: Final = ("url", "port", "token", "token_file", "password", "password_file")


@attrs.define(eq=False, repr=False)
class Seen:
    """What was found out."""

    now_ms: float
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
    update: Mapping[str, Any] | None = None
    refused: tuple[Mapping[str, Any], ...] = ()
    stopped_well: bool | None = None
    """Of a gateway that is down, by its log."""

    last_log_ms: int | None = None
    files: Mapping[str, str] = attrs.Factory(dict)

    @property
    def is_something(self) -> bool:
        """Whether there is more to say than that no gateway runs."""
        known = (self.standing, self.pid, self.update, self.stopped_well)
        return any(each is not None for each in known) or bool(self.last_words or self.config_problem)


def look(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Seen:
    """Of another gateway than this user's own, only what it says. Raises Failure for a wrong command line."""
    seen = Seen(now_ms=time.time() * 1000, as_root=os.geteuid() == 0)
    try:
        found = converse(endpoints(arguments, environ), _ask, timeout_ms=arguments.timeout)
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
    if all(getattr(arguments, name) is None for name in _ASKED_ELSEWHERE):
        _look_around(seen, environ)
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
    seen.pid = running_pid(paths.lock_file)
    seen.standing = find_service(paths, environ, seen.pid)
    program = seen.standing.program if seen.standing is not None else None
    installation = installation_with(program) or own_installation()
    if installation is not None:
        seen.update = update_document(installation) or None
    if seen.standing is not None:
        _look_at_end(seen, seen.standing)
    if seen.running is None:
        tail = log_tail(log_file)
        seen.refused = tuple(tail.refused(_REFUSED_SHOWN))
        seen.stopped_well, seen.last_log_ms = tail.stopped_well, tail.last_at_ms
        seen.last_words = seen.last_words or tuple(_fault_of(tail))
        named = {"config": paths.config_file, "state": paths.state_dir, "log": log_file}
        seen.files = {name: str(file) for name, file in named.items()}


def _look_at_end(seen: Seen, standing: Standing) -> None:
    """How the process before ended, if there is one that did not end well, and what it said."""
    seen.end = standing.end
    if standing.supervisor == "launchd":
        if seen.running is None and standing.output is not None:
            seen.last_words = tuple(_end_of(standing.output))
        return
    journal = Journal(standing.name, standing.of_user)
    if standing.end is None and standing.starts_again:
        # The one that runs now made the manager forget it.
        seen.end = journal.last_end()
        seen.standing = attrs.evolve(standing, end=seen.end)
    if seen.end is not None and seen.end.code != ExitCode.OK:
        seen.last_words = tuple(journal.last_words(seen.end))


def _fault_of(tail: LogTail) -> Iterator[str]:
    fault = tail.last_fault
    if fault is not None and not tail.stopped_well:
        yield render(fault, colour=False)


def _end_of(output: Path, most: int = 3) -> list[str]:
    """The last lines that launchd has of a job."""
    try:
        with output.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
            text = file.read(8192).decode(errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-most:]
