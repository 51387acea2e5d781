"""A gateway that is a version on trial, or becomes one: what it does so that the host is never stranded.

An updater of the old version judges the new one (openclawd/update) and goes back if it is not well. This
here is for when nobody else can: the old generation sets an alarm clock that the new one inherits with the
process and turns off once it serves, so that one that hangs in its start dies and the guard takes over; and a
new one that finds no updater starts a judge of the old version, or goes back by itself.

In a trial a start that is refused ends with a code after which supervisors start again: what they start is
the guard, which goes back.
"""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs
import trio

from openclawd.daemon.image import environment_of
from openclawd.daemon.preflight import NOT_FOR_OTHERS
from openclawd.daemon.supervisor import PartFailed
from openclawd.slots.layout import Installation, installation_of, version_of_slot
from openclawd.slots.progress import updater_pid
from openclawd.slots.trial import Trial, clear_trial, is_well, read_trial, write_failed, write_trial

_LOOK_EVERY_S: Final = 1.0
# A judge that ends without an end of the trial cannot judge.
_MAX_JUDGES: Final = 3
# A new version needs as long as the old one and its migrations; the judge has the same figure and is faster.
_ALARM_MARGIN_S: Final = 15

_log = logging.getLogger("openclawd.lifecycle")


@attrs.frozen
class OnTrial:
    """This process runs `trial.to_version`, and the trial is under way."""

    installation: Installation
    trial: Trial


def on_trial(program: Path | None = None) -> OnTrial | None:
    """The trial that this process (or `program`) is the new version of; None where it is none."""
    installation, trial, version = _found(program)
    if installation is None or trial is None or trial.to_version != version or is_well(trial):
        return None
    return OnTrial(installation, trial)


def arm(program: Path | None = None) -> subprocess.Popen[bytes] | None:
    """Before this process becomes a version on trial: set the alarm clock, which execve(2) keeps running, and
    see that somebody judges, as the updater may have died since it asked for this: who that is, if it had to.

    Nothing where it becomes no such version. Only SIGALRM's default action, which ends a process, will do.
    """
    installation, trial, version = _found(program)
    if installation is None or trial is None or trial.from_version != version:
        return None
    if installation.current_version() != trial.to_version:
        return None
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.setitimer(signal.ITIMER_REAL, max(trial.window_s, trial.limit_s) + _ALARM_MARGIN_S)
    return _start_judge(OnTrial(installation, trial)) if updater_pid(installation) is None else None


def disarm() -> None:
    """It serves, or it stays what it was: the alarm clock of the generation before is off."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def postpone() -> None:
    """This gateway was told to stop in the middle of its trial: the next start goes on with it.

    Where it may not write there, whoever starts and stops it as root does so (the guard's `stopped`).
    """
    found = on_trial()
    if found is not None and not found.trial.starts:
        with suppress(OSError):
            write_trial(found.installation, attrs.evolve(found.trial, starts=1))


async def see_trial_through(restart: Callable[[str], Awaitable[object]]) -> None:
    """Until the trial that this process is in has ended, see to it that somebody judges; `restart` is asked
    for with a reason where this version has to go. Returns at once without a trial. Raises PartFailed.
    """
    judges = 0
    judge: subprocess.Popen[bytes] | None = None
    while (found := on_trial()) is not None:
        ended = judge is None or judge.poll() is not None
        if ended and updater_pid(found.installation) is None:
            # Between two looks the updater may have ended it.
            if on_trial() is None:
                return
            judge = _start_judge(found) if judges < _MAX_JUDGES else None
            judges += 1
            if judge is None:
                await restart(_go_back(found))
                return
        await trio.sleep(_LOOK_EVERY_S)


def _start_judge(found: OnTrial) -> subprocess.Popen[bytes] | None:
    """A process of the old version; None where it cannot be started."""
    program = found.installation.program(found.trial.from_version)
    around = {name: text for name, text in os.environ.items() if name not in NOT_FOR_OTHERS}
    try:
        judge = subprocess.Popen(  # noqa: S603  the version that ran before this one
            [program, "update", "judge"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment_of(around),
            start_new_session=True,
        )
    except OSError as error:
        _log.warning("no judge", extra={"fields": {"program": str(program), "reason": str(error)}})
        return None
    fields = {"to": found.trial.to_version, "from": found.trial.from_version, "judge": judge.pid}
    _log.info("on trial", extra={"fields": fields})
    return judge


def _go_back(found: OnTrial) -> str:
    """Make the old version the current one; the reason in words. Raises PartFailed where that cannot be: with
    this process gone, the guard does it, as root if need be.
    """
    reason = "nobody could judge it"
    try:
        found.installation.swap(found.trial.from_version)
        write_failed(found.installation, found.trial, reason, "gateway")
        clear_trial(found.installation)
    except OSError as error:
        raise PartFailed(f"{found.trial.to_version} is on trial, and {reason}: {error}") from error
    return f"rolled back to {found.trial.from_version}: {reason}"


def _found(program: Path | None) -> tuple[Installation | None, Trial | None, str | None]:
    if program is None:
        if not getattr(sys, "frozen", False):
            return None, None, None
        program = Path(sys.executable).resolve()
    installation = installation_of(program)
    if installation is None:
        return None, None, None
    return installation, read_trial(installation), version_of_slot(program, installation)
