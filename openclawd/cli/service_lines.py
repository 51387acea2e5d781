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


def service_lines(standing: Standing, now_ms: float, *, runs_as: int | None) -> Iterator[tuple[str, str]]:
    """Names and values; `runs_as` is the process of the gateway that runs, whoever started it."""
    whose = "this user's" if standing.of_user else "the machine's"
    since = moment(standing.since_ms, now_ms)
    yield (
        "service",
        f"{standing.name} ({standing.supervisor}, {whose}): {_WORDS[standing.condition]}"
        + (f" (since {since})" if since else ""),
    )
    if runs_as is not None and standing.pid != runs_as:
        yield "", f"the gateway that runs, process {runs_as}, is not this service's"
    if lasting := _lasting(standing):
        yield "", lasting
    if standing.stale:
        yield "", "systemd has not read its unit since that changed"
    again = standing.starts_again
    if again and standing.condition is not Condition.STOPPED:
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
    if standing.of_user and standing.lingers is False:
        return "it ends when you log out (for good: loginctl enable-linger)"
    return None
