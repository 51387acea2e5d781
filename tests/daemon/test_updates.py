"""Updates as a gateway sees them: what it looks for and when, what it begins, and what it tells of it.

Days pass in no time: the clock jumps whenever everybody waits for it, in a test that names it. `openclawd
update` is a double; that it says what this one says is the business of tests/process.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
import trio
from trio.testing import MockClock

from openclawd.config.model import Config, Own, OwnUpdate, Update
from openclawd.daemon.update_program import RunningUpdate, UpdateProgram
from openclawd.daemon.updates import Updates
from openclawd.events.event import Event
from openclawd.methods.services import Restarter, UpdateRefused
from openclawd.slots.layout import Installation
from openclawd.slots.progress import Phase, Progress, ProgressFile, update_lock, updater_pid
from openclawd.slots.trial import End, Outcome, Trial, write_failed, write_outcome, write_trial
from openclawd.store.facts import Facts

HOUR_S = 60 * 60
DAY_S = 24 * HOUR_S
# Midnight of the day on which the tests begin.
BEGAN = datetime(2026, 11, 23, tzinfo=UTC)


class KeptFacts(Facts):
    """Outlives gateways, and takes no time."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def get(self, name: str) -> bytes | None:
        return self.kept.get(name)

    async def put(self, name: str, value: bytes) -> None:
        self.kept[name] = value


class Run(RunningUpdate):
    """One that ends when the test says so."""

    def __init__(self) -> None:
        self.outcome: dict[str, Any] | UpdateRefused | None = None
        self.over = trio.Event()

    @property
    def pid(self) -> int:
        return os.getpid()

    def end(self, outcome: dict[str, Any] | UpdateRefused) -> None:
        self.outcome = outcome
        self.over.set()

    async def ended(self) -> dict[str, Any]:
        await self.over.wait()
        if isinstance(self.outcome, UpdateRefused):
            raise self.outcome
        return self.outcome or {}


class Program(UpdateProgram):
    """`openclawd update`, which finds what it is told."""

    def __init__(self) -> None:
        self.latest: str | None = "1.1.0"
        self.refusal: UpdateRefused | None = None
        self.looked_s: list[float] = []
        self.runs: list[Run] = []
        self.begins: Callable[[], object] = lambda: None

    async def check(self) -> dict[str, Any]:
        self.looked_s.append(trio.current_time())
        if self.refusal is not None:
            raise UpdateRefused(self.refusal.reason, self.refusal.cure)
        if self.latest is None:
            return {"ok": True, "currentVersion": "1.0.0", "updateAvailable": None}
        found = {"currentVersion": "1.0.0", "latestVersion": self.latest, "channel": "stable"}
        return {"ok": True, "updateAvailable": found, "notes": "Better.", "command": "openclawd update run"}

    async def start(self) -> RunningUpdate:
        self.runs.append(Run())
        self.begins()
        # Starting a process takes a moment.
        await trio.sleep(0.1)
        return self.runs[-1]


class Restarting:
    """Whether a restart was asked for."""

    restart_pending = False


class Gateway:
    """One generation after another on the same state."""

    def __init__(self, root: Path) -> None:
        self.root = root
        # Files that are looked at each second make days long.
        self.installation: Installation | None = None
        self.program = Program()
        self.facts = KeptFacts()
        self.restart = Restarting()
        self.told: list[Event] = []
        self.wanted = OwnUpdate(auto="check")
        self.update = Update()
        self.version = "1.0.0"
        self.updates = self.start()

    def config(self) -> Config:
        return Config(update=self.update, openclawd=Own(update=self.wanted))

    def start(self) -> Updates:
        self.updates = Updates(
            version=self.version,
            installation=self.installation,
            program=self.program,
            config=self.config,
            facts=self.facts,
            restart=cast(Restarter, self.restart),
            publish=self.told.append,
            now_ms=lambda: int((BEGAN.timestamp() + trio.current_time()) * 1000),
            local_time=lambda: datetime.fromtimestamp(BEGAN.timestamp() + trio.current_time(), UTC),
        )
        return self.updates

    def installed(self) -> Installation:
        """Make it one that updates itself."""
        self.installation = Installation(self.root)
        self.start()
        return self.installation

    def chooses(self, **changes: Any) -> None:
        self.wanted = attrs.evolve(self.wanted, **changes)

    async def lives(self, seconds: float, meanwhile: Callable[[], object] | None = None) -> None:
        """Serve for so long; `meanwhile` is called in its middle."""
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.updates.serve)
                if meanwhile is not None:
                    await trio.sleep(seconds / 2)
                    meanwhile()

    def progress(self, phase: Phase) -> None:
        assert self.installation is not None
        self.installation.update.mkdir(exist_ok=True)
        ProgressFile(self.installation).tell(Progress(phase, "1.0.0", "1.1.0"))

    def events(self, name: str) -> list[object]:
        return [dict(event.payload) for event in self.told if event.name == name]


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


# --- by itself


async def test_a_gateway_that_was_not_told_to_looks_for_nothing(
    gateway: Gateway, autojump_clock: MockClock
) -> None:
    gateway.chooses(auto="off")
    await gateway.lives(7 * DAY_S)
    assert gateway.program.looked_s == []


async def test_it_looks_soon_after_the_first_start_and_then_once_a_day(
    gateway: Gateway, autojump_clock: MockClock
) -> None:
    await gateway.lives(3 * DAY_S)
    assert gateway.program.looked_s == pytest.approx([60, DAY_S + 60, 2 * DAY_S + 60], abs=1)


async def test_how_often_can_be_said(gateway: Gateway, autojump_clock: MockClock) -> None:
    gateway.chooses(every_hours=6)
    await gateway.lives(DAY_S)
    assert len(gateway.program.looked_s) == 4


async def test_restarts_make_it_look_no_more_often(gateway: Gateway, autojump_clock: MockClock) -> None:
    for _ in range(24):
        gateway.start()
        await gateway.lives(HOUR_S)
    assert len(gateway.program.looked_s) == 1
    assert gateway.updates.available is not None, "what was found is remembered"


async def test_in_quiet_hours_nothing_is_begun(gateway: Gateway, autojump_clock: MockClock) -> None:
    gateway.chooses(quiet_hours="00:00-06:30")
    await gateway.lives(DAY_S)
    assert gateway.program.looked_s == pytest.approx([6.5 * HOUR_S], abs=60)


async def test_a_place_that_is_out_of_reach_is_asked_again_in_an_hour(
    gateway: Gateway, autojump_clock: MockClock
) -> None:
    gateway.program.refusal = UpdateRefused("no route to host", "ping example.org")
    await gateway.lives(2.5 * HOUR_S)
    assert gateway.program.looked_s == pytest.approx([60, HOUR_S + 60, 2 * HOUR_S + 60], abs=1)
    status = gateway.updates.status()
    assert (status["checkProblem"], status["checkCure"]) == ("no route to host", "ping example.org")


async def test_after_it_has_answered_nobody_hears_of_the_trouble_any_more(
    gateway: Gateway, autojump_clock: MockClock
) -> None:
    gateway.program.refusal = UpdateRefused("no route to host")
    await gateway.lives(2 * HOUR_S, lambda: setattr(gateway.program, "refusal", None))
    assert "checkProblem" not in gateway.updates.status()


async def test_a_check_installs_nothing(gateway: Gateway, autojump_clock: MockClock) -> None:
    await gateway.lives(DAY_S)
    assert gateway.program.runs == []


async def test_who_wants_it_gets_what_is_newer(gateway: Gateway, autojump_clock: MockClock) -> None:
    gateway.installed()
    gateway.chooses(auto="install")
    await gateway.lives(100)
    assert len(gateway.program.runs) == 1


@pytest.mark.parametrize(("end", "again"), [("rolled-back", 0), ("failed", 0), ("confirmed", 1)])
async def test_what_was_not_well_is_not_tried_again_by_itself(
    gateway: Gateway, autojump_clock: MockClock, end: End, again: int
) -> None:
    write_outcome(gateway.installed(), Outcome("1.0.0", "1.1.0", end, 1, "guard", "it hung"))
    gateway.chooses(auto="install")
    await gateway.lives(100)
    assert len(gateway.program.runs) == again


async def test_a_later_failure_does_not_make_it_try_again_what_was_rolled_back(
    gateway: Gateway, autojump_clock: MockClock
) -> None:
    found = gateway.installed()
    write_failed(found, Trial("1.0.0", "1.1.0", 0, 1, 30), "it hung", "updater")
    write_outcome(found, Outcome("1.0.0", "", "failed", 2**53, "updater", "no route to host"))
    gateway.chooses(auto="install")
    await gateway.lives(100)
    assert gateway.program.runs == []


async def test_a_version_on_trial_is_not_replaced(gateway: Gateway, autojump_clock: MockClock) -> None:
    write_trial(gateway.installed(), Trial("0.9.0", "1.0.0", 0, 1, 30))
    gateway.chooses(auto="install")
    await gateway.lives(100)
    assert gateway.program.runs == []


async def test_what_came_in_another_way_is_only_looked_for(
    gateway: Gateway, autojump_clock: MockClock
) -> None:
    gateway.chooses(auto="install")
    await gateway.lives(HOUR_S)
    assert (len(gateway.program.looked_s), gateway.program.runs) == (1, [])


# --- what is newer


async def test_everybody_hears_once_of_what_is_newer(gateway: Gateway, autojump_clock: MockClock) -> None:
    found = {"currentVersion": "1.0.0", "latestVersion": "1.1.0", "channel": "stable"}
    await gateway.lives(3 * DAY_S)
    assert gateway.events("update.available") == [{"updateAvailable": found}]
    assert gateway.updates.available == found


async def test_a_version_that_was_withdrawn_is_not_offered_any_more(
    gateway: Gateway, autojump_clock: MockClock
) -> None:
    await gateway.lives(2 * DAY_S, lambda: setattr(gateway.program, "latest", None))
    assert gateway.events("update.available")[-1] == {"updateAvailable": None}


async def test_what_the_version_before_found_is_of_no_use(
    gateway: Gateway, autojump_clock: MockClock
) -> None:
    await gateway.lives(HOUR_S)
    gateway.version = "1.1.0"
    gateway.start()
    gateway.chooses(auto="off")
    await gateway.lives(HOUR_S)
    assert gateway.updates.available is None


async def test_another_channel_has_other_versions(gateway: Gateway, autojump_clock: MockClock) -> None:
    await gateway.lives(HOUR_S)
    gateway.update = Update(channel="dev")
    assert gateway.updates.available is None
    assert gateway.updates.status()["channel"] == "beta"


async def test_what_is_kept_of_a_look_and_cannot_be_understood_is_looked_for_again(
    gateway: Gateway, autojump_clock: MockClock
) -> None:
    for kept in (b"", b"{", b"[]", b'{"at_ms": "x"}', b"null"):
        gateway.facts.kept["update.found"] = kept
        gateway.start()
        before = len(gateway.program.looked_s)
        await gateway.lives(HOUR_S)
        assert len(gateway.program.looked_s) == before + 1


# --- one that was asked for


async def asked(gateway: Gateway, happens: Callable[[Run], object]) -> list[object]:
    """Serve and ask for an update, and have something happen to it; what is answered then."""
    answers: list[object] = []
    gateway.installed()

    async def ask() -> None:
        try:
            answers.append((await gateway.updates.run("conn-1")).to_version)
        except UpdateRefused as refused:
            answers.append((refused.reason, refused.cure))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.updates.serve)
        await trio.sleep(1)
        nursery.start_soon(ask)
        await trio.sleep(5)
        assert answers == []
        happens(gateway.program.runs[0])
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
    return answers


async def test_it_is_answered_when_the_restart_into_it_is_to_come(
    gateway: Gateway, autojump_clock: MockClock
) -> None:
    def restarts(_run: Run) -> None:
        gateway.progress(Phase.RESTARTING)
        gateway.restart.restart_pending = True

    assert await asked(gateway, restarts) == ["1.1.0"]


async def test_a_restart_that_others_asked_for_is_not_the_answer(
    gateway: Gateway, autojump_clock: MockClock
) -> None:
    def downloads(_run: Run) -> None:
        gateway.progress(Phase.DOWNLOADING)
        gateway.restart.restart_pending = True

    assert await asked(gateway, downloads) == []


async def test_where_nothing_is_newer_that_is_the_answer(gateway: Gateway, autojump_clock: MockClock) -> None:
    assert await asked(gateway, lambda run: run.end({"ok": True, "outcome": "current"})) == [None]


async def test_why_there_is_no_update_is_said_with_the_command_that_helps(
    gateway: Gateway, autojump_clock: MockClock
) -> None:
    refusal = UpdateRefused("the disk is full", "df -h")
    assert await asked(gateway, lambda run: run.end(refusal)) == [("the disk is full", "df -h")]


async def test_of_two_who_ask_the_second_is_told_so_and_after_the_end_may_again(
    gateway: Gateway, autojump_clock: MockClock
) -> None:
    async def ask() -> None:
        await gateway.updates.run("conn-1")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.updates.serve)
        await trio.sleep(1)
        nursery.start_soon(ask)
        await trio.sleep(1)
        with pytest.raises(UpdateRefused, match="under way"):
            await gateway.updates.run("conn-2")
        gateway.program.runs[0].end({})
        await trio.sleep(1)
        nursery.start_soon(ask)
        await trio.sleep(1)
        assert len(gateway.program.runs) == 2
        nursery.cancel_scope.cancel()


async def test_a_gateway_that_leaves_as_it_begins_one_may_be_asked_again_in_its_next_life(
    gateway: Gateway, autojump_clock: MockClock
) -> None:
    with pytest.raises(UpdateRefused, match="starts or leaves"):
        await gateway.updates.run("conn-1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.updates.serve)
        await trio.sleep(1)
        gateway.program.begins = nursery.cancel_scope.cancel
        with trio.CancelScope(shield=True), pytest.raises(UpdateRefused, match="starts or leaves"):
            await gateway.updates.run("conn-1")
    gateway.program.begins = lambda: None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.updates.serve)
        await trio.sleep(1)
        nursery.start_soon(gateway.updates.run, "conn-1")
        await trio.sleep(1)
        assert len(gateway.program.runs) == 2
        nursery.cancel_scope.cancel()


async def test_who_leaves_leaves_an_update_that_goes_on(gateway: Gateway, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.updates.serve)
        await trio.sleep(1)
        with trio.move_on_after(1):
            await gateway.updates.run("conn-1")
        with pytest.raises(UpdateRefused, match="under way"):
            await gateway.updates.run("conn-2")
        nursery.cancel_scope.cancel()


# --- one that goes on


async def test_administrators_hear_how_it_goes_on_whoever_began_it(
    gateway: Gateway, autojump_clock: MockClock
) -> None:
    installation = gateway.installed()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.updates.serve)
        await trio.sleep(5)
        with update_lock(installation):
            for phase in (Phase.DOWNLOADING, Phase.TRIAL, Phase.CONFIRMED):
                gateway.progress(phase)
                await trio.sleep(2)
                assert gateway.updates.status().get("progress")
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    phases = ["downloading", "trial", "confirmed"]
    told = [{"phase": phase, "from": "1.0.0", "to": "1.1.0"} for phase in phases]
    assert gateway.events("openclawd.update") == told
    assert {event.scope for event in gateway.told} == {"operator.admin"}
    assert "progress" not in gateway.updates.status()


# Holds the lock as an updater does, lets go of it at a word, and ends at another.
_UPDATER = """
import fcntl, os, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print(os.getpid(), file=lock, flush=True)
for line in sys.stdin:
    lock.close()
    print("let go", flush=True)
    break
sys.stdin.read()
"""


class Child:
    """An updater that is this process's child."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def lets_go(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print("let go", file=self._process.stdin, flush=True)
        assert self._process.stdout.readline() == "let go\n"

    def ends(self) -> None:
        """A zombie when this returns."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)

    @property
    def is_buried(self) -> bool:
        return not Path(f"/proc/{self._process.pid}").exists()


@pytest.fixture
def child(gateway: Gateway) -> Iterator[Child]:
    installation = gateway.installed()
    installation.update.mkdir()
    command = [sys.executable, "-c", _UPDATER, str(installation.lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        while updater_pid(installation) != process.pid:
            os.sched_yield()
        yield Child(process)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="for Linux")
async def test_an_updater_that_this_process_began_before_it_restarted_leaves_no_zombie(
    gateway: Gateway, child: Child, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.updates.serve)
        await trio.sleep(2)
        child.lets_go()
        await trio.sleep(2)
        child.ends()
        await trio.sleep(2)
        assert child.is_buried
        nursery.cancel_scope.cancel()


async def test_how_the_last_one_ended_is_told_to_whoever_asks(
    gateway: Gateway, autojump_clock: MockClock
) -> None:
    write_outcome(gateway.installed(), Outcome("1.0.0", "1.1.0", "rolled-back", 5, "guard", "it hung"))
    assert gateway.updates.status()["last"] == {
        "from": "1.0.0",
        "to": "1.1.0",
        "outcome": "rolled-back",
        "reason": "it hung",
        "atMs": 5,
        "by": "guard",
    }
