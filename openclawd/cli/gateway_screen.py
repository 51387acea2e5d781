"""What was seen of a gateway, as a screen and as JSON. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from openclawd.cli.failure import NotRunning
from openclawd.cli.gateway_seen import Seen
from openclawd.cli.log_tail import at_ms
from openclawd.cli.next_step import next_step
from openclawd.cli.output import duration
from openclawd.cli.running import last_restart_of, lifecycle_of, listening_of, refused_restart_of
from openclawd.cli.service_lines import end_line, moment, service_lines
from openclawd.cli.status import refused_line
from openclawd.cli.update_line import update_line
from openclawd.service.standing import Condition

# A sentence and its command; the stacks of a loop that was stuck are for the log.
_WORDS_SHOWN: Final = 600


def document(seen: Seen) -> dict[str, Any]:
    """For `--json`: the keys of a running gateway, and what else is known."""
    told: dict[str, Any] = dict(seen.running) if seen.running is not None else {"running": False}
    if seen.failure is not None:
        told |= seen.failure.document()
        if seen.pid is not None:
            told["pid"] = seen.pid
    told["service"] = seen.standing.document() if seen.standing is not None else None
    told["update"] = seen.update
    told["lastRefused"] = [*seen.refused] or None
    told["lastWords"] = [*seen.last_words] or None
    told["next"] = next_step(seen)
    return {key: value for key, value in told.items() if value is not None}


def lines(seen: Seen) -> Iterator[tuple[str, object]]:
    """The screen."""
    if seen.running is not None:
        yield from _running_lines(seen.running)
    else:
        yield "gateway", _down(seen)
        for number, said in enumerate(seen.config_problem):
            yield "" if number else "problem", said
    if seen.standing is not None:
        yield from service_lines(seen.standing, seen.now_ms, runs_as=seen.pid, unread=_unread(seen))
    if seen.end is not None:
        supervisor = seen.standing.supervisor if seen.standing is not None else "systemd"
        yield "last exit", end_line(seen.end, supervisor, seen.now_ms)
    # Which has the same words.
    for number, said in enumerate(() if seen.config_problem else seen.last_words):
        shown = said if len(said) <= _WORDS_SHOWN else f"{said[:_WORDS_SHOWN]}… (openclawd logs)"
        yield "" if number else "it said", shown
    if seen.taken_port is not None:
        yield "port", "{} is held by {}: end that, or take another port".format(*seen.taken_port)
    if seen.update is not None:
        yield "update", update_line(dict(seen.update), seen.now_ms)
    if (answers := _failed_answers(seen)) is not None:
        yield "answers", answers
    for each in seen.refused:
        yield "refused", refused_line(each)
    if seen.running is not None:
        refused = seen.running.get("restartProblem")
        for warning in seen.running.get("configWarnings", []):
            # Which stands there already, with its time.
            if refused is None or refused not in warning:
                yield "warning", warning
        if seen.unwritable is not None:
            yield "warning", seen.unwritable.said
        for kept in seen.running.get("stateWarnings", []):
            yield "warning", kept.get("said")
        files = (("model", "model"), ("config", "configFile"), ("state", "stateDir"), ("log", "logFile"))
        for name, key in files:
            yield name, seen.running.get(key)
    else:
        yield from seen.files.items()
    yield "next", next_step(seen)


def why_down(seen: Seen) -> Iterator[str]:
    """The same of one that does not run, in sentences."""
    told = [*lines(seen)]
    shown = ("gateway", "service", "last exit", "it said", "port")
    name = ""
    for each, said in told:
        name = each or name
        if name in shown and said is not None:
            yield str(said) if name in ("gateway", "it said") else f"{name}: {said}"


def _failed_answers(seen: Seen) -> str | None:
    if not seen.failed_answers:
        return None
    last, count = seen.failed_answers[0], len(seen.failed_answers)
    since = duration(max(0.0, seen.now_ms - (at_ms(last) or seen.now_ms)))
    which = "the last one" if count == 1 else f"the last {count}"
    return f"{which} failed, {since} ago: {last.get('error', 'see openclawd logs')}"


def _unread(seen: Seen) -> str | None:
    if seen.unit is not None and seen.unit.said is not None:
        return seen.unit.said
    stale = seen.standing is not None and seen.standing.stale
    return "systemd has not read its unit since that changed" if stale else None


def _running_lines(found: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    pid, generation, up_ms = found.get("pid"), found.get("generation"), found.get("uptimeMs")
    process = "" if pid is None else f", process {pid}"
    life = "" if generation is None else f", generation {generation}"
    yield "gateway", f"running{process}{life}"
    available = found.get("updateAvailable")
    newer = available.get("latestVersion") if isinstance(available, Mapping) else None
    yield "version", found.get("version") if newer is None else f"{found.get('version')}; {newer} is there"
    yield "now", lifecycle_of(found)
    # Over restarts in place: each is another life of the same process.
    yield "up for", None if up_ms is None else duration(up_ms)
    yield "restarted", last_restart_of(found)
    yield "restart", refused_restart_of(found)
    yield "listening", listening_of(found)
    yield "certificate", found.get("tlsFingerprint")
    yield "auth", found.get("authMode")
    clients, waiting = found.get("clients"), found.get("devicesWaiting")
    # This command is one of them.
    yield "clients", None if clients is None else f"{max(0, clients - 1)} besides this command"
    yield "waiting", f"{waiting} device{'s' * (waiting > 1)} to be paired" if waiting else None


def _down(seen: Seen) -> str:
    failure = seen.failure
    starts = seen.standing is not None and seen.standing.condition is Condition.STARTING
    if seen.pid is not None and starts:
        return f"process {seen.pid}, which does not serve yet"
    if seen.pid is not None:
        said = "does not listen" if isinstance(failure, NotRunning) else f"does not answer: {failure}"
        return f"process {seen.pid} runs, and {said}"
    standing = seen.standing
    if standing is not None and standing.pid is not None and (seen.as_root or standing.of_user):
        return f"process {standing.pid}, which does not serve yet"
    if standing is not None and standing.pid is not None:
        return f"process {standing.pid}, whom only root and its own user may ask"
    if failure is not None and not isinstance(failure, NotRunning):
        return f"not running, as far as can be told: {failure}"
    if seen.standing is not None and seen.standing.end is not None:
        return "not running"
    at = moment(seen.last_log_ms, seen.now_ms)
    if seen.stopped_well is None or at is None:
        return "not running"
    if seen.stopped_well:
        return f"not running: it was told to stop ({at})"
    return f"not running: it ended without a goodbye (its last line: {at})"
