"""The flags that a gateway was started with, as far as they say which secret it wants (proc(5),
/proc/pid/cmdline). Those that would show a secret are not in the command line of a restarted one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from openclawd.config.settings import Flags

_FLAGS: Final = ("auth", "token", "token-file", "password", "password-file")


def flags_of(pid: int | None) -> Flags | None:
    """None where there is no such process, or where that cannot be told."""
    if pid is None:
        return None
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="surrogateescape").split("\0")
    except OSError:
        return None
    return flags_in(words)


def flags_in(words: Sequence[str]) -> Flags:
    """Of a command line; the last of several counts."""
    found: dict[str, str] = {}
    for word, following in zip(words, (*words[1:], ""), strict=True):
        flag, given, value = word.partition("=")
        if flag.removeprefix("--") in _FLAGS and flag.startswith("--"):
            found[flag.removeprefix("--").replace("-", "_")] = value if given else following
    return Flags(**found)
