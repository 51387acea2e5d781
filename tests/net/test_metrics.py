"""The exposition format, read back by the library's own parser."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import attrs
from prometheus_client.parser import text_string_to_metric_families

from openclawd.auth import refusals
from openclawd.auth.decisions import Facts
from openclawd.auth.limiter import Limiter
from openclawd.auth.tries import Kind, LimitRules, Source
from openclawd.net.metrics import Metrics
from openclawd.vitals.calls import CallCounts, Outcome
from openclawd.vitals.decisions import Decisions
from openclawd.vitals.loop_lag import BUCKETS_S, Clocks, LoopLag
from openclawd.vitals.metrics import ClientView, Distribution, Sources, figures

NOW_MS = 1_700_000_000_000
MANUAL = Path(__file__).parents[2] / "docs" / "operations.md"


@attrs.frozen
class Visitor:
    role: str
    wire_generation: int
    buffered_bytes: int = 0


@attrs.define
class House:
    """What a gateway counts; `scrape` is what a scraper makes of it."""

    decisions: Decisions = attrs.Factory(lambda: Decisions(lambda: NOW_MS))
    limiter: Limiter = attrs.Factory(lambda: Limiter(LimitRules(tries=2), secret_key=b"k"))
    calls: CallCounts = attrs.Factory(lambda: CallCounts(lambda: 2.5))
    loop_lag: LoopLag = attrs.Factory(lambda: LoopLag(Clocks(loop=lambda: 1.0)))
    published: Counter[str] = attrs.Factory(Counter)
    resumes: Counter[str] = attrs.Factory(Counter)
    answers: Counter[int] = attrs.Factory(Counter)
    clients: tuple[ClientView, ...] = ()
    runs: Mapping[str, int] = attrs.Factory(dict)

    def sources(self) -> Sources:
        return Sources(
            version="1.2.3",
            now_ms=lambda: NOW_MS,
            uptime_ms=lambda: 61_500,
            decisions=self.decisions,
            limiter=self.limiter,
            calls=self.calls,
            loop_lag=self.loop_lag,
            published=self.published,
            resumes=self.resumes,
            http_answers=self.answers,
            clients=lambda: self.clients,
            dropped_events=lambda: 4,
            devices_waiting=lambda: 1,
            active_runs=lambda: 2,
            ended_runs=lambda: self.runs,
        )

    def scrape(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Every sample by its name and labels."""
        sources = self.sources()
        response = Metrics(lambda: figures(sources)).respond()
        assert response.status == 200
        assert dict(response.headers)["Content-Type"].startswith("text/plain; version=0.0.4")
        families = list(text_string_to_metric_families(response.body.decode()))
        assert all(family.documentation for family in families if family.name.startswith("openclawd"))
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }


def of(samples: Mapping[tuple[str, tuple[tuple[str, str], ...]], float], name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


def test_a_fresh_gateway_has_its_version_its_uptime_and_its_memory() -> None:
    samples = House().scrape()
    assert of(samples, "openclawd_info", version="1.2.3") == 1
    assert of(samples, "openclawd_uptime_seconds") == 61.5
    assert of(samples, "openclawd_memory_peak_bytes") > 2**20
    assert of(samples, "openclawd_devices_waiting") == 1
    assert of(samples, "openclawd_runs_active") == 2
    assert of(samples, "openclawd_events_dropped_total") == 4


def test_decisions_are_told_by_outcome_reason_and_credential() -> None:
    house = House()
    too_big = attrs.evolve(refusals.too_big(Facts("192.0.2.1")), presented="password")
    house.decisions.decided("c", too_big, told=True)
    name = "openclawd_admissions_total"
    assert of(house.scrape(), name, outcome="refused", reason="too-big", credential="password") == 1


def test_the_limiter_tells_what_it_charged_knew_delayed_and_refused() -> None:
    house = House()
    guesser = Source("192.0.2.66")
    for guess in ("a", "a", "b", "c"):
        house.limiter.charge(guesser, Kind.PASSWORD, guess, "right", NOW_MS)
    samples = house.scrape()
    for verdict, count in (("charged", 2), ("known", 1), ("refused", 1)):
        name = "openclawd_limiter_verdicts_total"
        assert of(samples, name, kind="password", verdict=verdict) == count
    assert of(samples, "openclawd_limiter_delayed_total", kind="password") == 1
    # The guesser's and everybody's.
    assert of(samples, "openclawd_limiter_buckets", kind="password") == 2
    assert of(samples, "openclawd_limiter_empty_buckets", kind="password") == 1


def test_clients_are_told_by_role_and_generation_with_what_waits_for_them() -> None:
    house = House(clients=(Visitor("operator", 3, 10), Visitor("operator", 3, 30), Visitor("node", 4)))
    samples = house.scrape()
    assert of(samples, "openclawd_clients", role="operator", generation="v3") == 2
    assert of(samples, "openclawd_clients", role="node", generation="v4") == 1
    assert of(samples, "openclawd_outbox_bytes") == 40
    assert of(samples, "openclawd_outbox_max_bytes") == 30


def test_calls_are_told_by_method_and_outcome_with_their_seconds() -> None:
    house = House()
    house.calls.ended("health", Outcome.OK, 2.0)
    house.calls.refused(None)
    samples = house.scrape()
    assert of(samples, "openclawd_calls_total", method="health", outcome="ok") == 1
    assert of(samples, "openclawd_call_seconds_total", method="health") == 0.5
    assert of(samples, "openclawd_calls_total", method="unknown", outcome="refused") == 1


def test_events_answers_and_runs_are_told_by_name_status_and_outcome() -> None:
    house = House(published=Counter(tick=3), answers=Counter({200: 5, 404: 1}), runs={"done": 7})
    samples = house.scrape()
    assert of(samples, "openclawd_events_published_total", event="tick") == 3
    assert of(samples, "openclawd_http_answers_total", status="404") == 1
    assert of(samples, "openclawd_runs_total", outcome="done") == 7


def test_clients_that_came_back_are_counted_by_what_became_of_what_they_missed() -> None:
    samples = House(resumes=Counter(recovered=2, reload=1)).scrape()
    assert of(samples, "openclawd_resumes_total", outcome="recovered") == 2
    assert of(samples, "openclawd_resumes_total", outcome="reload") == 1


def test_the_loop_lag_is_a_cumulative_histogram() -> None:
    house = House()
    for lag_s in (0.0001, 0.02, 0.02, 60.0):
        house.loop_lag.record(lag_s)
    samples = house.scrape()
    name = "openclawd_loop_lag_seconds"
    within = [of(samples, f"{name}_bucket", le=str(bound)) for bound in BUCKETS_S]
    assert within == [1, 1, 1, 3, *[3] * (len(BUCKETS_S) - 4)]
    assert of(samples, f"{name}_bucket", le="+Inf") == of(samples, f"{name}_count") == 4
    assert math.isclose(of(samples, f"{name}_sum"), 60.0401)
    assert of(samples, "openclawd_loop_lag_last_seconds") == 60.0


def test_the_manual_names_every_metric_and_its_labels() -> None:
    """The table in docs/operations.md, row by row: names, labels."""
    table = re.findall(r"^\| (`openclawd_.*?) \| (.*?) \|", MANUAL.read_text(), re.MULTILINE)
    documented = {
        name: set(labels.strip("`").split())
        for names, labels in table
        for name in re.findall(r"`(\w+)`", names)
    }
    house = House(clients=(Visitor("node", 4),), published=Counter(tick=1), answers=Counter({200: 1}))
    house.decisions.decided("c", refusals.not_json(Facts("192.0.2.1")), told=True)
    house.limiter.charge(Source("x"), Kind.TOKEN, "a", "b", NOW_MS)
    told = {each.name: each for each in figures(house.sources())}
    for name, figure in told.items():
        labels = {"le"} if isinstance(figure, Distribution) else set(figure.labels)
        assert labels <= documented.pop(name), name
    assert set(documented) <= {"openclawd_memory_bytes"}, "of Linux alone"


def test_a_label_may_hold_what_ends_a_label() -> None:
    house = House(published=Counter({'odd "name"\\\n': 1}))
    assert of(house.scrape(), "openclawd_events_published_total", event='odd "name"\\\n') == 1
