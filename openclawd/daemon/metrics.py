"""Where `/metrics` gets its figures: from the parts, as they are at each scrape."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from openclawd import __version__
from openclawd.daemon.parts import Parts, now_ms
from openclawd.net.http import Response

if TYPE_CHECKING:
    from openclawd.net.metrics import Metrics


def scraper(parts: Parts) -> Callable[[], Response]:
    """What answers scrapes of one gateway; imported with the first, as most gateways never see one."""

    @cache
    def metrics() -> "Metrics":
        from openclawd.net.metrics import Metrics
        from openclawd.vitals.metrics import Sources, figures

        sources = Sources(
            version=__version__,
            now_ms=now_ms,
            uptime_ms=parts.uptime_ms,
            decisions=parts.decisions,
            limiter=parts.limiter,
            calls=parts.calls,
            loop_lag=parts.loop_lag,
            published=parts.hub.published,
            resumes=parts.hub.resumes,
            http_answers=parts.http_answers,
            clients=lambda: parts.clients,
            dropped_events=lambda: parts.clients.dropped_events,
            devices_waiting=lambda: len(parts.devices.waiting()),
            active_runs=lambda: parts.sessions.active_runs,
            ended_runs=lambda: {state.value: count for state, count in parts.sessions.ended_runs.items()},
        )
        return Metrics(lambda: figures(sources))

    return lambda: metrics().respond()
