"""`/metrics`: the figures of `vitals/metrics.py` in the Prometheus exposition format.

prometheus-client writes it down, from a collector of ours that is asked at each scrape: the library counts
nothing, and nobody who does not scrape pays for it, not even its import.
"""

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from openclawd.net.http import Response
from openclawd.vitals.metrics import Distribution, Figure

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

_COUNTER: Final = "_total"


class Metrics:
    """Answers scrapes."""

    def __init__(self, figures: Callable[[], Iterable[Figure | Distribution]]) -> None:
        self._figures = figures
        self._registry: CollectorRegistry | None = None

    def respond(self) -> Response:
        """The answer to a scraper that may ask."""
        if self._registry is None:
            self._registry = self._new_registry()
        from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

        headers = (("Content-Type", CONTENT_TYPE_PLAIN_0_0_4), ("Cache-Control", "no-store"))
        return Response(HTTPStatus.OK, headers, generate_latest(self._registry))

    def collect(self) -> "Iterator[Metric]":
        """For the library: every figure as one of its families."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        family: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
        for figure in self._figures():
            if isinstance(figure, Distribution):
                family = HistogramMetricFamily(figure.name, figure.explanation)
                family.add_metric((), list(_cumulative(figure)), figure.total)
            else:
                if figure.name.endswith(_COUNTER):
                    family = CounterMetricFamily(figure.name, figure.explanation, labels=figure.labels)
                else:
                    family = GaugeMetricFamily(figure.name, figure.explanation, labels=figure.labels)
                for labels, value in figure.rows:
                    family.add_metric(labels, value)
            yield family

    def _new_registry(self) -> "CollectorRegistry":
        from prometheus_client import CollectorRegistry
        from prometheus_client.process_collector import ProcessCollector

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        # What every program of the field tells of itself: processor time, descriptors (Linux only).
        ProcessCollector(registry=registry)
        return registry


def _cumulative(distribution: Distribution) -> Iterator[tuple[str, float]]:
    """Each bound with all that is within it, as the format has it."""
    within = 0
    for bound, count in zip((*distribution.bounds, float("inf")), distribution.counts, strict=True):
        within += count
        yield ("+Inf" if bound == float("inf") else str(bound)), within
