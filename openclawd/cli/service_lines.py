"""A service in a few lines, for who was asleep a minute ago. Pure."""

from collections.abc import Iterator
from datetime import datetime

from openclawd.cli.output import duration
from openclawd.service.ends import why
from openclawd.service.standing import Condition, End, Standing

_WORDS = {
    Condition.RUNNING: "running",
    Condition.STARTING: "starting",
    Condition.RELOADING: "reading its config, or restarting in place",
    Condition.STOPPING: "stopping",
    Condition.WAITING: "down, and about to be started again",
    Condition.STOPPED: "stopped",
    Condition.FAILED: "failed, and is not started again",
}


def moment(at_ms: float | None, now_ms: float) -> str | None:
    """`2026-11-23 02:58:12, 5 min ago`, in the machine's own time."""
    if at_ms is None:
        return None
    local = datetime.fromtimestamp(at_ms / 1000).astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S}, {duration(max(0.0, now_ms - at_ms))} ago"


def service_lines(
    standing: Standing, now_ms: float, *, runs_as: int | None, unread: str | None
) -> Iterator[tuple[str, str]]:
    """Names and values; `runs_as` is the process of the gateway that runs, whoever started it, `unread` what
    its supervisor has not applied.
    """
    whose = "this user's" if standing.of_user else "the machine's"
    since = moment(standing.since_ms, now_ms)
    again = standing.starts_again
    words = _WORDS[standing.condition]
    if standing.condition is Condition.FAILED and again:
        words = f"failed, and {standing.supervisor} has given up after {again + 1} starts"
    elif standing.wakes is not None:
        words = "stopped: no service manager of this user runs; it comes with a log-in (su and sudo are none)"
    yield (
        "service",
        f"{standing.name} ({standing.supervisor}, {whose}): {words}" + (f" (since {since})" if since else ""),
    )
    if runs_as is not None and standing.pid != runs_as:
        yield "", f"the gateway that runs, process {runs_as}, is not this service's"
    if lasting := _lasting(standing):
        yield "", lasting
    if unread is not None:
        yield "", unread
    if again and standing.condition not in (Condition.STOPPED, Condition.FAILED):
        times = "once" if again == 1 else f"{again} times"
        yield "failed", f"{times}, and {standing.supervisor} started it again"


def end_line(end: End, supervisor: str, now_ms: float) -> str:
    """When and why a process ended."""
    at = moment(end.at_ms, now_ms)
    return f"{at}: {why(end, supervisor)}" if at else why(end, supervisor)


def _lasting(standing: Standing) -> str | None:
    """What stands between it and the next boot."""
    if not standing.enabled:
        return "it is not there after the next boot: it is not enabled"
    if standing.wakes is not None and standing.lingers is False:
        return "it is not there after the next boot before you log in, as lingering is off"
    if standing.of_user and standing.lingers is False:
        return "it ends when you log out (for good: loginctl enable-linger)"
    return None
