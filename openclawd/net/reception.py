"""Who is in: in the lobby, in a handshake, or as a client.

The lobby is the kernel's backlog continued, and costs hardly more: a socket that nobody has said anything on
has no task, no buffers and no TLS. Once its first bytes are here it waits for its turn (net/turns.py), a few
of which are given in each round of the event loop, so that no flood makes the loop late. With its turn it
gets one of the handshake slots, which bound the memory that strangers can take; as a client it leaves it
again, and is never sent away.

Lobby and slots make room by the same rules (net/slots.py). Who has to go is told so in a word, if that needs
no waiting: 503 where HTTP expects one, a close with 1013 on a WebSocket. The log hears of it once a flood and
not once a connection.
"""

import logging
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import trio

from openclawd.net.accepted import IN_HANDSHAKE, Connection
from openclawd.net.floods import Floods
from openclawd.net.silence import Silence
from openclawd.net.slots import Full, Slots, Stage
from openclawd.net.turns import Turns

# Handshakes that begin in one round of the event loop: each costs most of a millisecond.
TURNS_A_ROUND: Final = 4
# Browsers open a socket or two before they need them, and open others when these are gone.
SILENCE_S: Final = 15.0
# Who has ended his side after so long wants no answer any more; sooner, it is a way to say that all is said.
HUNG_UP_AFTER_S: Final = 0.25
# To who must go, or cannot come in, before his request is here.
BUSY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 29\r\nConnection: close\r\n\r\nThe gateway is busy for now.\n"
)

_UNANSWERED: Final = IN_HANDSHAKE | {Stage.ANSWERING}
_log = logging.getLogger("openclawd.listener")


class Reception:
    """The connections of some listeners."""

    def __init__(
        self,
        *,
        lobby: int,
        places: int,
        clients_max: int,
        source: Callable[[str], str | None],
        busy: bytes = BUSY,
    ) -> None:
        """`source` tells what an address counts as (see Slots). `busy` is said to who must go before his
        request is here.
        """
        self._lobby = Slots[Connection](lobby)
        self._slots = Slots[Connection](places)
        self._places = lobby + places
        self._clients: set[Connection] = set()
        self._clients_max = clients_max
        self._source = source
        self._busy = busy
        self._silence = Silence[Connection]()
        self._turns = Turns[Connection]()
        self._wanted = trio.Event()
        self._changed = trio.Event()
        self._leaving = False
        self.floods = Floods(self._facts)

    @property
    def strangers(self) -> int:
        """Connections that are nobody's yet."""
        return len(self._lobby) + len(self._slots)

    @property
    def served(self) -> int:
        """Connections that have a task: in a handshake, or a client's."""
        return len(self._slots) + len(self._clients)

    @property
    def room(self) -> int:
        """For how many more clients there are descriptors."""
        return max(0, self._clients_max - len(self._clients))

    # --- from the door to a client

    async def receive(self, newcomer: socket.socket, address: str) -> None:
        """Let him into the lobby, once there is room; closes him where he may not wait for it."""

        def say_busy() -> None:
            with suppress(OSError):
                os.write(newcomer.fileno(), self._busy)  # the socket does not block

        connection = Connection(newcomer, self._source(address), self, say_busy)
        if await self._place(connection, self._lobby):
            self._silence.begin(connection)
        else:
            connection.end()

    async def listen(self) -> None:
        """Put whose first bytes are here among those who wait for a turn; for ever."""
        while True:
            await self._silence.wait_broken()
            for connection in self._silence.broken():
                if connection.has_spoken():
                    connection.waits_since = trio.current_time()
                    connection.stage = Stage.WAITING
                    self._lobby.move(connection, Stage.WAITING)
                    self.wants_turn(connection)
                else:
                    self._let_go(connection)

    def wants_turn(self, connection: Connection) -> None:
        """It has something to be done for it."""
        self._turns.wait(connection, connection.source)
        self._wanted.set()

    async def give_turns(self, start: Callable[[Connection], None]) -> None:
        """Call `start` for each whose turn has come, with a slot for it; for ever."""
        while True:
            while not self._turns:
                self._wanted = trio.Event()
                await self._wanted.wait()
            given = 0
            while self._turns and given < TURNS_A_ROUND:
                connection = self._turns.next()
                if connection.has_turn():
                    given += 1
                elif self._leaving:
                    continue  # in the lobby still, from where he goes along
                elif self._has_left(connection):
                    self._let_go(connection)
                else:
                    given += 1
                    await self._begin(connection, start)
            await trio.lowlevel.checkpoint()

    def _has_left(self, connection: Connection) -> bool:
        waited_s = trio.current_time() - connection.waits_since
        return waited_s > HUNG_UP_AFTER_S and connection.has_hung_up()

    def _let_go(self, connection: Connection) -> None:
        """Somebody in the lobby has left, or says nothing."""
        self._silence.end(connection)
        self._lobby.give_back(connection)
        connection.socket.close()
        self._changed.set()

    async def _begin(self, connection: Connection, start: Callable[[Connection], None]) -> None:
        placed = await self._place(connection, self._slots)
        if placed and self._leaving:
            self._slots.give_back(connection)  # goes along from the lobby
        elif not self._lobby.give_back(connection):
            self._slots.give_back(connection)  # had to go while he waited for his slot
        elif placed:
            connection.begin()
            start(connection)
        else:
            connection.end()
        self._changed.set()

    def reached(self, connection: Connection, stage: Stage) -> None:
        """See Connection.reached."""
        self._slots.move(connection, stage)
        self._changed.set()

    def settled(self, connection: Connection) -> None:
        """See Connection.settled."""
        if not self._slots.give_back(connection):
            return  # evicted in this very turn
        self._changed.set()
        if len(self._clients) < self._clients_max:
            connection.goodbye = None
            self._clients.add(connection)
            return
        _log.warning("no room for another client", extra={"fields": {"clients": len(self._clients)}})
        connection.end()

    def give_back(self, connection: Connection) -> None:
        """The connection has ended."""
        self._turns.give_up(connection, connection.source)
        self._slots.give_back(connection)
        self._clients.discard(connection)
        self._changed.set()

    async def send_away_the_silent(self) -> None:
        """Close who says nothing for too long; for ever."""
        while True:
            for connection in await self._silence.wait_longer_than(SILENCE_S):
                self._let_go(connection)

    # --- to the next generation of the process

    def leave(self) -> None:
        """Let nobody begin any more; who has begun goes on."""
        self._leaving = True

    def is_leaving(self) -> bool:
        """Whether the process is about to be another, which takes over who has not begun."""
        return self._leaving

    async def finish(self, within_s: float) -> None:
        """Wait until everybody who has begun is a client or has his answer; who has not by then is told to
        come again.
        """
        with trio.move_on_after(within_s):
            while any(connection.stage in _UNANSWERED for connection in self._slots):
                if self._changed.is_set():
                    self._changed = trio.Event()
                await self._changed.wait()
        for connection in tuple(self._slots):
            connection.end()

    def hand_over(self) -> list[socket.socket]:
        """Those whom nobody has read a byte of; they are not ours any more."""
        leaving = list(self._lobby)
        for connection in leaving:
            self._silence.end(connection)
            self._lobby.give_back(connection)
        return [connection.socket for connection in leaving]

    async def take_over(self, sockets: Sequence[socket.socket]) -> None:
        """Receive those that the generation before handed over."""
        for each in sockets:
            try:
                address = each.getpeername()
                each.setblocking(False)
            except OSError:
                each.close()  # gone meanwhile
            else:
                await self.receive(each, address[0] if address else "")

    async def _place(self, connection: Connection, slots: Slots[Connection]) -> bool:
        """A place in `slots`, once there is one; False when he may not wait for it."""
        while (outcome := slots.take(connection, connection.source)) is Full.WAIT:
            self.floods.hold_up()
            if self._changed.is_set():
                self._changed = trio.Event()
            try:
                await self._changed.wait()
            except trio.Cancelled:
                connection.socket.close()
                raise
        if outcome is Full.REFUSE:
            self.floods.refuse()
            return False
        if isinstance(outcome, Connection):
            self.floods.evict()
            self._silence.end(outcome)
            self._turns.give_up(outcome, outcome.source)
            outcome.end()
        return True

    def _facts(self) -> dict[str, object]:
        facts: dict[str, object] = {"strangers": self.strangers, "places": self._places}
        largest = self._lobby.largest() or self._slots.largest()
        if largest is not None:
            facts |= {"mostFrom": largest[0], "holds": largest[1]}
        return facts | {"clients": len(self._clients)}

    def close(self) -> None:
        """Close what is left in the lobby, at the end of everything."""
        self._silence.close()
        for connection in self._lobby:
            connection.socket.close()
