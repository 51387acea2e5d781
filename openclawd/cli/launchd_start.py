"""Starting a job of launchd and seeing it serve: launchd only says that there is a process."""

import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import attrs

from openclawd.cli.failure import Failure
from openclawd.cli.probes import local, readyz
from openclawd.config.paths import resolve_paths
from openclawd.service.ends import cure, why
from openclawd.service.launchctl import LOOK_EVERY_S
from openclawd.service.launchd_job import LaunchdJob
from openclawd.service.launchd_standing import last_words, standing_of
from openclawd.service.standing import Standing

# As systemd waits for it: a database that a new version converts takes its time.
_PATIENCE_S: Final = 60.0
_SHOWN_LINES: Final = 3

T = TypeVar("T")


@attrs.frozen(eq=False)
class Clock:
    """Time, for tests to own."""

    now_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep


def serving_after(
    act: Callable[[], T], job: LaunchdJob, environ: Mapping[str, str], clock: Clock | None = None
) -> T:
    """What `act`, which has it started, returns; once the gateway of `environ` serves.

    Raises Failure with its last words when it ends before, and LaunchctlRefused.
    """
    clock = clock or Clock()
    socket = resolve_paths(environ).socket
    known = job.job()
    # How a known one ended before says nothing of this start.
    ended_before = known.runs if known is not None and known.pid is None else None
    done = act()
    until_s = clock.now_s() + _PATIENCE_S
    while (problem := readyz("it", lambda: local(socket))) is not None:
        now = job.job()
        standing = standing_of(job, now)
        if now is None or standing is None:
            raise Failure("Somebody has stopped it meanwhile.", cure="openclawd gateway start")
        if now.pid is None and standing.end is not None and now.runs != ended_before:
            raise _ended(job, standing)
        if clock.now_s() > until_s:
            raise Failure(
                f"The gateway does not serve within {_PATIENCE_S:.0f} s: {problem}.",
                cure=_with_sudo(standing, "openclawd logs -n 50"),
            )
        clock.sleep(LOOK_EVERY_S)
    return done


def _ended(job: LaunchdJob, standing: Standing) -> Failure:
    end = standing.end
    said = last_words(standing.output, _SHOWN_LINES) if standing.output is not None else []
    words = "\n".join(("", "The last words:", *said)) if said else ""
    again = " launchd goes on trying." if standing.condition.value == "waiting" else ""
    ended = why(end, standing.supervisor) if end is not None else "it is not known how"
    return Failure(
        f"The gateway did not start ({ended}).{again}{words}",
        cure=f"What helps: {cure(standing, as_root=job.uid == 0)}",
    )


def _with_sudo(standing: Standing, command: str) -> str:
    return command if standing.of_user else f"sudo {command}"
