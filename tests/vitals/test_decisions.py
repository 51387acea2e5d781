"""The ring of decisions: what was decided lately, and how often what."""

from collections import Counter

import attrs

from openclawd.auth import refusals
from openclawd.auth.decisions import Admitted, Facts, Refused
from openclawd.protocol.codec import structure
from openclawd.protocol.connect import ConnectParams
from openclawd.vitals.decisions import DECISIONS_KEPT, Decisions, Kind

SECRET = "a-token-that-nobody-may-see"
FACTS = Facts("192.0.2.7", origin="https://evil.example", client_id="cli")


def admitted() -> Admitted:
    client = {"id": "cli", "version": "1", "platform": "linux", "mode": "cli"}
    given = {"minProtocol": 3, "maxProtocol": 3, "client": client, "auth": {"token": SECRET}}
    params = structure(given, ConnectParams)
    return Admitted(params, 3, "operator", ("operator.read",), "token", FACTS)


def refused() -> Refused:
    return attrs.evolve(refusals.not_json(FACTS), presented="token+password")


def test_the_latest_come_first_with_what_the_log_says_of_them() -> None:
    decisions = Decisions(now_ms=lambda: 17)
    decisions.decided("c1", admitted(), told=True)
    decisions.decided("c2", refused(), told=True)
    first, second = decisions.latest()
    assert first == {"ts": 17, "outcome": "refused", "conn": "c2", **refused().log_fields()}
    assert (second["conn"], second["outcome"], second["credential"]) == ("c1", "admitted", "token")
    assert decisions.latest(1) == [first]


def test_a_secret_that_was_presented_is_not_kept() -> None:
    decisions = Decisions(now_ms=lambda: 17)
    decisions.decided("c1", admitted(), told=True)
    assert SECRET not in repr(decisions.latest())


def test_old_decisions_are_forgotten_and_still_counted() -> None:
    decisions = Decisions(now_ms=lambda: 17)
    for number in range(DECISIONS_KEPT + 10):
        decisions.decided(str(number), refused(), told=True)
    assert len(decisions.latest()) == DECISIONS_KEPT
    assert decisions.latest()[-1]["conn"] == "10"
    kind = Kind("refused", "not-json", "token+password")
    assert decisions.counts == Counter({kind: DECISIONS_KEPT + 10})


def test_what_the_log_only_counted_is_counted_and_not_kept() -> None:
    decisions = Decisions(now_ms=lambda: 17)
    decisions.decided("c1", refused(), told=True)
    decisions.decided("c2", refused(), told=False)
    assert [record["conn"] for record in decisions.latest()] == ["c1"]
    assert sum(decisions.counts.values()) == 2
