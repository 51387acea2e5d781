"""One accepted connection, from the kernel's queue to its end."""

import socket
from collections.abc import Callable
from typing import Final, Protocol

import attrs
import trio

from openclawd.net.slots import Stage

# Somebody whose request is not here, or not decided.
IN_HANDSHAKE: Final = frozenset((Stage.OPEN, Stage.WAITING, Stage.UPGRADED, Stage.DECIDING))
# <netinet/tcp.h>: the peer has sent its FIN.
_CLOSE_WAIT: Final = 8


class Host(Protocol):
    """What a connection needs of its reception."""

    def reached(self, connection: "Connection", stage: Stage) -> None: ...
    def wants_turn(self, connection: "Connection") -> None: ...
    def settled(self, connection: "Connection") -> None: ...
    def is_leaving(self) -> bool: ...


@attrs.define(eq=False, repr=False)
class Connection:
    """One accepted connection. Who serves it says how far it has come."""

    socket: socket.socket
    source: str | None
    _reception: Host
    goodbye: Callable[[], None] | None
    """Says it, without waiting, to a peer that is in the middle of its handshake."""

    stage: Stage = Stage.OPEN
    waits_since: float = 0.0
    """For its first turn (trio.current_time)."""

    scope: trio.CancelScope = attrs.Factory(trio.CancelScope)
    stream: trio.SocketStream = attrs.field(init=False)
    """The transport, once it has begun."""

    _begun: bool = False
    _turn: trio.Event | None = None

    def begin(self) -> None:
        """Its turn has come."""
        self._begun = True
        self.stage = Stage.OPEN
        self.stream = trio.SocketStream(trio.socket.from_stdlib_socket(self.socket))

    def reached(self, stage: Stage) -> None:
        """It has come to `stage`."""
        if stage is not self.stage:
            self.stage = stage
            self._reception.reached(self, stage)

    async def turn(self) -> None:
        """Wait for another turn: it wants more than its first one was for."""
        self._turn = trio.Event()
        self._reception.wants_turn(self)
        await self._turn.wait()

    def has_turn(self) -> bool:
        """Let it go on; False when it has not begun."""
        if self._turn is None:
            return False
        self._turn.set()
        return True

    def is_leaving(self) -> bool:
        """See Reception.is_leaving."""
        return self._reception.is_leaving()

    def settled(self) -> None:
        """It is a client's now; unless there is one too many, and it ends."""
        self._reception.settled(self)

    def end(self) -> None:
        """Close it now, with the word that it is owed."""
        self.scope.cancel()
        if self.goodbye is not None and self.stage in IN_HANDSHAKE:
            self.goodbye()
        if self._begun:
            self.stream.socket.close()
        else:
            self.socket.close()

    def has_spoken(self) -> bool:
        """Whether there is something to read; False when the peer is gone."""
        try:
            return self.socket.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True  # the kernel thought better of it: a checksum was wrong (select(2), bugs)
        except OSError:
            return False

    def has_hung_up(self) -> bool:
        """Whether the peer has ended the connection already, where the kernel tells (tcp(7), TCP_INFO)."""
        if self.socket.family == socket.AF_UNIX or not hasattr(socket, "TCP_INFO"):
            return False
        try:
            return self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _CLOSE_WAIT
        except OSError:
            return True
