"""Refused requests in the log: each kind once a minute, and never more lines than a person can read."""

import logging
from typing import Any

import pytest

from openclawd.net.refusal_log import INTERVAL_S, LINES_MAX, LINES_OF_ADDRESS_MAX, RefusalLog


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(clock: Clock) -> RefusalLog:
    return RefusalLog(logging.getLogger("openclawd.test"), now_s=clock)


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "openclawd.test")


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    assert {record.message for record in caplog.records} <= {"refused"}
    return [vars(record)["fields"] for record in caplog.records]


def test_the_same_refusal_is_told_once_a_minute_with_their_number(
    log: RefusalLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100):
        log.refused({"reason": "framed", "address": "::1", "path": "/"})
    clock.now_s = INTERVAL_S
    log.refused({"reason": "framed", "address": "::1", "path": "/"})
    first, second = told(caplog)
    assert first == {"reason": "framed", "address": "::1", "path": "/"}
    assert second == {**first, "again": 99}


def test_another_kind_is_told_at_once(log: RefusalLog, caplog: pytest.LogCaptureFixture) -> None:
    log.refused({"reason": "framed", "address": "::1", "path": "/a"})
    log.refused({"reason": "framed", "address": "::1", "path": "/b"})
    log.refused({"reason": "framed", "address": "::2", "path": "/a"})
    log.refused({"reason": "host-not-known", "address": "::1", "path": "/a"})
    assert [(line["reason"], line["address"]) for line in told(caplog)] == [
        ("framed", "::1"),
        ("framed", "::2"),
        ("host-not-known", "::1"),
    ]


def test_a_flood_of_kinds_has_a_bounded_number_of_lines_and_is_counted(
    log: RefusalLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1000):
        log.refused({"reason": "host-not-known", "host": f"{number}.example", "address": number % 7})
    assert len(told(caplog)) == LINES_MAX
    clock.now_s = INTERVAL_S
    log.refused({"reason": "host-not-known", "host": "another.example"})
    assert told(caplog)[-1]["othersUntold"] == 1000 - LINES_MAX


def test_a_scanner_does_not_hide_what_comes_from_elsewhere(
    log: RefusalLog, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1000):
        log.refused({"reason": "host-not-known", "host": f"{number}.example", "address": "203.0.113.9"})
    assert len(told(caplog)) == LINES_OF_ADDRESS_MAX
    log.refused({"reason": "host-not-known", "host": "gw.example", "address": "192.168.1.20"})
    assert told(caplog)[-1]["host"] == "gw.example"
