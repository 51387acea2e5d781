"""What getting a new version and switching to it say to each other."""

from collections.abc import Callable
from pathlib import Path

import attrs

from openclawd.slots.progress import Progress


class CannotUpdate(Exception):
    """There will be no update, and nothing has changed: why, in words, and the one command that helps."""

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cure = cure


@attrs.frozen
class Staged:
    """A version that was verified and is whole in its slot, `versions/<version>`, all of it on the disk."""

    version: str
    folder: Path


Tell = Callable[[Progress], None]

Fetch = Callable[[str | None, Tell], Staged | None]
"""Asked for a version, or for the newest that fits (None): what is staged then. None where nothing is newer,
or where the version that was asked for runs already. Raises CannotUpdate.
"""
