"""How commands print: JSON for programs, aligned text for people.

Text that came from outside (a device's name, an Origin) goes through `printable`, so it cannot move the
cursor.
"""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from openclawd.daemon.log_text import printable

_UNITS = ((86_400_000, "day"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """`name  value` lines, the values in one column; a fact whose value is None is left out."""
    known = [(name, printable(str(value))) for name, value in facts if value is not None]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        print(f"{name.ljust(width)}  {value}")


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns as wide as their widest cell; nothing is cut, so that an id can be copied."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(len(line[column]) for line in (headings, *cells)) for column in range(len(headings))]
    for line in (headings, *cells):
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())


def duration(milliseconds: float) -> str:
    """The largest unit that fits, whole: `350 ms`, `12 s`, `3 min`, `2 h`, `1 day`, `5 days`."""
    for unit_ms, name in _UNITS:
        count = int(milliseconds // unit_ms)
        if count >= 1:
            return f"{count} {name}s" if name == "day" and count > 1 else f"{count} {name}"
    return f"{max(0, round(milliseconds))} ms"


def shown(path: Path | str) -> str:
    """A path as a person writes it."""
    home, text = os.environ.get("HOME", ""), str(path)
    return f"~{text[len(home) :]}" if len(home) > 1 and text.startswith(f"{home}/") else text
