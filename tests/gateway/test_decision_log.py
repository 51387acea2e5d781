"""The log's lines about strangers: each of them, until there are more than a person would read."""

import logging

import attrs
import pytest

from openclawd.auth import refusals
from openclawd.auth.charges import Charge
from openclawd.auth.decisions import Admitted, Facts, Refused
from openclawd.auth.sources import device_source
from openclawd.auth.tries import Kind, Outcome, Verdict
from openclawd.gateway.decision_log import (
    ADDRESSES_MAX,
    LINES_A_MINUTE,
    LINES_MAX,
    LINES_OF_KIND_MAX,
    UNTOLD_EVERY_S,
    DecisionLog,
)
from openclawd.protocol.codec import structure
from openclawd.protocol.connect import ConnectParams

UNTOLD = "strangers not told one by one"


@attrs.define
class Clock:
    now_s: float = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class Written:
    """A decision log on a clock of its own, and what it has written."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "openclawd.admission")
        self._caplog = caplog
        self.clock = Clock()
        self.log = DecisionLog(self.clock)

    def lines(self, message: str) -> list[dict[str, object]]:
        return [
            record.__dict__["fields"] for record in self._caplog.records if record.getMessage() == message
        ]

    def refuse(self, address: str, *, times: int = 1) -> None:
        for number in range(times):
            self.log.decided(f"c{number}", refused(address))


@pytest.fixture
def written(caplog: pytest.LogCaptureFixture) -> Written:
    return Written(caplog)


def refused(address: str = "192.0.2.7") -> Refused:
    return refusals.not_json(Facts(address))


def admitted(address: str = "192.0.2.7") -> Admitted:
    client = {"id": "cli", "version": "1", "platform": "linux", "mode": "cli"}
    params = structure({"minProtocol": 3, "maxProtocol": 3, "client": client}, ConnectParams)
    return Admitted(params, 3, "operator", ("operator.read",), "token", Facts(address))


def test_who_knocks_for_ever_is_told_some_times_and_then_counted(written: Written) -> None:
    written.refuse("192.0.2.7", times=LINES_OF_KIND_MAX + 500)
    assert len(written.lines("refused")) == LINES_OF_KIND_MAX
    assert written.lines(UNTOLD) == []
    written.clock.now_s += UNTOLD_EVERY_S
    written.log.decided("owner", admitted())
    (told,) = written.lines(UNTOLD)
    assert (told["count"], told["addresses"], told["reasons"]) == (500, 1, {"not-json": 500})


def test_who_knocks_without_a_word_is_counted_alike(written: Written) -> None:
    for number in range(LINES_OF_KIND_MAX + 7):
        written.log.left_before_connect(f"c{number}", Facts("192.0.2.7"), 1006)
    for number in range(LINES_OF_KIND_MAX + 5):
        written.log.left_before_hello(f"c{number}", admitted())
    assert len(written.lines("left before connect")) == LINES_OF_KIND_MAX
    assert len(written.lines("left before hello-ok")) == LINES_OF_KIND_MAX
    written.clock.now_s += UNTOLD_EVERY_S
    written.refuse("192.0.2.8")
    assert written.lines(UNTOLD)[0]["reasons"] == {"left before connect": 7, "left before hello-ok": 5}


def test_many_addresses_together_have_lines_for_a_while_and_then_few_a_minute(written: Written) -> None:
    for number in range(LINES_MAX + ADDRESSES_MAX + 50):
        written.refuse(f"10.0.{number // 256}.{number % 256}")
    assert len(written.lines("refused")) == LINES_MAX
    for _ in range(60):
        written.clock.now_s += 1
        written.refuse("192.0.2.9")
    assert len(written.lines("refused")) - LINES_MAX <= LINES_A_MINUTE
    assert written.lines(UNTOLD)[0]["addresses"] == ADDRESSES_MAX
    assert len(written.lines(UNTOLD)) <= 60 / UNTOLD_EVERY_S


def test_no_stranger_uses_up_the_lines_of_this_machine_and_of_paired_devices(written: Written) -> None:
    for number in range(LINES_MAX + 1):
        written.refuse(f"10.0.{number // 256}.{number % 256}")
    before = len(written.lines("refused"))
    written.log.decided("here", refusals.not_json(Facts("127.0.0.1", is_local=True)))
    own = Charge(device_source("d1"), Kind.PASSWORD, Verdict(Outcome.EXAMINE))
    written.log.decided("owner", attrs.evolve(refused("10.0.0.1"), charge=own))
    assert [line["conn"] for line in written.lines("refused")[before:]] == ["here", "owner"]


def test_a_minute_later_the_same_one_is_told_again(written: Written) -> None:
    written.refuse("192.0.2.7", times=LINES_OF_KIND_MAX)
    written.clock.now_s += 60
    written.refuse("192.0.2.7")
    assert len(written.lines("refused")) == LINES_OF_KIND_MAX + 1


def test_whoever_is_let_in_is_told_always(written: Written) -> None:
    for number in range(LINES_MAX * 2):
        written.log.decided(f"c{number}", admitted())
    assert len(written.lines("admitted")) == LINES_MAX * 2
