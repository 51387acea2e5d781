"""`openclawd` on a disk that takes its time with the config file: while the file `$HELD` is there.

python -m tests.support.held_disk gateway --port N
"""

import os
import sys
import time
from pathlib import Path
from typing import NoReturn


def main() -> NoReturn:
    held, replace = Path(os.environ["HELD"]), os.replace

    def replace_later(source: str | Path, target: str | Path) -> None:
        while Path(target).name == "openclaw.json" and held.exists():
            time.sleep(0.01)
        replace(source, target)

    setattr(os, "replace", replace_later)  # noqa: B010  it takes more than a Path needs
    from openclawd.cli.main import main as openclawd

    sys.exit(openclawd())


if __name__ == "__main__":
    main()
