"""The gateway that an update is about, as an updater sees it."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

import attrs
import orjson

from openclawd.slots.durable import replace
from openclawd.slots.layout import Installation
from openclawd.slots.trial import Trial
from openclawd.update.judge import Look

# Some thousand devices.
_MAX_BYTES: Final = 1024 * 1024


@attrs.frozen(eq=False, repr=False)
class Before:
    """The gateway before the switch. `seen` belongs to whoever looks, as JSON has it: what worked then, and
    what did not.
    """

    version: str
    life: int
    seen: Mapping[str, Any] = attrs.field(factory=dict)


def keep_before(installation: Installation, trial: Trial, before: Before | None) -> None:
    """For whoever judges where this updater dies; who has none of it knows less, so a failure is none."""
    told = {"began": trial.began_s, **(attrs.asdict(before, recurse=False) if before is not None else {})}
    with suppress(OSError):
        replace(installation.before, orjson.dumps(told), durable=False)


def kept_before(installation: Installation, trial: Trial) -> Before | None:
    """How the gateway was before this trial; None where none ran, or where nobody knows."""
    try:
        with installation.before.open("rb") as file:
            told = orjson.loads(file.read(_MAX_BYTES))
        if told["began"] != trial.began_s:
            return None
        return Before(str(told["version"]), int(told["life"]), dict(told["seen"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


class Gateway(Protocol):
    """What an updater does with it. Nothing here raises, or waits longer than a restart's check takes."""

    def before(self) -> Before | None:
        """How it is; None where none runs."""

    def look(self, before: Before | None) -> Look:
        """How it is now, compared with before."""

    def restart(self, reason: str) -> str | None:
        """Ask it to restart; why it does not, None where it does."""

    def kill(self, version: str) -> None:
        """End it at once, whatever it does, if it is of that version."""

    def is_alive(self) -> bool:
        """Whether there is a process, be it one that answers nobody."""

    def start(self) -> bool:
        """Have its supervisor start it; False where none is known."""
