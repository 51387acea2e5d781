"""`openclawd` in a process that may not execute another program in its own place.

python -m tests.support.no_execve gateway --port N
"""

import errno
import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    def refuse(*_words: object) -> NoReturn:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    setattr(os, "execve", refuse)  # noqa: B010  it may return as little, but is declared with its words
    from openclawd.cli.main import main as openclawd

    sys.exit(openclawd())


if __name__ == "__main__":
    main()
