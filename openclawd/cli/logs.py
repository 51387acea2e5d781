"""`openclawd logs`: the end of the log, and what is added to it.

It reads the files, so it works without a gateway.
"""

import argparse
import itertools
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from openclawd.cli.arguments import Commands, add_json, count
from openclawd.cli.failure import Failure
from openclawd.daemon.exit_codes import ExitCode

# What a person still calls "at once".
_POLL_INTERVAL_S: Final = 0.2
_BLOCK_BYTES: Final = 64 * 1024


def add_commands(families: Commands) -> None:
    logs = families.add_parser("logs", help="the end of the log; -f follows it")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what is added, until Ctrl-C")
    logs.add_argument(
        "-n", "--lines", type=count, default=100, metavar="N", help="how many lines (default: %(default)s)"
    )
    add_json(logs)
    logs.set_defaults(handler=_logs)


def _logs(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.config.paths import resolve_paths
    from openclawd.daemon.log import wants_colour
    from openclawd.daemon.log_file import LOG_NAME
    from openclawd.daemon.log_text import render_line

    file = resolve_paths(environ).log_dir / LOG_NAME
    colour = wants_colour(sys.stdout)

    def show(line: bytes) -> None:
        print(
            line.decode("utf-8", "replace") if arguments.json else render_line(line, colour=colour),
            flush=True,
        )

    if not arguments.follow and not file.exists():
        raise Failure(f"There is no log yet ({file}).", cure="The gateway writes it: openclawd gateway")
    for line in follow(file, arguments.lines) if arguments.follow else last_lines(file, arguments.lines):
        show(line)
    return ExitCode.OK


def last_lines(file: Path, wanted: int) -> list[bytes]:
    """The last lines of the log, rotated files included, oldest first."""
    with file.open("rb") as opened:
        lines, _ = _tail(opened, wanted)
    return _older_lines(file, wanted - len(lines)) + lines


def follow(file: Path, wanted: int) -> Iterator[bytes]:
    """The last lines, then every line that is added, over rotations too; never ends."""
    while not file.exists():
        time.sleep(_POLL_INTERVAL_S)
    opened = file.open("rb")
    try:
        lines, end = _tail(opened, wanted)
        yield from _older_lines(file, wanted - len(lines)) + lines
        opened.seek(end)
        rest = b""
        while True:
            # Looked at before reading, so that what was written until the rotation is still read.
            rotated = _was_rotated(file, opened)
            while block := opened.read(_BLOCK_BYTES):
                *lines, rest = (rest + block).split(b"\n")
                yield from lines
            if rotated:
                opened.close()
                opened, rest = file.open("rb"), b""
            else:
                time.sleep(_POLL_INTERVAL_S)
    finally:
        opened.close()


def _tail(opened: BinaryIO, wanted: int) -> tuple[list[bytes], int]:
    """The last complete lines of a file, and the offset behind them; reads no more than it needs."""
    start = opened.seek(0, os.SEEK_END)
    text = b""
    # One newline more than lines: the one that ends the line before them.
    while start > 0 and text.count(b"\n") <= wanted:
        size = min(_BLOCK_BYTES, start)
        start = opened.seek(start - size)
        text = opened.read(size) + text
    complete = text[: text.rfind(b"\n") + 1]
    lines = complete.splitlines()
    return lines[len(lines) - min(wanted, len(lines)) :], start + len(complete)


def _older_lines(file: Path, wanted: int) -> list[bytes]:
    """The last lines of the rotated files."""
    found: list[bytes] = []
    for number in itertools.count(1):
        part = file.with_name(f"{file.name}.{number}")
        if len(found) >= wanted or not part.exists():
            return found
        with part.open("rb") as opened:
            found = _tail(opened, wanted - len(found))[0] + found
    return found


def _was_rotated(file: Path, opened: BinaryIO) -> bool:
    """Whether the path has come to mean another file, or the file was cut."""
    try:
        now = file.stat()
    except FileNotFoundError:
        # Renamed, and the next one not made yet.
        return False
    then = os.fstat(opened.fileno())
    return (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino) or now.st_size < opened.tell()
