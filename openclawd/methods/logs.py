"""`logs.tail`: the end of the log, then what came since."""

from pathlib import Path

import attrs
import trio

from openclawd.auth.scopes import READ
from openclawd.methods.method import Call, MethodTable

LOGS = MethodTable()


@attrs.frozen
class LogsTailParams:
    """`cursor` is the byte offset that the last answer gave."""

    cursor: int | None = attrs.field(default=None, metadata={"minimum": 0})
    limit: int = attrs.field(default=500, metadata={"minimum": 1, "maximum": 5000})
    max_bytes: int = attrs.field(default=250_000, metadata={"minimum": 1, "maximum": 1_000_000})


@LOGS.add("logs.tail", scope=READ, params=LogsTailParams)
async def logs_tail(call: Call, params: LogsTailParams) -> object:
    """Whole lines from the cursor on, or the last ones; `reset` when the file is no longer the one before."""
    return await trio.to_thread.run_sync(_tail, call.services.log_file, params)


def _tail(file: Path, params: LogsTailParams) -> dict[str, object]:
    try:
        with file.open("rb") as log:
            size = log.seek(0, 2)
            reset = params.cursor is not None and params.cursor > size
            from_cursor = params.cursor is not None and not reset
            start = params.cursor if from_cursor and params.cursor is not None else 0
            truncated = size - start > params.max_bytes
            if truncated:
                start = size - params.max_bytes
            log.seek(max(0, start - 1))
            data = log.read(size - max(0, start - 1))
    except FileNotFoundError:
        size, reset, truncated, start, data = 0, params.cursor not in {None, 0}, False, 0, b""
    # The byte before tells whether the first line is whole; a line still being written waits for the next
    # call.
    if start > 0:
        begins_line, data = data[:1] == b"\n", data[1:]
        if not begins_line:
            data = data.partition(b"\n")[2]
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
