"""The gateway's own faults, as its log tells them: answers that it failed to give, parts that died."""

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

# What the log calls them, the field that says which, and the words for people.
_FAULTS: Final[Mapping[str, tuple[str, str]]] = {
    "method failed": ("method", "the answer to {} failed by a fault of the gateway"),
    "part failed": ("part", "its part {!r} failed"),
    "run failed inside": ("name", "an answer to a message failed by a fault of the gateway"),
}
# A log that is full of other things is not read from its beginning.
_TAIL_BYTES: Final = 4 * 1024 * 1024


def logged_faults(log: Path, *, since_ms: int) -> list[str]:
    """Each fault from `since_ms` (wall clock) on, once, in words; none where there is no log."""
    found: dict[str, None] = {}
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
        for line in file:
            # Most lines say nothing of the kind; JSON is for the others.
            if any(each.encode() in line for each in _FAULTS) and (told := _document(line)) is not None:
                field, words = _FAULTS.get(str(told.get("message")), ("", ""))
                if words and _at_ms(told) >= since_ms:
                    found[words.format(told.get(field))] = None
    return list(found)


def _document(line: bytes) -> Mapping[str, Any] | None:
    try:
        told = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return told if isinstance(told, dict) else None


def _at_ms(told: Mapping[str, Any]) -> float:
    try:
        return datetime.fromisoformat(str(told.get("time"))).timestamp() * 1000
    except ValueError:
        return 0.0
