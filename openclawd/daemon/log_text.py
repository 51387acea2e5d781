"""The readable form of a log record, for a terminal and for `openclawd logs`.

Guarantees: one record is one line (a traceback, where it is asked for, follows indented); whatever a client
put into a field cannot move the cursor, colour the screen or forge another line, because every character
that does not print is shown escaped; no value is too odd to be shown.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Final

# Keys of a JSON log line that are not fields of the event.
RESERVED: Final = ("time", "level", "name", "message", "exception")
# As wide as most of our messages; a longer one moves its own fields only.
_MESSAGE_WIDTH: Final = 20
_LEVEL_WIDTH: Final = 5
_OUR_LOGGER: Final = "openclawd"
# A bare value with one of these in it could not be told from what stands around it.
_AMBIGUOUS: Final = frozenset(' "=')
_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode

_DIM: Final = "\x1b[2m"
_RESET: Final = "\x1b[0m"
_LEVEL_COLOURS: Final = {"warn": "\x1b[33m", "error": "\x1b[31m", "fatal": "\x1b[31;1m", "debug": _DIM}


def printable(text: str) -> str:
    """The text with every character that does not print (controls, bidi marks, surrogates) escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1] if ord(character) < 0x7F else f"\\u{ord(character):04x}"


def render(
    record: Mapping[str, object], *, colour: bool, dated: bool = False, traceback: bool = False
) -> str:
    """One line for a record with the keys of the log file; `dated` puts the day before the time."""
    level = str(record.get("level", "?"))
    message = printable(str(record.get("message", "")))
    name = str(record.get("name", _OUR_LOGGER))
    if name.partition(".")[0] != _OUR_LOGGER:
        message = f"{printable(name)}: {message}"
    fields = [(printable(str(key)), shown_value(item)) for key, item in record.items() if key not in RESERVED]
    trace = str(record.get("exception") or "").rstrip()
    if trace:
        fields.append(("error", shown_value(trace.rpartition("\n")[2])))

    shown_level = printable(level).ljust(_LEVEL_WIDTH)
    moment = _moment(record.get("time"), dated=dated)
    if colour:
        moment = f"{_DIM}{moment}{_RESET}"
        shown_level = f"{_LEVEL_COLOURS.get(level, '')}{shown_level}{_RESET}"
    pairs = "  ".join(f"{_DIM}{key}={_RESET}{value}" if colour else f"{key}={value}" for key, value in fields)
    line = f"{moment}  {shown_level}  {message.ljust(_MESSAGE_WIDTH) if pairs else message}"
    if pairs:
        line += f"  {pairs}"
    if trace and traceback:
        line += "".join(f"\n    {printable(part)}" for part in trace.splitlines())
    return line


def render_line(line: bytes, *, colour: bool, dated: bool = True) -> str:
    """The readable form of one line of the log file; what is not one of our lines is shown as it is."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        return printable(line.decode("utf-8", "replace").rstrip("\r\n"))
    return render(record, colour=colour, dated=dated)


def shown_value(value: object) -> str:
    """A field's value: bare where that is unambiguous, else as a JSON string or JSON."""
    if isinstance(value, str):
        bare = value.isprintable() and value and _AMBIGUOUS.isdisjoint(value)
        return value if bare else printable(_json(value))
    return printable(_json(value))


def _moment(time: object, *, dated: bool) -> str:
    """Local time, to the second; what is not a time is shown as it is."""
    try:
        moment = datetime.fromisoformat(str(time)).astimezone()
    except (ValueError, OverflowError):
        return printable(str(time))
    return moment.strftime("%Y-%m-%d %H:%M:%S" if dated else "%H:%M:%S")
