"""Where a gateway stands between its start and its end, as one table. Pure: whoever owns it acts on it.

starting -> ready -> draining -> handing over, from draining back to ready, and from anywhere to stopping, up
to the moment in which the process becomes the next generation. What the table does not name cannot happen: a
second restart while one is under way changes nothing, and nothing follows stopping.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """One at a time."""

    STARTING = "starting"
    """State is loaded; who connects waits in the kernel's backlog."""

    READY = "ready"
    """Whoever connects is served."""

    DRAINING = "draining"
    """Runs under way end, none begins; everything else goes on, messages are taken and queued."""

    HANDING_OVER = "handing over"
    """Clients are told and let go; the process becomes the next generation."""

    STOPPING = "stopping"
    """Clients are told and let go; the process ends."""


class Happening(StrEnum):
    """What moves it."""

    STARTED = "started"
    RESTART = "restart"
    """Asked for, and the program to become has proved that it can start."""

    DRAINED = "drained"
    CALLED_OFF = "called off"
    """Meanwhile the program cannot start any more."""

    STOP = "stop"


TRANSITIONS: Final[Mapping[tuple[State, Happening], State]] = {
    (State.STARTING, Happening.STARTED): State.READY,
    (State.STARTING, Happening.STOP): State.STOPPING,
    (State.READY, Happening.RESTART): State.DRAINING,
    (State.READY, Happening.STOP): State.STOPPING,
    (State.DRAINING, Happening.DRAINED): State.HANDING_OVER,
    (State.DRAINING, Happening.CALLED_OFF): State.READY,
    (State.DRAINING, Happening.STOP): State.STOPPING,
    (State.HANDING_OVER, Happening.STOP): State.STOPPING,
}


class Lifecycle:
    """The state of one gateway, for its one owner to move."""

    def __init__(self) -> None:
        self.state = State.STARTING

    def move(self, happening: Happening) -> bool:
        """Go where `happening` leads from here; False, and nothing has changed, where it leads nowhere."""
        after = TRANSITIONS.get((self.state, happening))
        if after is None:
            return False
        self.state = after
        return True
