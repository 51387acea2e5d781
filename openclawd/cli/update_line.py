"""The update of an installation in a line: what is under way, and how the last one ended."""

from pathlib import Path
from typing import Any

from openclawd.cli.output import duration
from openclawd.slots.layout import Installation, installation_of

_GUARD = "guard"


def installation_with(program: Path | None) -> Installation | None:
    """The installation that a service executes from: its guard, or the program of a slot."""
    if program is None:
        return None
    if program.name == _GUARD and (program.parent / "versions").is_dir():
        return Installation(program.parent.resolve())
    return installation_of(program)


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
            # It may have failed before it was known which one is the newest.
            said = f"{last['to'] or 'a newer one'} was to come {ago}, and did not; {last['from']} stayed"
    by = " (the guard saw to it)" if last.get("by") == "guard" else ""
    return f"{said}{by}: {last.get('reason', 'no reason is known')}"
