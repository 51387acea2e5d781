"""How the updates of an installation stand, as `--json`, the page and the screens have it."""

from pathlib import Path
from typing import Any

from openclawd.slots.layout import Installation
from openclawd.slots.progress import read_progress, updater_pid
from openclawd.slots.trial import Outcome, Trial, is_well, read_last, read_trial


def document_of(installation: Installation) -> dict[str, Any]:
    """`{previous, progress, trial{from, to, beganMs, windowMs}, last}`; what is not there is left out.
    `progress` is of an updater that lives; a gateway that has left its word that it is well is on trial no
    more: that is how the last one ended, although root writes it down at the next start only.
    """
    last, trial = read_last(installation), read_trial(installation)
    if trial is not None and trial.word is not None and is_well(trial):
        at_ms = round(Path(trial.word).stat().st_mtime * 1000)
        last = Outcome(trial.from_version, trial.to_version, "confirmed", at_ms, "gateway")
        trial = None
    progress = read_progress(installation) if updater_pid(installation) is not None else None
    told = {
        "previous": installation.previous_version(),
        "progress": progress.document() if progress is not None else None,
        "trial": _told(trial) if trial is not None else None,
        "last": last.document() if last is not None else None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _told(trial: Trial) -> dict[str, object]:
    return {
        "from": trial.from_version,
        "to": trial.to_version,
        "beganMs": trial.began_s * 1000,
        "windowMs": trial.window_s * 1000,
    }
