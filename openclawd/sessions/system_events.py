"""What happened around a session and its model has not been told yet (`system-event`).

The next turn of the session tells it, once. Kept in memory only: an event that nobody was told before a
restart is lost, and so is the oldest where more wait than anybody wants to read.
"""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import attrs

from openclawd.agents.model import ModelMessage

# As stock: more than a model needs to know of what it missed.
MAX_WAITING: Final = 20
# An event is a line or two; a document belongs into a message.
MAX_EVENT_CHARS: Final = 1000


@attrs.frozen(eq=False, repr=False)
class SystemEvent:
    """One event, as it was told to the gateway."""

    text: str
    at_ms: int

    def lines(self) -> str:
        """What a model reads: every line marked, so that it cannot pass for the user's."""
        at = datetime.fromtimestamp(self.at_ms / 1000, UTC)
        first, *rest = self.text.splitlines()
        return "\n".join([f"System: [{at:%Y-%m-%d %H:%M:%S} UTC] {first}", *(f"System: {x}" for x in rest)])


class SystemEvents:
    """The waiting events of every session."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._waiting: dict[str, deque[SystemEvent]] = {}

    def add(self, session_key: str, text: str) -> None:
        """Let `text`, which is not blank, wait; the same text again says nothing new."""
        text = text.strip()[:MAX_EVENT_CHARS]
        waiting = self._waiting.setdefault(session_key, deque(maxlen=MAX_WAITING))
        if not waiting or waiting[-1].text != text:
            waiting.append(SystemEvent(text, self._now_ms()))

    def texts(self, session_key: str) -> list[str]:
        """What waits, oldest first."""
        return [event.text for event in self._waiting.get(session_key, ())]

    def lines(self, session_key: str) -> str:
        """What waits, as a model reads it; empty when nothing does."""
        return "\n".join(event.lines() for event in self._waiting.get(session_key, ()))

    def take(self, session_key: str) -> str:
        """The same, and nothing waits any more."""
        lines = self.lines(session_key)
        self._waiting.pop(session_key, None)
        return lines


def told(messages: tuple[ModelMessage, ...], lines: str) -> tuple[ModelMessage, ...]:
    """The messages, with the lines of events above the user's last words."""
    if not lines or not messages or messages[-1].role != "user":
        return messages
    *before, last = messages
    return (*before, attrs.evolve(last, text=f"{lines}\n\n{last.text}"))
