"""Devices and requests as rows of `device.pair.list`: how they are shown, and which one a word means.

An id may be cut to its beginning, as a person would not type 64 characters; it must mean one row only. Names
choose nothing: each device gives itself one.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from openclawd.cli.failure import Failure
from openclawd.cli.output import duration, print_table
from openclawd.daemon.exit_codes import ExitCode

Row = Mapping[str, Any]

# Short enough to type, long enough not to hit another by accident.
PREFIX_MIN_CHARACTERS: Final = 6
# A device may call itself anything, at any length.
_NAME_MAX_CHARACTERS: Final = 64


def print_waiting(requests: Sequence[Row]) -> None:
    print_table(
        ("REQUEST", "NAME", "CLIENT", "ROLE", "SCOPES", "FROM", "ASKED"),
        [
            (
                request.get("requestId", "-"),
                name_of(request),
                request.get("clientId", "-"),
                ", ".join(request.get("roles") or [request.get("role", "-")]),
                _scopes(request),
                request.get("browserOrigin") or request.get("remoteIp", "-"),
                _ago(request.get("ts")),
            )
            for request in requests
        ],
    )


def print_paired(devices: Sequence[Row]) -> None:
    print_table(
        ("NAME", "CLIENT", "ROLES", "SCOPES", "PAIRED", "DEVICE"),
        [
            (
                name_of(device),
                device.get("clientId", "-"),
                ", ".join(device.get("roles") or [device.get("role", "-")]),
                _scopes(device),
                _ago(device.get("approvedAtMs")),
                device.get("deviceId", "-"),
            )
            for device in devices
        ],
    )


def print_unreadable(rows: Sequence[Row]) -> None:
    print_table(("DEVICE", "PROBLEM"), [(row.get("deviceId", "-"), row.get("problem", "-")) for row in rows])


def name_of(row: Row) -> str:
    """What a person knows it by; as much of it as a line has room for."""
    name = str(row.get("displayName") or row.get("platform") or "unnamed")
    return name if len(name) <= _NAME_MAX_CHARACTERS else f"{name[:_NAME_MAX_CHARACTERS]}…"


def chosen(word: str, rows: Sequence[Row], key: str, *, kind: str) -> Row:
    """The row whose `key` is `word`, or alone begins with it. Raises Failure; `kind` is device or request."""
    listing = "Which there are: openclawd devices list"
    exact = [row for row in rows if row.get(key) == word]
    if exact:
        return exact[0]
    if len(word) < PREFIX_MIN_CHARACTERS:
        raise Failure(
            f"{word!r} is too short for the beginning of a {kind} id: {PREFIX_MIN_CHARACTERS} characters"
            " at least.",
            cure=listing,
            exit_code=ExitCode.USAGE,
        )
    beginning = [row for row in rows if str(row.get(key, "")).startswith(word)]
    if not beginning:
        raise Failure(f"There is no {kind} whose id is or begins with {word}.", cure=listing)
    if len(beginning) > 1:
        raise Failure(f"{len(beginning)} {kind}s have an id that begins with {word}.", cure=listing)
    return beginning[0]


def _scopes(row: Row) -> str:
    """Without the `operator.` that they all begin with."""
    return ", ".join(str(scope).removeprefix("operator.") for scope in row.get("scopes", [])) or "-"


def _ago(moment_ms: object) -> str:
    if not isinstance(moment_ms, int | float):
        return "-"
    return f"{duration(max(0, time.time() * 1000 - moment_ms))} ago"
