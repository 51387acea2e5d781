"""An updater that may die at any of its changes of a file (tests/support/kill_at_call.c):

python -m tests.update.dying ROOT good|bad
"""

import sys
from pathlib import Path

from openclawd.slots.layout import Installation
from openclawd.slots.progress import ProgressFile, update_lock
from tests.slots.installed import NEW, OLD
from tests.update.worlds import World, hangs, serves


def main(root: Path, new: str) -> None:
    """The update of a host whose gateway runs."""
    found = Installation(root)
    here = World(found, {OLD: serves(OLD), NEW: serves(NEW) if new == "good" else hangs})
    here.running, here.life = OLD, 1
    with update_lock(found):
        updater = here.updater()
        object.__setattr__(updater, "tell", ProgressFile(found).tell)
        updater.update(here.staged, None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
