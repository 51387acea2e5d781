"""Where `/metrics` gets its figures: from the parts, as they are at each scrape."""

from openclawd import __version__
from openclawd.daemon.parts import Parts, now_ms
from openclawd.net.metrics import Metrics
from openclawd.vitals.metrics import Sources, figures


def metrics(parts: Parts) -> Metrics:
    """The answers to scrapes of one gateway."""
    sources = Sources(
        version=__version__,
        now_ms=now_ms,
        uptime_ms=parts.uptime_ms,
        decisions=parts.decisions,
        limiter=parts.limiter,
        calls=parts.calls,
        loop_lag=parts.loop_lag,
        published=parts.hub.published,
        http_answers=parts.http_answers,
        clients=lambda: parts.clients,
        dropped_events=lambda: parts.clients.dropped_events,
        devices_waiting=lambda: len(parts.devices.waiting()),
        active_runs=lambda: parts.sessions.active_runs,
        ended_runs=lambda: {state.value: count for state, count in parts.sessions.ended_runs.items()},
    )
    return Metrics(lambda: figures(sources))
