"""How a job of launchd is, in the form of every supervisor (standing.py)."""

from pathlib import Path
from typing import Final

from openclawd.daemon.launchd import REFUSED
from openclawd.service.launchctl import Job
from openclawd.service.launchd_job import LaunchdJob
from openclawd.service.plist_file import list_in, person_in
from openclawd.service.standing import REFUSAL, Condition, End, Standing

_STOPPING: Final = ("SIGTERMed", "SIGKILLed", "exiting")
# The words of a refusal, and the command behind them.
_LAST_LINES: Final = 2
_TAIL_BYTES: Final = 8192


def standing_of(installed: LaunchdJob, job: Job | None) -> Standing | None:
    """By its property list, and what launchd prints of it (None: it knows none); None if there is neither."""
    plist = list_in(installed.file)
    if plist is None and job is None:
        return None
    plist = plist or {}
    words = plist.get("ProgramArguments")
    program = words[0] if isinstance(words, list) and words else None
    environment = plist.get("EnvironmentVariables")
    state_dir = environment.get("OPENCLAW_STATE_DIR") if isinstance(environment, dict) else None
    said_to = plist.get("StandardErrorPath")
    output = Path(said_to) if isinstance(said_to, str) else None
    end = _end(job, output)
    return Standing(
        supervisor="launchd",
        name=installed.target,
        of_user=installed.launchctl.domain != "system",
        condition=_condition(job, end),
        enabled=installed.is_installed,
        pid=job.pid if job is not None else None,
        starts_again=max(0, job.runs - 1) if job is not None and job.runs is not None else None,
        end=end,
        file=installed.file,
        program=Path(program) if isinstance(program, str) else None,
        state_dir=Path(state_dir) if isinstance(state_dir, str) else None,
        user=person_in(plist),
        output=output,
    )


def last_words(output: Path, most: int) -> list[str]:
    """What a job said last, without how its refusal was told to launchd; nothing of what cannot be read."""
    lines = _last_lines(output, most + _LAST_LINES)
    told = next((n for n, line in enumerate(lines) if line.startswith(REFUSED)), len(lines))
    return lines[:told][-most:]


def _last_lines(output: Path, most: int) -> list[str]:
    try:
        with output.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
            text = file.read(_TAIL_BYTES).decode(errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-most:]


def _condition(job: Job | None, end: End | None) -> Condition:
    if job is None:
        return Condition.STOPPED
    if job.pid is not None:
        return Condition.STOPPING if job.state in _STOPPING else Condition.RUNNING
    if job.comes_again:
        return Condition.WAITING
    # Its end was no failure, or launchd would start it again; but for one that it never could start, and one
    # that has told launchd not to.
    failed = end is not None and (end.signal is not None or end.code != 0 or end.result == REFUSAL)
    return Condition.FAILED if failed else Condition.STOPPED


def _end(job: Job | None, output: Path | None) -> End | None:
    if job is None or (job.exit_code is None and job.signal is None):
        return None
    refused = job.exit_code == 0 and output is not None and _has_refused(output)
    return End(code=job.exit_code, signal=job.signal, result=REFUSAL if refused else "")


def _has_refused(output: Path) -> bool:
    """Whether the last gateway ended with 0 in place of 78: only its own words tell."""
    return any(line.startswith(REFUSED) for line in _last_lines(output, _LAST_LINES))
