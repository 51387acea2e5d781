"""What this program is called in this terminal: one that was only downloaded is no `openclawd` yet."""

import re
import shlex
import sys
from typing import Final

from openclawd.slots.carried import unpacked

# `openclawd` where a command of it follows; not the unit, the user or a folder of that name.
_COMMAND: Final = re.compile(
    r"(?<![\w./-])openclawd(?= (?:gateway|dashboard|devices|status|doctor|health|logs|config|backup|restore"
    r"|update|--help)\b)"
)


def as_called(text: str, typed: str) -> str:
    """`text` with its commands as they can be typed; `typed` is what this one was called by."""
    return _COMMAND.sub(lambda _: shlex.quote(typed), text)


def as_typed_here(text: str) -> str:
    """`text` as it can be typed in this terminal: an installed program is called by its name."""
    return text if unpacked() is None else as_called(text, sys.argv[0])
