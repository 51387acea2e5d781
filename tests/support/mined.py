"""`openclawd` with a mine: the process kills itself (SIGKILL) at one call of one function, or at no call.

    python -m tests.support.mined gateway --port N

What to do is in the environment: OPENCLAWD_TEST_MINE is `MOMENT PLACE NUMBER GENERATION`, as in
`after os.fsync 3 1`: the third call in the first generation of the process, when it has returned. A place is
a dotted name, `sql:WORD` for statements that begin with the word, or `sent:TEXT` for bytes with that text on
their way out. With OPENCLAWD_TEST_CHECKPOINT, every commit puts the write-ahead log back into the database.

The product knows nothing of it: functions are replaced before anybody has imported them.
"""

import functools
import inspect
import os
import pkgutil
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn

import attrs

MINE: Final = "OPENCLAWD_TEST_MINE"
CHECKPOINT: Final = "OPENCLAWD_TEST_CHECKPOINT"
# A generation after the first has this from the one before.
_HANDOVER: Final = "OPENCLAWD_HANDOVER"

Function = Callable[..., Any]


@attrs.define
class Mine:
    """`left` more calls are let go."""

    moment: str
    place: str
    left: int

    def step(self, moment: str) -> None:
        """A call comes to this moment."""
        if moment != self.moment:
            return
        self.left -= 1
        if self.left == 0:
            _die()

    def around(self, function: Function) -> Function:
        """The function with the mine in front of it and behind it."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def mined_async(*arguments: Any, **named: Any) -> Any:
                self.step("before")
                result = await function(*arguments, **named)
                self.step("after")
                return result

            return mined_async

        @functools.wraps(function)
        def mined(*arguments: Any, **named: Any) -> Any:
            self.step("before")
            result = function(*arguments, **named)
            self.step("after")
            return result

        return mined

    def around_bytes(self, function: Function, text: bytes) -> Function:
        """The same for calls whose second argument has that text."""
        mined = self.around(function)

        @functools.wraps(function)
        def chosen(target: Any, data: Any, *more: Any) -> Any:
            return (mined if text in bytes(data) else function)(target, data, *more)

        return chosen


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    # The signal is there before kill(2) returns.
    raise AssertionError


def _mine_statements(mine: Mine | None, word: str, *, checkpoint: bool) -> None:
    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            if mine is None or not word or not sql.startswith(word):
                return super().execute(sql, *arguments)
            mine.step("before")
            cursor = super().execute(sql, *arguments)
            mine.step("after")
            return cursor

    connect = sqlite3.connect

    @functools.wraps(connect)
    def opened(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*arguments, factory=Connection, **named)
        if checkpoint:
            connection.execute("PRAGMA wal_autocheckpoint = 1")
        return connection

    sqlite3.connect = opened  # type: ignore[assignment]


def arm(mine: Mine | None, *, checkpoint: bool) -> None:
    """Lay it."""
    kind, _, text = mine.place.partition(":") if mine is not None else ("", "", "")
    if checkpoint or kind == "sql":
        _mine_statements(mine, text if kind == "sql" else "", checkpoint=checkpoint)
    if mine is None or kind == "sql":
        return
    if kind == "sent":
        os.write = mine.around_bytes(os.write, text.encode())
        socket.socket.send = mine.around_bytes(socket.socket.send, text.encode())  # type: ignore[method-assign]
        return
    owner_name, _, name = mine.place.rpartition(".")
    owner = pkgutil.resolve_name(owner_name)
    setattr(owner, name, mine.around(getattr(owner, name)))


def main() -> NoReturn:
    mine = None
    # Only the gateway itself: the check of its next image is another process.
    if (order := os.environ.get(MINE)) and "check" not in sys.argv:
        moment, place, number, generation = order.split(" ")
        if int(generation) == (2 if _HANDOVER in os.environ else 1):
            mine = Mine(moment, place, int(number))
    arm(mine, checkpoint=CHECKPOINT in os.environ)
    from openclawd.cli.main import main as openclawd

    sys.exit(openclawd())


if __name__ == "__main__":
    main()
