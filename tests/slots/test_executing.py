"""Which programs run, as Linux and libproc.h of macOS tell it."""

import ctypes
import os
import sys
from pathlib import Path

from openclawd.slots.executing import executable_of, executables, path_of, pids_of

PIDPATH = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32)
LISTALLPIDS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)


def test_this_process_executes_what_it_says_it_does() -> None:
    own = Path(sys.executable).resolve()
    assert executable_of(os.getpid()) == own
    assert own in set(executables())


def test_of_a_process_that_is_gone_nothing_is_known() -> None:
    assert executable_of(2**22 + 1) is None


def test_the_path_that_libproc_writes_is_read_to_its_length() -> None:
    path = "/opt/openclawd/versions/0.7.0/openclawd é".encode()

    def pidpath(pid: int, buffer: int | None, size: int) -> int:
        if pid != 7 or buffer is None or size < len(path):
            return 0
        ctypes.memmove(buffer, path + b"garbage", len(path) + 7)
        return len(path)

    assert path_of(7, PIDPATH(pidpath)) == Path(os.fsdecode(path))
    assert path_of(8, PIDPATH(pidpath)) is None


def test_there_is_room_for_processes_that_begin_while_they_are_counted() -> None:
    asked: list[int] = []

    def listallpids(buffer: int | None, size: int) -> int:
        asked.append(size)
        pids = [1, 7] if buffer is None else [1, 7, 9, 0]
        if buffer is not None:
            assert size >= 4 * len(pids)
            ctypes.memmove(buffer, (ctypes.c_int * len(pids))(*pids), 4 * len(pids))
        return len(pids)

    assert pids_of(LISTALLPIDS(listallpids)) == [1, 7, 9]
    assert asked[0] == 0


def test_where_libproc_says_nothing_nobody_runs() -> None:
    assert pids_of(LISTALLPIDS(lambda *_: -1)) == []
