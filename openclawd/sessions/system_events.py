"""What happened around a session and its model has not been told yet (`system-event`).

The next turn of the session tells it, once; a turn that was interrupted tells it again when it begins anew.
An event that was acknowledged is on disk, so a restart or a crash loses none. They are read from there once,
so that a turn without any, as nearly all are, costs no look at the store. Where more wait than anybody wants
to read, the oldest is forgotten.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

import attrs
import trio

from openclawd.agents.model import ModelMessage
from openclawd.store.errors import StoreError
from openclawd.store.system_events import SystemEvent, SystemEventRows

# As stock: more than a model needs to know of what it missed.
MAX_WAITING: Final = 20
# An event is a line or two; a document belongs into a message.
MAX_EVENT_CHARS: Final = 1000

_log = logging.getLogger("openclawd.sessions")


class SystemEvents:
    """The waiting events of every session; keys are canonical. Every call may raise StoreError."""

    def __init__(self, rows: SystemEventRows, now_ms: Callable[[], int]) -> None:
        self._rows = rows
        self._now_ms = now_ms
        self._known: dict[str, deque[SystemEvent]] | None = None
        # Who holds it sees the store and `_known` agree.
        self._changing = trio.Lock()

    async def add(self, session_key: str, text: str) -> None:
        """Let `text`, which is not blank, wait; the same text again says nothing new."""
        text = text.strip()[:MAX_EVENT_CHARS]
        async with self._changing:
            events = (await self._loaded()).setdefault(session_key, deque(maxlen=MAX_WAITING))
            if events and events[-1].run_seq is None and events[-1].text == text:
                return
            event = SystemEvent(session_key, text, self._now_ms())
            await self._rows.add(event, keep=MAX_WAITING)
            events.append(event)

    async def texts(self, session_key: str) -> list[str]:
        """What waits, oldest first."""
        async with self._changing:
            events = (await self._loaded()).get(session_key, ())
        return [event.text for event in events if event.run_seq is None]

    async def lines(self, session_key: str, run_seq: int) -> str:
        """What waits, or this run is telling, as a model reads it; empty when nothing does."""
        async with self._changing:
            return _lines(_of_run((await self._loaded()).get(session_key, ()), run_seq))

    async def take(self, session_key: str, run_seq: int) -> str:
        """The same, and nothing waits any more: this run tells it."""
        async with self._changing:
            known = await self._loaded()
            mine = _of_run(known.pop(session_key, ()), run_seq)
            if not mine:
                return ""
            if any(event.run_seq is None for event in mine):
                try:
                    await self._rows.tell(session_key, run_seq)
                except StoreError as error:
                    # No reason to leave a message unanswered; at worst a crash has it told again.
                    fields = {"sessionKey": session_key, "error": str(error)}
                    _log.warning("events may be told again", extra={"fields": fields})
            told = (attrs.evolve(event, run_seq=run_seq) for event in mine)
            known[session_key] = deque(told, maxlen=MAX_WAITING)
            return _lines(mine)

    async def _loaded(self) -> dict[str, deque[SystemEvent]]:
        if self._known is None:
            known: dict[str, deque[SystemEvent]] = {}
            for event in await self._rows.untold():
                known.setdefault(event.session_key, deque(maxlen=MAX_WAITING)).append(event)
            self._known = known
        return self._known


def told(messages: tuple[ModelMessage, ...], lines: str) -> tuple[ModelMessage, ...]:
    """The messages, with the lines of events above the user's last words."""
    if not lines or not messages or messages[-1].role != "user":
        return messages
    *before, last = messages
    return (*before, attrs.evolve(last, text=f"{lines}\n\n{last.text}"))


def _of_run(events: Iterable[SystemEvent], run_seq: int) -> list[SystemEvent]:
    """What a run tells: a session has one run at a time, so what another told is told."""
    return [event for event in events if event.run_seq in {None, run_seq}]


def _lines(events: Iterable[SystemEvent]) -> str:
    """What a model reads: every line marked, so that it cannot pass for the user's."""
    marked: list[str] = []
    for event in events:
        at = datetime.fromtimestamp(event.at_ms / 1000, UTC)
        first, *rest = event.text.splitlines()
        marked.append(f"System: [{at:%Y-%m-%d %H:%M:%S} UTC] {first}")
        marked += [f"System: {line}" for line in rest]
    return "\n".join(marked)
