"""Rounds: what is measured when, so that two trees meet the same machine, and what the rounds amount to."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Final

import attrs

from tests.bench.calls import measure_calls
from tests.bench.client import ClientFailed
from tests.bench.crowd import measure_crowd
from tests.bench.figures import Reading, Scale
from tests.bench.first_delta import measure_first_delta
from tests.bench.gateway import GatewayFailed
from tests.bench.handshakes import measure_handshakes
from tests.bench.machine import Cores
from tests.bench.restarting import measure_restart
from tests.bench.starting import measure_start
from tests.bench.tree import Tree

Measure = Callable[[Tree, Cores, Scale], dict[str, Reading]]

# Which figures come out of one measurement.
MEASURES: Final[Mapping[tuple[str, ...], Measure]] = {
    ("start", "idle", "idle-signed"): measure_start,
    ("handshakes-returning", "handshakes-known", "handshakes-new"): measure_handshakes,
    ("health",): measure_calls,
    ("memory", "burst", "fan-out"): measure_crowd,
    ("first-delta",): measure_first_delta,
    ("restart-1", "restart-50", "restart-1000", "restart-signed"): measure_restart,
}


@attrs.define
class Series:
    """One figure of one tree over all rounds; `failure` is why a round gave none."""

    readings: list[Reading] = attrs.field(factory=list)
    failure: str | None = None

    @property
    def value(self) -> float:
        """The median."""
        return median(self._values())

    @property
    def beside(self) -> str:
        """How the round that is nearest to the median came about, or why another one failed."""
        if self.failure is not None:
            return f"a round failed: {self.failure}"
        return min(self.readings, key=lambda reading: abs(reading.value - self.value)).beside

    @property
    def noise(self) -> float | None:
        """The medians of odd and even rounds, the larger over the smaller: two runs of one tree.

        None when all rounds but one failed.
        """
        values = self._values()
        if len(values) < 2:
            return None
        one, other = median(values[0::2]), median(values[1::2])
        return max(one, other) / min(one, other)

    def _values(self) -> list[float]:
        return [reading.value for reading in self.readings]


# By tree name, then by figure.
Results = Mapping[str, Mapping[str, Series]]


def run_rounds(
    trees: Sequence[Tree],
    names: Sequence[str],
    cores: Cores,
    scale: Scale,
    rounds: int,
    progress: Callable[[str], None],
) -> Results:
    """Measure the figures `names` of every tree, round by round, the trees in turns."""
    results = {tree.name: {name: Series() for name in names} for tree in trees}
    for number in range(rounds):
        # Whoever goes first meets a cooler machine.
        for tree in trees if number % 2 == 0 else tuple(reversed(trees)):
            for figures, measure in MEASURES.items():
                wanted = [name for name in figures if name in names]
                if not wanted:
                    continue
                progress(f"round {number + 1} of {rounds}, {tree.name}: {figures[0].partition('-')[0]}")
                _measure(measure, wanted, results[tree.name], tree, cores, scale)
    return results


def _measure(
    measure: Measure,
    wanted: Sequence[str],
    series: Mapping[str, Series],
    tree: Tree,
    cores: Cores,
    scale: Scale,
) -> None:
    try:
        readings = measure(tree, cores, scale)
    except (GatewayFailed, ClientFailed) as failed:
        for name in wanted:
            series[name].failure = str(failed)
        return
    for name in wanted:
        series[name].readings.append(readings[name])
