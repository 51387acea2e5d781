"""The one file that people download, and the slot that rides inside it.

It unpacks itself into a folder of its own each time that it is started, and removes that folder at its end
(pyinstaller.org, operating mode). There, beside the libraries, is `slot/`:

    slot/openclawd               a slot's own program
    slot/LICENSE, slot/licences/
    slot/_internal -> ..         so that this program can be started where it was unpacked to

A gateway that was started from the one file becomes that program when it restarts: the file itself would
unpack itself once more, and put another process between the gateway and whoever started it.
"""

import fcntl
import os
import sys
from pathlib import Path
from typing import Final

INTERNAL: Final = "_internal"
PROGRAM: Final = "openclawd"
_CARRIED: Final = "slot"


def unpacked() -> Path | None:
    """The folder that the one file has unpacked itself to; None for a program that is installed or built as
    a folder.
    """
    inside = getattr(sys, "_MEIPASS", None)
    if inside is None:
        return None
    folder = Path(inside).resolve()
    return folder if (folder / _CARRIED / PROGRAM).is_file() else None


def carried() -> Path | None:
    """The folder in it that has what a slot has, but for its libraries, which are all around it."""
    folder = unpacked()
    return folder / _CARRIED if folder is not None else None


def keep_unpacked() -> None:
    """Have what tidies up folders of temporary files leave ours alone while this process runs, however old it
    gets: a lock on a folder says so (tmpfiles.d(5), flock(2)).
    """
    folder = unpacked()
    if folder is None:
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)  # a filesystem without locks, or one who is at it already
