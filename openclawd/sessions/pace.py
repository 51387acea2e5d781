"""The two rhythms of a streaming answer, as a small unit of its own: text goes in, paced events come out.

A fast provider sends hundreds of pieces a second. `agent` events carry each piece, but what arrives within
20 ms goes out as one; `chat` deltas repeat the whole text and are sent at most every 150 ms. The first
piece never waits, and the last one is never forgotten: `run` sends what is left as soon as its time comes,
also when the provider pauses.
"""

import math
from collections.abc import Callable
from typing import Final

import trio

# Fifty events a second look continuous and cost a client little.
AGENT_INTERVAL_S: Final = 0.020
# protocol.md 7.3: at most one cumulative chat delta in this time.
CHAT_INTERVAL_S: Final = 0.150


class Pace:
    """Paces one answer. `on_agent(text, delta)` and `on_chat(text)` get the whole text so far."""

    def __init__(self, on_agent: Callable[[str, str], None], on_chat: Callable[[str], None]) -> None:
        self._on_agent = on_agent
        self._on_chat = on_chat
        self._pending: list[str] = []
        self._said = ""
        self._chat_owed = False
        self._agent_at = -math.inf
        self._chat_at = -math.inf
        self._more = trio.Event()

    @property
    def text(self) -> str:
        """Everything that was added, sent or not."""
        return self._said + "".join(self._pending)

    def add(self, piece: str) -> None:
        """A piece of the answer; sent at once if its time has come."""
        self._pending.append(piece)
        self._send_due()
        if self._pending or self._chat_owed:
            self._more.set()

    async def run(self) -> None:
        """Send what `add` had to hold back, when its time comes. Never returns: cancel it."""
        while True:
            await self._more.wait()
            self._more = trio.Event()
            while self._pending or self._chat_owed:
                await trio.sleep_until(self._next_due())
                self._send_due()

    def flush(self) -> None:
        """The answer has ended: the last pieces go out now. The chat's last word is its final event."""
        if self._pending:
            self._send_pieces()
        self._chat_owed = False

    def _next_due(self) -> float:
        agent_at = self._agent_at if self._pending else math.inf
        chat_at = self._chat_at if self._chat_owed else math.inf
        return min(agent_at, chat_at)

    def _send_due(self) -> None:
        now = trio.current_time()
        if self._pending and now >= self._agent_at:
            self._send_pieces()
            self._agent_at = now + AGENT_INTERVAL_S
        if self._chat_owed and now >= self._chat_at:
            self._chat_owed = False
            self._chat_at = now + CHAT_INTERVAL_S
            self._on_chat(self._said)

    def _send_pieces(self) -> None:
        delta = "".join(self._pending)
        self._pending.clear()
        self._said += delta
        self._chat_owed = True
        self._on_agent(self._said, delta)
