"""What the gateway needs of a WebSocket: whole messages in, finished frames out."""

from typing import Final, Protocol

from openclawd.protocol.closes import Close

# For a peer to answer our close frame.
CLOSE_PATIENCE_S: Final = 2.0


class WireClosed(Exception):
    """The peer is gone, or closed with `code` and `reason` (RFC 6455 section 7.1.5); 1006: no word.

    `by_us`: the peer broke the WebSocket protocol, and it was we who closed.
    """

    def __init__(self, code: int, reason: str, *, by_us: bool = False) -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code
        self.reason = reason
        self.by_us = by_us


class WireOverflow(Exception):
    """The peer sent more in one message than it may; it is owed a close with 1009."""


class Wire(Protocol):
    """One upgraded WebSocket."""

    async def receive(self) -> str | bytes:
        """The next whole message. Raises WireClosed or WireOverflow."""

    async def watch(self) -> None:
        """Never returns; raises WireClosed or WireOverflow once the peer has left or sent too much. A message
        that comes meanwhile is kept for `receive`.
        """

    def send_now(self, frames: bytes) -> bool:
        """Write finished frames without waiting. Raises WireClosed.

        False when the network did not take them all: the wire keeps the rest and sends it before anything
        else, at the latest when `send` is called, if only with nothing.
        """

    async def send(self, frames: bytes) -> None:
        """Write finished frames in one piece. Raises WireClosed. A cancelled call breaks the wire."""

    def close_now(self, close: Close) -> bool:
        """Say why this is closed, without waiting; who receives gets WireClosed when the peer has answered.

        False when the network did not take it all, or the wire is closing: `close` is needed then. Never
        raises.
        """

    def part(self) -> int | None:
        """After `close_now`: the connection's descriptor, for who closes it when the peer has had the time to
        answer. The wire is closed then, and who receives waits until he is cancelled. None where that cannot
        be.
        """

    async def close(self, close: Close, patience_s: float = CLOSE_PATIENCE_S) -> None:
        """Close with a code and a reason, then the transport. A mute peer gets `patience_s` to answer. Never
        raises.
        """

    def admitted(self) -> None:
        """Lift the receive limit from what a stranger may send to what a client may send."""
