"""The two ends of a trial. Each of their steps may be the last one before the power goes, and all of it may
be done again by whoever finds the trial.

    confirmed     `previous` leads to the old version, last.json says it, the trial is removed
    rolled back   `current` leads to the old version, `failed` says why, the trial is removed, last.json too
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from openclawd.slots.durable import write_durably
from openclawd.slots.guard import adopt_guard
from openclawd.slots.layout import Installation
from openclawd.slots.trial import (
    End,
    Outcome,
    Trial,
    clear_trial,
    read_failed,
    read_last,
    write_failed,
    write_outcome,
)
from openclawd.update.gateway import Gateway
from openclawd.update.judge import LOOK_EVERY_S

# After the answer that it will: its runs may end first (`openclawd.restart.drainMs`), then it says goodbye.
_LEAVE_S: Final = 45.0
# A supervisor waits before it starts one again: systemd 0.1 s, launchd 10 s; then it has to serve.
_COME_BACK_S: Final = 30.0


@attrs.frozen(eq=False, repr=False)
class Clock:
    """Time, for tests to own."""

    now_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def may_write(installation: Installation) -> bool:
    """Whether this user decides about the installation; a service's own user may not, where root owns it."""
    return os.access(installation.update, os.W_OK)


def confirm(installation: Installation, trial: Trial, *, keep: int) -> Outcome:
    """The new version stays. Raises OSError."""
    outcome = _outcome(trial, "confirmed")
    if not may_write(installation):
        _give_word(trial, trial.word_of)
        return attrs.evolve(outcome, by="gateway")
    installation.set_previous(trial.from_version)
    write_outcome(installation, outcome)
    clear_trial(installation)
    if installation.current_version() != trial.to_version:
        # It died in the same moment, and the guard was faster.
        return taken_from_us(installation, trial)
    adopt_guard(installation, trial.to_version)
    with suppress(OSError):
        installation.prune(keep)
    return outcome


def roll_back(installation: Installation, trial: Trial, reason: str) -> Outcome:
    """The old version is the current one again; whoever runs has to be told yet (`bring_back`). Raises
    OSError: then the trial goes on, and ends with the next start.

    Where this user decides nothing, whoever starts the gateway as root does so, for this reason.
    """
    outcome = _outcome(trial, "rolled-back", reason)
    if not may_write(installation):
        with suppress(OSError):
            _give_word(trial, f"{trial.word_of} {' '.join(reason.split())}")
        return outcome
    installation.swap(trial.from_version)
    # Whoever runs as its owner could have changed it.
    adopt_guard(installation, trial.from_version)
    write_failed(installation, trial, reason, "updater")
    clear_trial(installation)
    write_outcome(installation, outcome)
    return outcome


def set_aside(installation: Installation, trial: Trial, reason: str) -> Outcome:
    """It never began. Raises OSError."""
    outcome = _outcome(trial, "failed", reason)
    write_failed(installation, trial, reason, "updater")
    clear_trial(installation)
    write_outcome(installation, outcome)
    return outcome


def is_over(installation: Installation, trial: Trial) -> bool:
    """Whether somebody else has ended the trial: the old version is back, or the new one is known to stay."""
    if installation.current_version() != trial.to_version:
        return True
    last = read_last(installation)
    stays = last is not None and (last.end, last.to_version) == ("confirmed", trial.to_version)
    return stays and last is not None and last.at_ms >= trial.began_s * 1000


def taken_from_us(installation: Installation, trial: Trial) -> Outcome:
    """Somebody else has ended the trial: how."""
    if installation.current_version() == trial.to_version:
        return attrs.evolve(_outcome(trial, "confirmed"), by="gateway")
    outcome = read_failed(installation) or _outcome(trial, "rolled-back", "the reason was not written down")
    with suppress(OSError):
        write_outcome(installation, outcome)
    return outcome


def bring_back(gateway: Gateway, trial: Trial, clock: Clock) -> bool:
    """Have the old version serve again: asked for a restart, else killed and started by its supervisor. False
    where nobody starts it.
    """

    def serves(patience_s: float) -> bool:
        until_s = clock.now_s() + patience_s
        while clock.now_s() < until_s:
            if gateway.look(None).version == trial.from_version:
                return True
            clock.sleep(LOOK_EVERY_S)
        return False

    answers = gateway.look(None).version
    if answers == trial.from_version:
        return True
    asked = answers is not None and gateway.restart(f"back to {trial.from_version}") is None
    if asked and serves(_LEAVE_S):
        return True
    gateway.kill(trial.to_version)
    return serves(_COME_BACK_S / 2) or (gateway.start() and serves(_COME_BACK_S))


def _give_word(trial: Trial, word: str) -> None:
    if trial.word is not None:
        write_durably(Path(trial.word), f"{word}\n".encode())


def _outcome(trial: Trial, end: End, reason: str | None = None) -> Outcome:
    now_ms = int(time.time() * 1000)
    return Outcome(trial.from_version, trial.to_version, end, now_ms, "updater", reason)
