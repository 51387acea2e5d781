"""By what the tries of `openclawd doctor` are known among the gateway's records: the version they give."""

from typing import Final
from uuid import uuid4

from openclawd import __version__

_SIGN: Final = "+doctor."


def new_mark() -> str:
    """Another one for each try."""
    return f"{__version__}{_SIGN}{uuid4().hex[:8]}"


def is_mark(version: object) -> bool:
    return isinstance(version, str) and _SIGN in version
