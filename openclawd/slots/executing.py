"""Which programs the processes of this machine execute, as far as this user may see them.

Linux has a link for each (proc(5), /proc/pid/exe). macOS has libproc.h, in the library that every process has
loaded; it names the file itself, whatever link it was started by.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

# PROC_PIDPATHINFO_MAXSIZE of libproc.h: four times the longest path.
_PATH_BYTES: Final = 4096
_PROC: Final = Path("/proc")
# Processes that begin while they are counted.
_SPARED: Final = 64


def executable_of(pid: int, proc: Path = _PROC) -> Path | None:
    """The file that a process executes; None where that cannot be told, also of one that is gone."""
    if sys.platform == "darwin":
        return path_of(pid, _libproc().proc_pidpath)
    try:
        return (proc / str(pid) / "exe").readlink()
    except OSError:
        return None


def executables(without: int | None = None, proc: Path = _PROC) -> Iterator[Path]:
    """Of all processes but `without`."""
    if sys.platform == "darwin":
        pids = pids_of(_libproc().proc_listallpids)
    else:
        pids = [int(each.name) for each in proc.glob("[0-9]*")]
    for pid in pids:
        if pid != without and (found := executable_of(pid, proc)) is not None:
            yield found


def path_of(pid: int, ask: Callable[..., int]) -> Path | None:
    """What `int proc_pidpath(int, void *, uint32_t)` says: the length of the path, or 0."""
    import ctypes

    buffer = ctypes.create_string_buffer(_PATH_BYTES)
    length = ask(pid, buffer, _PATH_BYTES)
    return Path(os.fsdecode(buffer.raw[:length])) if length > 0 else None


def pids_of(ask: Callable[..., int]) -> list[int]:
    """What `int proc_listallpids(void *, int)` says: how many there are, and with room for them, which."""
    import ctypes

    room = (ctypes.c_int * (max(0, ask(None, 0)) + _SPARED))()
    count = ask(room, ctypes.sizeof(room))
    return [pid for pid in room[: max(0, count)] if pid > 0]


def _libproc() -> Any:
    import ctypes

    return ctypes.CDLL(None)
