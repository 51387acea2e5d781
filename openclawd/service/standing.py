"""How a supervisor says that the gateway's service is, in one form for systemd and launchd. Pure."""

from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal

import attrs

REFUSAL: Final = "refused"
"""The `result` of a job of launchd that could not start, and has ended as if it had been told to."""


class Condition(StrEnum):
    """One at a time."""

    RUNNING = "running"
    STARTING = "starting"
    RELOADING = "reloading"
    """It goes by another config, or restarts in place: systemd calls both so."""

    STOPPING = "stopping"
    WAITING = "waiting"
    """It ended, and is started again in a moment."""

    STOPPED = "stopped"
    FAILED = "failed"
    """It ended badly, and is not started again."""


@attrs.frozen
class End:
    """How a process of the service ended: with a code, or by a signal."""

    code: int | None = None
    signal: int | None = None
    result: str = ""
    """systemd's word, where it says more: watchdog, oom-kill, timeout, start-limit-hit, ..."""

    at_ms: int | None = None
    invocation: str | None = None
    """systemd's id of that run, by which its lines in the journal are found."""


@attrs.frozen
class Standing:
    """A service that is installed."""

    supervisor: Literal["systemd", "launchd"]
    name: str
    """The unit, or launchd's whole name of the job."""

    of_user: bool
    condition: Condition
    enabled: bool
    """Whether it is started at the boot or the log-in."""

    since_ms: int | None = None
    """When it came into this condition (wall clock)."""

    pid: int | None = None
    starts_again: int | None = None
    """How often the supervisor has started it again by itself; of launchd, how often at all but the first."""

    end: End | None = None
    """How it ended last; None when it has not, as far as the supervisor remembers."""

    says: str | None = None
    """What the gateway said of itself last."""

    file: Path | None = None
    """The unit or the property list."""

    program: Path | None = None
    """What it executes first."""

    state_dir: Path | None = None
    """Where its gateway has its state, if the unit says so."""

    user: str | None = None
    """Whom a service of the machine runs as, where that is somebody."""

    lingers: bool | None = None
    """Of a user's service of systemd: whether it is there when nobody is logged in."""

    wakes: str | None = None
    """Of a user's service of systemd whose manager does not run: the command that starts that one."""

    output: Path | None = None
    """The file that has its output; None where the journal does."""

    stale: bool = False
    """Whether the supervisor has read another unit than the one on the disk."""

    def document(self) -> dict[str, Any]:
        """For `--json`; what is not known is left out."""
        end = self.end
        told: dict[str, Any] = {
            "supervisor": self.supervisor,
            "name": self.name,
            "user": self.of_user,
            "condition": self.condition.value,
            "enabled": self.enabled,
            "sinceMs": self.since_ms,
            "pid": self.pid,
            "startedAgain": self.starts_again,
            "says": self.says,
            "file": str(self.file) if self.file is not None else None,
            "lingers": self.lingers,
            "needsReload": self.stale or None,
            "lastExit": None
            if end is None
            else {
                key: value
                for key, value in (
                    ("code", end.code),
                    ("signal", end.signal),
                    ("result", end.result or None),
                    ("atMs", end.at_ms),
                )
                if value is not None
            },
        }
        return {key: value for key, value in told.items() if value is not None}
