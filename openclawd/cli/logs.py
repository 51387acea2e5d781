"""`openclawd logs`: the end of the log, and what is added to it.

It reads the gateway's own files, so it works without a gateway. Under systemd it puts in between what only
the journal has: that the service died and why, that it was started again, what a gateway said that could not
even begin to write a log. All in one form, in the order of time.
"""

import argparse
import heapq
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from openclawd.cli.arguments import Commands, add_json, count
from openclawd.cli.failure import Failure
from openclawd.daemon.exit_codes import ExitCode

# What a person still calls "at once".
_POLL_INTERVAL_S: Final = 0.2
# What begins otherwise belongs to the line before it.
_TIME: Final = re.compile(rb'\{"time": ?"([^"+]{19,26})')


class Followed(Protocol):
    """A source of lines that grows."""

    def poll(self) -> list[bytes]: ...

    def close(self) -> None: ...


def add_commands(families: Commands) -> None:
    logs = families.add_parser("logs", help="the end of the log; -f follows it")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what is added, until Ctrl-C")
    logs.add_argument(
        "-n", "--lines", type=count, default=100, metavar="N", help="how many lines (default: %(default)s)"
    )
    add_json(logs)
    logs.set_defaults(handler=_logs)


def _logs(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.journal_read import FollowedJournal, journal_lines
    from openclawd.cli.log_file_read import FollowedFile, last_lines
    from openclawd.config.paths import resolve_paths
    from openclawd.daemon.log import wants_colour
    from openclawd.daemon.log_file import LOG_NAME
    from openclawd.daemon.log_text import render_line
    from openclawd.service.found import journal_of

    paths = resolve_paths(environ)
    file = paths.log_dir / LOG_NAME
    colour = wants_colour(sys.stdout)

    def show(lines: Iterable[bytes]) -> None:
        for line in lines:
            text = line.decode("utf-8", "replace") if arguments.json else render_line(line, colour=colour)
            print(text, flush=True)

    journal = journal_of(paths, environ)
    beside, cursor = journal_lines(journal, arguments.lines) if journal is not None else ([], None)
    followed = FollowedFile(file, arguments.lines)
    read = followed.poll if arguments.follow else lambda: last_lines(file, arguments.lines)
    may_be_absent = bool(beside) or arguments.follow
    machines = journal is not None and not journal.of_user and os.geteuid() != 0
    if machines and not beside and not os.access(file, os.R_OK):
        raise Failure("The log of the machine's gateway is root's to read.", cure="sudo openclawd logs")
    logged = _logged(read, file, may_be_absent=may_be_absent, may_be_shut=bool(beside))
    show(merged((logged, beside))[-arguments.lines :])
    if arguments.follow:
        for number in (signal.SIGTERM, signal.SIGHUP):
            # So that what it started ends with it.
            signal.signal(number, lambda caught, _: sys.exit(128 + caught))
        sources: list[Followed] = [followed]
        if journal is not None:
            with suppress(OSError):
                sources.append(FollowedJournal(journal, cursor))
        for lines in follow(sources):
            show(lines)
    return ExitCode.OK


def _logged(
    read: Callable[[], list[bytes]], file: Path, *, may_be_absent: bool, may_be_shut: bool
) -> list[bytes]:
    """What `read` finds in `file`. Raises Failure where there is nothing else to show."""
    try:
        return read()
    except FileNotFoundError:
        if may_be_absent:
            return []
        raise Failure(
            f"There is no log yet ({file}).", cure="The gateway writes it: openclawd gateway"
        ) from None
    except PermissionError as error:
        if not may_be_shut:
            raise Failure(f"{file} belongs to another user.", cure="sudo openclawd logs") from error
        print(f"Without {file}, which belongs to another user: sudo openclawd logs", file=sys.stderr)
        return []


def follow(sources: Sequence[Followed]) -> Iterator[list[bytes]]:
    """Every line that is added to any of them; never ends."""
    try:
        while True:
            lines = merged([_polled(source) for source in sources])
            if lines:
                yield lines
            else:
                time.sleep(_POLL_INTERVAL_S)
    finally:
        for source in sources:
            source.close()


def merged(sources: Iterable[Sequence[bytes]]) -> list[bytes]:
    """The lines in the order of their times; those of one source stay in their order."""
    return [line for _, _, line in heapq.merge(*(_timed(n, lines) for n, lines in enumerate(sources)))]


def _timed(number: int, lines: Sequence[bytes]) -> Iterator[tuple[tuple[bytes, int, int], int, bytes]]:
    """A line without a time has that of the line before it."""
    latest = b""
    for position, line in enumerate(lines):
        if (found := _TIME.match(line)) is not None:
            # A clock that was set back does not turn the order of a source.
            latest = max(latest, found[1])
        yield (latest, number, position), number, line


def _polled(source: Followed) -> list[bytes]:
    # Another user's for a moment, or a disk that fails: the next look may be luckier.
    with suppress(OSError):
        return source.poll()
    return []
