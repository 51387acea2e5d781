"""What `/metrics` tells: the counters that the parts keep anyway, named and explained.

Counting is plain addition where things happen; everything else (sums over clients, buckets, the memory) is
found out when somebody asks. No library is needed for that: `net/metrics.py` writes it down.
docs/operations.md has the table of the names.
"""

import resource
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

import attrs

from openclawd.auth.limiter import Limiter
from openclawd.auth.tries import Outcome
from openclawd.vitals.calls import CallCounts
from openclawd.vitals.decisions import Decisions
from openclawd.vitals.loop_lag import BUCKETS_S, LoopLag

_VERDICTS: Final = {Outcome.EXAMINE: "charged", Outcome.KNOWN: "known", Outcome.EMPTY: "refused"}
# proc(5), statm: the second number is the resident set, in pages.
_STATM: Final = Path("/proc/self/statm")

Row = tuple[tuple[str, ...], float]


class ClientView(Protocol):
    """A client, as far as it is counted."""

    @property
    def role(self) -> str: ...
    @property
    def wire_generation(self) -> int: ...
    @property
    def buffered_bytes(self) -> int: ...


@attrs.frozen(eq=False, repr=False)
class Sources:
    """Where the figures come from."""

    version: str
    now_ms: Callable[[], int]
    uptime_ms: Callable[[], int]
    decisions: Decisions
    limiter: Limiter
    calls: CallCounts
    loop_lag: LoopLag
    published: Mapping[str, int]
    """Events by name."""
    resumes: Mapping[str, int]
    """Clients that came back, by what became of what they missed."""
    http_answers: Mapping[int, int]
    """HTTP answers by status."""
    clients: Callable[[], Iterable[ClientView]]
    dropped_events: Callable[[], int]
    devices_waiting: Callable[[], int]
    active_runs: Callable[[], int]
    ended_runs: Callable[[], Mapping[str, int]]
    """Runs by outcome."""


@attrs.frozen(eq=False, repr=False)
class Figure:
    """One metric: a counter's name ends in `_total`. `rows` are the labels' values and the number."""

    name: str
    explanation: str
    labels: tuple[str, ...]
    rows: tuple[Row, ...]


@attrs.frozen(eq=False, repr=False)
class Distribution:
    """A histogram: `counts` has one more than `bounds`, for what is above the last."""

    name: str
    explanation: str
    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


def figures(sources: Sources) -> Iterator[Figure | Distribution]:
    """Everything, as it is now."""
    yield _one("openclawd_info", "The version that runs.", 1, ("version", sources.version))
    yield _one("openclawd_uptime_seconds", "Since the start.", sources.uptime_ms() / 1000)
    yield from _admission(sources)
    yield from _clients(sources)
    yield from _events(sources)
    yield from _calls(sources)
    yield from _loop(sources)
    yield from _runs(sources)
    yield Figure(
        "openclawd_http_answers_total",
        "HTTP answers by status; an upgrade to the WebSocket is none.",
        ("status",),
        tuple(((str(status),), count) for status, count in sorted(sources.http_answers.items())),
    )
    yield from _memory()


def _admission(sources: Sources) -> Iterator[Figure]:
    yield Figure(
        "openclawd_admissions_total",
        "Decisions on connections: outcome, reason of a refusal, credential that let in or was shown.",
        ("outcome", "reason", "credential"),
        tuple(
            ((kind.outcome, kind.reason, kind.credential), count)
            for kind, count in sources.decisions.counts.items()
        ),
    )
    yield _one("openclawd_devices_waiting", "Devices that ask to be paired.", sources.devices_waiting())
    limiter = sources.limiter
    rows = limiter.rows(sources.now_ms())
    buckets = Counter(row.kind for row in rows)
    empty = Counter(row.kind for row in rows if limiter.retry_after_ms(row) > 0)
    yield Figure(
        "openclawd_limiter_buckets",
        "Sources that the limiter remembers.",
        ("kind",),
        tuple(((kind,), count) for kind, count in buckets.items()),
    )
    yield Figure(
        "openclawd_limiter_empty_buckets",
        "Sources that have no try left.",
        ("kind",),
        tuple(((kind,), empty[kind]) for kind in buckets),
    )
    yield Figure(
        "openclawd_limiter_verdicts_total",
        "Tries that were charged, known from before, or refused unexamined.",
        ("kind", "verdict"),
        tuple(
            ((kind.value, _VERDICTS[outcome]), count) for (kind, outcome), count in limiter.verdicts.items()
        ),
    )
    yield Figure(
        "openclawd_limiter_delayed_total",
        "Tries whose answer was held back.",
        ("kind",),
        tuple(((kind.value,), count) for kind, count in limiter.delayed.items()),
    )


def _clients(sources: Sources) -> Iterator[Figure]:
    clients = list(sources.clients())
    kinds = Counter((client.role, f"v{client.wire_generation}") for client in clients)
    waiting = [client.buffered_bytes for client in clients]
    yield Figure(
        "openclawd_clients",
        "Who is connected, by role and wire generation.",
        ("role", "generation"),
        tuple(kinds.items()),
    )
    yield _one("openclawd_outbox_bytes", "What waits to be sent to all clients together.", sum(waiting))
    yield _one(
        "openclawd_outbox_max_bytes",
        "What waits for the client that has most waiting.",
        max(waiting, default=0),
    )


def _events(sources: Sources) -> Iterator[Figure]:
    yield Figure(
        "openclawd_events_published_total",
        "Events by name, each counted once, whoever heard of it.",
        ("event",),
        tuple(((name,), count) for name, count in sources.published.items()),
    )
    yield _one(
        "openclawd_events_dropped_total",
        "Events that were skipped for a client that did not read.",
        sources.dropped_events(),
    )
    yield Figure(
        "openclawd_resumes_total",
        "Clients that came back with a position: recovered, or told to reload.",
        ("outcome",),
        tuple(((outcome,), count) for outcome, count in sources.resumes.items()),
    )


def _calls(sources: Sources) -> Iterator[Figure]:
    calls = sources.calls
    yield Figure(
        "openclawd_calls_total",
        "Calls by method and outcome: ok, error, failed (a fault of ours), refused, left.",
        ("method", "outcome"),
        tuple(((method, outcome.value), count) for (method, outcome), count in calls.counts.items()),
    )
    yield Figure(
        "openclawd_call_seconds_total",
        "From a call to its answer, waiting included.",
        ("method",),
        tuple(((method,), seconds) for method, seconds in calls.seconds.items()),
    )


def _loop(sources: Sources) -> Iterator[Figure | Distribution]:
    lag = sources.loop_lag
    yield _one("openclawd_loop_lag_last_seconds", "How late the event loop was just now.", lag.last_s)
    yield _one("openclawd_loop_lag_max_seconds", "The latest that it was in the last minute.", lag.max_s)
    yield Distribution(
        "openclawd_loop_lag_seconds",
        "How late the event loop was, four times a second.",
        BUCKETS_S,
        tuple(lag.buckets),
        lag.sum_s,
    )


def _runs(sources: Sources) -> Iterator[Figure]:
    yield _one("openclawd_runs_active", "Answers that are being made now.", sources.active_runs())
    yield Figure(
        "openclawd_runs_total",
        "Answers by how they ended: done, error, aborted.",
        ("outcome",),
        tuple(((state,), count) for state, count in sources.ended_runs().items()),
    )


def _memory() -> Iterator[Figure]:
    try:
        pages = int(_STATM.read_text().split()[1])
    except OSError:
        pass  # not Linux
    else:
        yield _one("openclawd_memory_bytes", "Memory in use (RSS).", pages * resource.getpagesize())
    # getrusage(2): kilobytes, but bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    yield _one("openclawd_memory_peak_bytes", "The most that it ever was.", peak)


def _one(name: str, explanation: str, value: float, *labels: tuple[str, str]) -> Figure:
    names, values = tuple(name for name, _ in labels), tuple(value for _, value in labels)
    return Figure(name, explanation, names, ((values, value),))
