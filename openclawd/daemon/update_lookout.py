"""What is newer than the version that runs, as `openclawd update check` found out.

It is remembered in the database, as a gateway that restarts each hour should not look each hour.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import attrs
import orjson
import trio

from openclawd.config.model import Config
from openclawd.daemon.update_program import UpdateProgram
from openclawd.daemon.update_schedule import is_due
from openclawd.events.event import Event
from openclawd.methods.services import UpdateRefused
from openclawd.store.facts import Facts

_FACT: Final = "update.found"


@attrs.frozen(eq=False, repr=False)
class Found:
    """What the last look found. `latest`: what is newer than `current`, None if nothing is."""

    at_ms: int
    current: str
    channel: str
    latest: str | None = None
    notes: str | None = None
    command: str | None = None
    """What brings it here, typed by the one who may."""


class Lookout:
    """`recall` comes first."""

    def __init__(
        self,
        *,
        version: str,
        program: UpdateProgram,
        config: Callable[[], Config],
        facts: Facts,
        publish: Callable[[Event], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._version = version
        self._program = program
        self._config = config
        self._facts = facts
        self._publish = publish
        self._now_ms = now_ms
        self._found: Found | None = None
        self._looked_at_ms: int | None = None
        self._checking = trio.Lock()
        self.problem: UpdateRefused | None = None
        """Why the last look found out nothing."""

    @property
    def found(self) -> Found | None:
        """Of this version and this channel; what another one found is of no use."""
        found = self._found
        if found is None or (found.current, found.channel) != (self._version, channel_of(self._config())):
            return None
        return found

    @property
    def available(self) -> dict[str, object] | None:
        """What is newer, as stock tells it."""
        found = self.found
        if found is None or found.latest is None:
            return None
        return {
            "currentVersion": self._version,
            "latestVersion": found.latest,
            "channel": found.channel,
        }

    def begin_if_due(self) -> bool:
        """Whether it is time to look again; if so, the time of the next look counts from now."""
        every_hours, failed = self._config().openclawd.update.every_hours, self.problem is not None
        if not is_due(self._looked_at_ms, self._now_ms(), every_hours=every_hours, failed=failed):
            return False
        self._looked_at_ms = self._now_ms()
        return True

    async def check(self) -> None:
        """Look for something newer now. Raises UpdateRefused."""
        async with self._checking:
            before = self.available
            try:
                told = await self._program.check()
            except UpdateRefused as refused:
                self.problem = refused
                raise
            self.problem, self._looked_at_ms = None, self._now_ms()
            newer = told.get("updateAvailable")
            self._found = Found(
                self._now_ms(),
                self._version,
                channel_of(self._config()),
                _text(newer.get("latestVersion")) if isinstance(newer, dict) else None,
                _text(told.get("notes")),
                _text(told.get("command")),
            )
            await self._facts.put(_FACT, orjson.dumps(attrs.asdict(self._found)))
            if self.available != before:
                payload: dict[str, object] = {"updateAvailable": self.available}
                self._publish(Event("update.available", payload, drop_if_slow=True))

    async def recall(self) -> None:
        """What an earlier life has found."""
        kept = await self._facts.get(_FACT)
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            told = orjson.loads(kept or b"")
            self._found = Found(
                int(told["at_ms"]),
                str(told["current"]),
                str(told["channel"]),
                _text(told.get("latest")),
                _text(told.get("notes")),
                _text(told.get("command")),
            )
        if (found := self.found) is not None:
            self._looked_at_ms = found.at_ms


def channel_of(config: Config) -> str:
    """Which versions are for this gateway."""
    return "stable" if config.update.channel == "stable" else "beta"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
