"""The update of an installation in a line: what is under way, and how the last one ended."""

from pathlib import Path
from typing import Any

from openclawd.cli.output import duration
from openclawd.slots.layout import Installation, installation_of
from openclawd.slots.progress import read_progress, updater_pid
from openclawd.slots.trial import is_well, read_last, read_trial

_GUARD = "guard"


def installation_with(program: Path | None) -> Installation | None:
    """The installation that a service executes from: its guard, or the program of a slot."""
    if program is None:
        return None
    if program.name == _GUARD and (program.parent / "versions").is_dir():
        return Installation(program.parent.resolve())
    return installation_of(program)


def update_document(installation: Installation) -> dict[str, Any]:
    """For `--json`: what is not there is left out."""
    trial, last, progress = read_trial(installation), read_last(installation), read_progress(installation)
    alive = updater_pid(installation) is not None
    if trial is not None and is_well(trial):
        trial = None
    told = {
        "current": installation.current_version(),
        "previous": installation.previous_version(),
        "progress": progress.document() if progress is not None and alive else None,
        "trial": None
        if trial is None
        else {
            "from": trial.from_version,
            "to": trial.to_version,
            "beganMs": trial.began_s * 1000,
            "windowMs": trial.window_s * 1000,
        },
        "last": last.document() if last is not None else None,
    }
    return {key: value for key, value in told.items() if value is not None}


def update_line(update: dict[str, Any], now_ms: float) -> str | None:
    """`0.6.0 is on trial for 12 s now; if it is not well, 0.5.2 comes back`; None where nothing ever was."""
    trial, progress, last = update.get("trial"), update.get("progress"), update.get("last")
    if trial is not None and trial["to"] == update.get("current"):
        since = duration(max(0.0, now_ms - trial["beganMs"]))
        return (
            f"{trial['to']} is on trial for {since} now: well for {duration(trial['windowMs'])}, it stays;"
            f" otherwise {trial['from']} comes back"
        )
    if progress is not None:
        return _under_way(progress)
    return None if last is None else _ended(last, now_ms)


def _under_way(progress: dict[str, Any]) -> str:
    done, total = progress.get("doneBytes"), progress.get("totalBytes")
    share = f", {done * 100 // total} %" if isinstance(done, int) and total else ""
    return f"{progress['phase']} {progress.get('to', '')}".rstrip() + share


def _ended(last: dict[str, Any], now_ms: float) -> str:
    ago = f"{duration(max(0.0, now_ms - last['atMs']))} ago"
    match last["outcome"]:
        case "confirmed":
            return f"{last['to']} came {ago} (from {last['from']}), and is well"
        case "rolled-back":
            said = f"{last['to']} came {ago}, was not well, and {last['from']} is back"
        case _:
            said = f"{last['to']} was to come {ago}, and did not; {last['from']} stayed"
    by = " (the guard saw to it)" if last.get("by") == "guard" else ""
    return f"{said}{by}: {last.get('reason', 'no reason is known')}"
