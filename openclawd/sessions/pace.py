"""The rhythms of a streaming answer, as a small unit of its own: text goes in, paced events come out.

A fast provider sends hundreds of pieces a second. `agent` events carry each piece, but what arrives within
20 ms goes out as one. `chat` deltas repeat the whole text: v3's are sent at most every 150 ms, v4's, which
say what is new as well, every 75 ms. The first piece never waits, and the last one is never forgotten:
`run` sends what is left as soon as its time comes, also when the provider pauses.
"""

import math
from collections.abc import Callable
from typing import Final

import trio

# Fifty events a second look continuous and cost a client little.
AGENT_INTERVAL_S: Final = 0.020
# protocol.md 7.3: at most one cumulative chat delta in this time.
CHAT_V3_INTERVAL_S: Final = 0.150
CHAT_V4_INTERVAL_S: Final = 0.075

# Gets the whole text so far, and what is new of it since the last time.
Tell = Callable[[str, str], None]


class _Beat:
    """One rhythm: how much of the text it has told, and when it may tell more."""

    def __init__(self, interval_s: float, tell: Tell) -> None:
        self._interval_s = interval_s
        self._tell = tell
        self._told = 0
        self._free_at = -math.inf

    def due_at(self, said: str) -> float:
        return self._free_at if len(said) > self._told else math.inf

    def beat(self, said: str, now: float) -> None:
        if self.due_at(said) <= now:
            self._free_at = now + self._interval_s
            self.tell_rest(said)

    def tell_rest(self, said: str) -> None:
        if len(said) > self._told:
            new, self._told = said[self._told :], len(said)
            self._tell(said, new)


class Pace:
    """Paces one answer. What `chat_v3` and `chat_v4` tell was told to `agent` before."""

    def __init__(self, *, agent: Tell, chat_v3: Tell, chat_v4: Tell) -> None:
        self._agent = agent
        self._chat_v3 = _Beat(CHAT_V3_INTERVAL_S, chat_v3)
        self._chat_v4 = _Beat(CHAT_V4_INTERVAL_S, chat_v4)
        self._pending: list[str] = []
        self._said = ""
        self._agent_free_at = -math.inf
        self._more = trio.Event()

    @property
    def text(self) -> str:
        """Everything that was added, sent or not."""
        return self._said + "".join(self._pending)

    def add(self, piece: str) -> None:
        """A piece of the answer; sent at once if its time has come."""
        self._pending.append(piece)
        self._send_due()
        if self._next_due() < math.inf:
            self._more.set()

    async def run(self) -> None:
        """Send what `add` had to hold back, when its time comes. Never returns: cancel it."""
        while True:
            await self._more.wait()
            self._more = trio.Event()
            while (due_at := self._next_due()) < math.inf:
                await trio.sleep_until(due_at)
                self._send_due()

    def flush(self) -> None:
        """The answer has ended: what is left goes out now, but for v3, whose final event says it all."""
        self._send_pieces()
        self._chat_v4.tell_rest(self._said)

    def _next_due(self) -> float:
        agent_at = self._agent_free_at if self._pending else math.inf
        return min(agent_at, self._chat_v3.due_at(self._said), self._chat_v4.due_at(self._said))

    def _send_due(self) -> None:
        now = trio.current_time()
        if now >= self._agent_free_at and self._pending:
            self._send_pieces()
            self._agent_free_at = now + AGENT_INTERVAL_S
        self._chat_v4.beat(self._said, now)
        self._chat_v3.beat(self._said, now)

    def _send_pieces(self) -> None:
        if self._pending:
            new = "".join(self._pending)
            self._pending.clear()
            self._said += new
            self._agent(self._said, new)
