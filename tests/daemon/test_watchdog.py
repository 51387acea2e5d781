"""What systemd's watchdog hears, and what the log says before it bites."""

import logging
import os
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from openclawd.daemon.lifecycle import State
from openclawd.daemon.notify import Notifier
from openclawd.daemon.watchdog import (
    Heart,
    Schedule,
    observe,
    reported,
    stacks,
    wants_time,
    watchdog_timeout_s,
)


@pytest.mark.parametrize(
    ("environ", "timeout_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "4711"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "4712"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_of_another_process_is_none_of_ours(
    environ: dict[str, str], timeout_s: float | None
) -> None:
    assert watchdog_timeout_s(environ, 4711) == timeout_s


@given(st.floats(0.1, 3600), st.lists(st.floats(0, 0.1), min_size=1, max_size=200))
def test_a_loop_that_is_on_time_is_always_heard_of_within_half_the_time(
    timeout_s: float, lags: list[float]
) -> None:
    """sd_watchdog_enabled(3). A little lag is nothing."""
    schedule = Schedule(timeout_s)
    now_s = pinged_s = 0.0
    for share in lags:
        lag_s = share * schedule.beat_s
        now_s += schedule.beat_s + lag_s
        if schedule.ping(now_s - pinged_s, lag_s):
            pinged_s = now_s
        assert now_s - pinged_s <= timeout_s / 2


@given(st.floats(0.1, 3600), st.floats(0, 1e6))
def test_a_loop_that_is_late_every_time_is_not_heard_of(timeout_s: float, since_last_s: float) -> None:
    assert not Schedule(timeout_s).ping(since_last_s, timeout_s / 5)


@given(st.floats(0.1, 3600))
def test_there_is_time_to_write_the_stacks_down(timeout_s: float) -> None:
    """It stops right before a ping was due, and right after it was looked at."""
    schedule = Schedule(timeout_s)
    last_ping_to_stop_s = timeout_s / 2
    found_after_s = schedule.stuck_after_s + schedule.stuck_after_s / 4
    assert last_ping_to_stop_s + found_after_s < timeout_s


@pytest.mark.parametrize(
    ("state", "in_state_s", "asked"),
    [
        (State.READY, 100.0, False),
        (State.STARTING, 1.0, False),
        (State.STARTING, 600.0, True),
        (State.DRAINING, 300.0, True),
        (State.STOPPING, 10.0, True),
        # What hangs must be killed at last.
        (State.STOPPING, 61.0, False),
        (State.DRAINING, 400.0, False),
    ],
)
def test_more_time_is_asked_for_what_is_slow_and_bounded(
    state: State, in_state_s: float, asked: bool
) -> None:
    assert wants_time(state, in_state_s) is asked


class Supervised:
    """A gateway under a supervisor that listens."""

    def __init__(self, listening: socket.socket) -> None:
        self.state = State.READY
        self.serving = ""
        self._listening = listening

    def heard(self) -> list[str]:
        found: list[str] = []
        while True:
            try:
                found.append(self._listening.recv(1000).decode())
            except BlockingIOError:
                return found


async def heard_within(gateway: Supervised, seconds: int) -> list[str]:
    """What it is told; the kernel keeps ten messages for one who does not read (unix(7))."""
    found: list[str] = []
    for _ in range(seconds):
        await trio.sleep(1)
        found += gateway.heard()
    return found


@asynccontextmanager
async def supervised(
    folder: Path, monkeypatch: pytest.MonkeyPatch, timeout_s: float | None
) -> AsyncIterator[Supervised]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(folder / "notify"))
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(listening.getsockname()))
        gateway = Supervised(listening)
        with closing(Notifier(os.environ)) as notifier:
            async with reported(notifier, lambda: gateway.state, timeout_s, lambda: gateway.serving):
                yield gateway


async def test_the_watchdog_is_told_twice_in_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with supervised(tmp_path, monkeypatch, 30.0) as gateway:
        heard = await heard_within(gateway, 300)
        assert set(heard) == {"WATCHDOG=1"}
        assert 20 <= len(heard) <= 25


async def test_without_a_watchdog_there_is_nothing_to_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with supervised(tmp_path, monkeypatch, None) as gateway:
        await trio.sleep(300)
        assert gateway.heard() == []


async def test_how_it_serves_is_told_when_that_has_changed_and_at_most_every_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with supervised(tmp_path, monkeypatch, None) as gateway:
        gateway.serving = "4 clients"
        assert await heard_within(gateway, 60) == ["STATUS=4 clients"]
        heard = []
        for clients in range(60):
            gateway.serving = f"{clients} clients"
            heard += await heard_within(gateway, 1)
        assert 10 <= len(heard) <= 13


async def test_while_it_restarts_the_words_of_one_that_serves_are_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with supervised(tmp_path, monkeypatch, None) as gateway:
        gateway.state, gateway.serving = State.HANDING_OVER, "4 clients"
        assert await heard_within(gateway, 4) == []


async def test_a_drain_asks_for_more_time_again_and_again_until_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with supervised(tmp_path, monkeypatch, None) as gateway:
        gateway.state = State.DRAINING
        asked = await heard_within(gateway, 100)
        assert set(asked) == {"EXTEND_TIMEOUT_USEC=20000000"}
        # Each is for twenty seconds.
        assert len(asked) >= 15
        await heard_within(gateway, 300)
        assert await heard_within(gateway, 100) == []


async def test_what_fails_inside_comes_out_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is found by the exception's type."""
    with pytest.raises(KeyError):
        async with supervised(tmp_path, monkeypatch, None):
            raise KeyError


class Heard(logging.Handler):
    """The records that come, and an event for each."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.came = threading.Semaphore(0)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.came.release()


def test_a_loop_that_is_stuck_is_written_down_once_each_time() -> None:
    now_s = 0.0
    log, heard, over = logging.getLogger("openclawd.loop"), Heard(), threading.Event()
    heart = Heart(lambda: now_s)
    log.addHandler(heard)
    beside = threading.Thread(target=observe, args=(heart, 0.02, over))
    beside.start()
    try:
        now_s = 7.5
        assert heard.came.acquire(timeout=10)
        # It has recovered, the thread has seen it, and it gets stuck again.
        assert not heard.came.acquire(timeout=0.1)
        heart.beat()
        assert not heard.came.acquire(timeout=0.1)
        now_s = 20.0
        assert heard.came.acquire(timeout=10)
    finally:
        over.set()
        beside.join(10)
        log.removeHandler(heard)
    assert [record.getMessage() for record in heard.records] == ["loop stuck", "loop stuck"]
    fields = heard.records[0].__dict__["fields"]
    assert fields["forMs"] == 7500
    assert any("test_watchdog.py" in place for place in fields["threads"]["MainThread"])


async def waits_for_ever() -> None:
    await trio.sleep_forever()


async def test_the_stacks_say_where_every_task_waits() -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(waits_for_ever)
        await trio.testing.wait_all_tasks_blocked()
        found = stacks(trio.lowlevel.current_root_task())
        nursery.cancel_scope.cancel()
    tasks = found["tasks"]
    assert isinstance(tasks, list)
    (ours,) = [task for task in tasks if task["task"].endswith("waits_for_ever")]
    assert ours["count"] == 3
    assert ours["stack"][0].startswith(__file__)
    assert ours["stack"][0].endswith(" waits_for_ever")
    assert any(place.endswith(" sleep_forever") for place in ours["stack"])
