"""What was set aside as damaged and is still there: its owner has to look at it, or to let it go."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

# In the name of what was set aside, before the time.
DAMAGED: Final = "damaged"


@attrs.frozen
class Kept:
    """What is missing since, and the command that forgets it."""

    said: str
    cure: str


def kept_damage(database: Path) -> Iterator[Kept]:
    """Of each database, or log of one, that was found damaged; the oldest first."""
    for kept in sorted(database.parent.glob(f"{database.name}*.{DAMAGED}-*")):
        when = kept.name.rpartition("-")[2]
        cure = f"The damaged file is kept; to forget it: rm {kept}*"
        if kept.name.startswith(f"{database.name}-wal."):
            yield Kept(f"What was written last before {when} is missing: its log was damaged", cure)
        elif when != "wal":
            said = (
                f"The state database was damaged ({when}): what was written since its last backup is missing"
                " where it could not be read any more"
            )
            yield Kept(said, cure)
