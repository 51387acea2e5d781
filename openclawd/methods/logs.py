"""`logs.tail`: the end of the log, then what came since."""

import os
from pathlib import Path
from typing import Any, BinaryIO

import attrs
import trio

from openclawd.auth.scopes import READ
from openclawd.methods.method import Call, MethodTable
from openclawd.methods.params import params

LOGS = MethodTable()


@params
class LogsTailParams:
    """`cursor` is the byte offset that the last answer gave."""

    cursor: int | None = attrs.field(default=None, metadata={"minimum": 0})
    limit: int = attrs.field(default=500, metadata={"minimum": 1, "maximum": 5000})
    max_bytes: int = attrs.field(default=250_000, metadata={"minimum": 1, "maximum": 1_000_000})


@LOGS.add("logs.tail", scope=READ, params=LogsTailParams)
async def logs_tail(call: Call, params: LogsTailParams) -> object:
    """Whole lines from the cursor on, or the last ones; `reset` when the file is no longer the one before."""
    return await trio.to_thread.run_sync(tail, call.services.log_file, params)


def tail(file: Path, params: LogsTailParams) -> dict[str, Any]:
    """The answer of `logs.tail`; blocks for as long as the disk takes."""
    try:
        with file.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            start = params.cursor or 0
            # Our cursors stand behind the end of a line; where none ends, this is another file.
            reset = start > size or not _begins_line(log, start)
            if reset:
                start = 0
            truncated = size - start > params.max_bytes
            if truncated:
                start = size - params.max_bytes
            whole = _begins_line(log, start)
            log.seek(start)
            data = log.read(size - start)
    except FileNotFoundError:
        size, reset, truncated, whole, data = 0, params.cursor not in {None, 0}, False, True, b""
    if not whole:
        data = data.partition(b"\n")[2]
    # A line that is still being written waits for the next call.
    complete, newline, rest = data.rpartition(b"\n")
    lines = complete.decode("utf-8", "replace").split("\n") if newline else []
    if len(lines) > params.limit:
        lines = lines[-params.limit :]
        truncated = True
    return {
        "file": str(file),
        "cursor": size - len(rest),
        "size": size,
        "lines": lines,
        "truncated": truncated,
        "reset": reset,
    }


def _begins_line(log: BinaryIO, offset: int) -> bool:
    if offset == 0:
        return True
    log.seek(offset - 1)
    return log.read(1) == b"\n"
