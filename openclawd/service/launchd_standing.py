"""How a job of launchd is, in the form of every supervisor (standing.py)."""

import plistlib
from pathlib import Path

from openclawd.service.launchctl import Job
from openclawd.service.launchd_job import LaunchdJob
from openclawd.service.standing import Condition, End, Standing

_STOPPING = ("SIGTERMed", "SIGKILLed", "exiting")


def standing_of(installed: LaunchdJob, job: Job | None) -> Standing | None:
    """By its property list, and what launchd prints of it (None: it knows none); None if there is neither."""
    plist = _plist(installed)
    if plist is None and job is None:
        return None
    plist = plist or {}
    words = plist.get("ProgramArguments")
    program = words[0] if isinstance(words, list) and words else None
    environment = plist.get("EnvironmentVariables")
    state_dir = environment.get("OPENCLAW_STATE_DIR") if isinstance(environment, dict) else None
    output, user = plist.get("StandardErrorPath"), plist.get("UserName")
    return Standing(
        supervisor="launchd",
        name=installed.target,
        of_user=installed.launchctl.domain != "system",
        condition=_condition(job),
        enabled=installed.is_installed,
        pid=job.pid if job is not None else None,
        starts_again=max(0, job.runs - 1) if job is not None and job.runs is not None else None,
        end=_end(job),
        file=installed.file,
        program=Path(program) if isinstance(program, str) else None,
        state_dir=Path(state_dir) if isinstance(state_dir, str) else None,
        user=user if isinstance(user, str) else None,
        output=Path(output) if isinstance(output, str) else None,
    )


def _condition(job: Job | None) -> Condition:
    if job is None:
        return Condition.STOPPED
    if job.pid is not None:
        return Condition.STOPPING if job.state in _STOPPING else Condition.RUNNING
    if job.comes_again:
        return Condition.WAITING
    # Its end was no failure, or launchd would start it again; but for one that it never could start.
    failed = job.signal is not None or job.exit_code not in {None, 0}
    return Condition.FAILED if failed else Condition.STOPPED


def _end(job: Job | None) -> End | None:
    if job is None or (job.exit_code is None and job.signal is None):
        return None
    return End(code=job.exit_code, signal=job.signal)


def _plist(installed: LaunchdJob) -> dict[str, object] | None:
    try:
        found = plistlib.loads(installed.file.read_bytes())
    except (OSError, ValueError, plistlib.InvalidFileException):
        return None
    return found if isinstance(found, dict) else None
