"""Logging for the daemon: JSON lines in a file, a readable form on the terminal.

A record is `logger.info("admitted", extra={"fields": {"conn": "7f3a", "client": "cli"}})`: short words, and
what belongs to them as fields. In the file it is one JSON object a line: `time` (UTC, ISO 8601), `level`,
`name`, `message`, then the fields. An exception is one line too, its traceback in `exception`; the terminal
shows its last line, and all of it only with `verbose`. Writing a record never raises, whatever a field
holds, and a `Secret` shows as `***`.

The standard logging is used, not structlog: it costs a few microseconds a line more, and every library
below us speaks it already, so that their warnings come out the same way.
"""

import contextlib
import logging
import os
import re
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

import attrs
import orjson

from openclawd.config.secret import Secret
from openclawd.daemon.log_file import LogFile
from openclawd.daemon.log_text import RESERVED, render

_COVERED: Final = "***"
# What JSON leaves bare and a terminal obeys: the second set of control characters, line separators, and marks
# that turn the direction of text.
_UNSAFE: Final = re.compile("[\x80-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
# Deeper than any field of ours; what is below is shown by its type, so that a cycle ends.
_MAX_DEPTH: Final = 8

# Stock's names for `logging.level`, and ours on the terminal.
LEVELS: Final[Mapping[str, int]] = {
    "silent": logging.CRITICAL + 10,
    "fatal": logging.CRITICAL,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
}
_LEVEL_NAMES: Final = {
    logging.CRITICAL: "fatal",
    logging.ERROR: "error",
    logging.WARNING: "warn",
    logging.INFO: "info",
    logging.DEBUG: "debug",
}


class _Terminal(logging.Handler):
    """Lines on a stream that may go away (a closed terminal costs lines, nothing else)."""

    def __init__(self, stream: TextIO, form: Callable[[logging.LogRecord], str]) -> None:
        super().__init__()
        self._stream = stream
        self._form = form

    def emit(self, record: logging.LogRecord) -> None:
        line = self._form(record)
        with contextlib.suppress(OSError, ValueError):
            encoding = getattr(self._stream, "encoding", None) or "utf-8"
            self._stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            self._stream.flush()


@attrs.define(eq=False, repr=False)
class Logging:
    """What `configure_logging` set up; `close()` takes it down again."""

    path: Path
    """The newest log file."""

    _handlers: tuple[logging.Handler, ...]
    _verbose: bool = False

    def set_level(self, level: str) -> None:
        """Log ours from `level` up, one of `LEVELS`; with `verbose`, everything."""
        logging.getLogger("openclawd").setLevel(logging.DEBUG if self._verbose else LEVELS[level])

    def close(self) -> None:
        logging.captureWarnings(False)
        for handler in self._handlers:
            logging.getLogger().removeHandler(handler)
            handler.close()


def configure_logging(
    log_dir: Path,
    *,
    verbose: bool,
    level: str = "info",
    stream: TextIO,
    stream_level: int = logging.NOTSET,
    json_lines: bool = False,
) -> Logging:
    """Send records to `log_dir` and to `stream`: ours from `level` up, other libraries' from warnings up.

    `level` is one of `LEVELS`. `verbose` lowers it to debug and shows tracebacks on the terminal. What is
    below `stream_level` goes to the file only. `json_lines` gives `stream` the lines of the file in place of
    the readable form.
    """
    colour = wants_colour(stream)

    def readable(record: logging.LogRecord) -> str:
        return render(as_document(record), colour=colour, traceback=verbose)

    def unread(record: logging.LogRecord) -> str:
        return as_line(record).decode().rstrip()

    file = LogFile(log_dir, as_line)
    terminal = _Terminal(stream, unread if json_lines else readable)
    terminal.setLevel(stream_level)
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    for handler in (file, terminal):
        root.addHandler(handler)
    logging.captureWarnings(True)
    # Nothing shows them, and finding them out costs as much as the record (the logging HOWTO, Optimization).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001  as the HOWTO has it
    setup = Logging(path=file.path, handlers=(file, terminal), verbose=verbose)
    setup.set_level(level)
    return setup


def wants_colour(stream: TextIO) -> bool:
    """A terminal that knows colours, and nobody who said no (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def as_document(record: logging.LogRecord) -> Mapping[str, object]:
    """The record as the log file has it; made once for all who write it."""
    document: dict[str, object] | None = record.__dict__.get("document")
    if document is None:
        document = record.__dict__["document"] = _document(record)
    return document


def _document(record: logging.LogRecord) -> dict[str, object]:
    document: dict[str, object] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": _level_name(record.levelno),
        "name": record.name,
        "message": _message(record),
    }
    fields = getattr(record, "fields", None)
    if isinstance(fields, Mapping):
        for key, value in fields.items():
            name = str(key)
            document[f"{name}_" if name in RESERVED else name] = _plain(value, 0)
    if record.exc_info and record.exc_info[0] is not None:
        document["exception"] = _encodable("".join(traceback.format_exception(*record.exc_info)))
    return document


def as_line(record: logging.LogRecord) -> bytes:
    """The record as one line of JSON, newline included; safe to look at as it is."""
    line = orjson.dumps(as_document(record), option=orjson.OPT_APPEND_NEWLINE)
    if line.isascii():
        return line
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", line.decode()).encode()


def _level_name(number: int) -> str:
    return next((name for least, name in _LEVEL_NAMES.items() if number >= least), "debug")


def _message(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except (TypeError, ValueError, KeyError):
        # Arguments that do not fit their format: the bare text is better than no line.
        text = str(record.msg)
    return _encodable(text)


def _plain(value: object, depth: int) -> object:
    """The value as JSON can hold it, secrets covered."""
    if isinstance(value, str):
        return _encodable(str(value))
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        # Beyond 64 bits orjson refuses; a log line is no place to care.
        return int(value) if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, Secret):
        return _COVERED
    if depth >= _MAX_DEPTH:
        return f"<{type(value).__name__}>"
    if isinstance(value, Mapping):
        return {_encodable(str(key)): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth + 1) for item in value]
    return _shown(value)


def _shown(value: object) -> str:
    try:
        return _encodable(str(value))
    except Exception as error:  # noqa: BLE001 - a foreign __str__ may raise anything; the line must still be written
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _encodable(text: str) -> str:
    """UTF-8 holds no lone surrogates; they are what undecodable file names and variables arrive as."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
