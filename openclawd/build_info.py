"""What this program was built from, where packaging/build has left word of it."""

import json
from pathlib import Path
from typing import Any, Final

from openclawd import __version__

_LEFT: Final = Path(__file__).with_name("build.json")
_SHOWN_DIGITS: Final = 9


def version_line() -> str:
    """`openclawd 0.1.0 (abcdef012, 2026-11-23)`: the version, the commit and its day. A `+` behind the
    commit: the files were changed since. A source tree says its version alone.
    """
    try:
        told: dict[str, Any] = json.loads(_LEFT.read_bytes())
    except FileNotFoundError:
        return f"openclawd {__version__}"
    commit = told["commit"]
    known = [commit[:_SHOWN_DIGITS] + ("+" if told["changed"] else "")] if commit else []
    return f"openclawd {__version__} ({', '.join([*known, told['date']])})"
