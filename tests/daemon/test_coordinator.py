"""Who decides that a gateway restarts or stops."""

from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from openclawd.daemon.coordinator import Coordinator
from openclawd.daemon.lifecycle import State
from openclawd.methods.services import RestartRefused, RestartRequest

# pytest-trio looks for it among the arguments of the test itself.
Clock = trio.testing.MockClock

WANTED = RestartRequest("a test", "restart")
LATER = RestartRequest("later", "restart", delay_ms=10_000)


class Examiner:
    """The preflight: says `refusal`, after `takes_s`."""

    def __init__(self) -> None:
        self.refusal: str | None = None
        self.takes_s = 1.0
        self.asked = 0

    async def __call__(self) -> str | None:
        self.asked += 1
        await trio.sleep(self.takes_s)
        return self.refusal


@pytest.fixture
def examiner() -> Examiner:
    return Examiner()


@pytest.fixture
def words() -> list[str]:
    return []


@pytest.fixture
async def coordinator(
    examiner: Examiner, words: list[str], nursery: trio.Nursery
) -> AsyncIterator[Coordinator]:
    coordinator = Coordinator(
        generation=3,
        preflight=examiner,
        changed=lambda _, said: words.append(said),
        now_ms=lambda: round(trio.current_time() * 1000),
    )
    nursery.start_soon(coordinator.serve)
    coordinator.started()
    yield coordinator
    nursery.cancel_scope.cancel()


async def test_a_restart_begins_once_the_new_program_has_proved_itself(
    coordinator: Coordinator, examiner: Examiner, autojump_clock: Clock
) -> None:
    ticket = await coordinator.request(WANTED)

    assert not ticket.coalesced
    assert examiner.asked == 1
    assert await coordinator.leaving() is State.DRAINING
    assert coordinator.reason == "a test"


async def test_who_joins_a_restart_is_remembered_beside_who_asked_for_it(
    coordinator: Coordinator, autojump_clock: Clock
) -> None:
    await coordinator.request(LATER)
    await coordinator.request(WANTED)
    await coordinator.leaving()
    draining = RestartRequest("me too", "restart", session_key="agent:main:main")
    await coordinator.request(draining)
    assert coordinator.requests_in_force == [LATER, WANTED, draining]


# Of what is ready at once trio runs either first.
@pytest.mark.parametrize("_again", range(8))
async def test_who_joins_during_the_check_is_remembered_too(
    coordinator: Coordinator, nursery: trio.Nursery, autojump_clock: Clock, _again: int
) -> None:
    noted = RestartRequest("me too", "restart", session_key="agent:main:main", note="all is well")
    nursery.start_soon(coordinator.request, WANTED)
    await trio.testing.wait_all_tasks_blocked()
    await coordinator.request(noted)
    await coordinator.leaving()
    assert coordinator.requests_in_force == [WANTED, noted]


async def test_a_program_that_cannot_start_cancels_the_restart_and_says_why(
    coordinator: Coordinator, examiner: Examiner, words: list[str], autojump_clock: Clock
) -> None:
    examiner.refusal = "no module named x"

    with pytest.raises(RestartRefused, match="no module named x"):
        await coordinator.request(WANTED)

    await trio.sleep(100)
    assert coordinator.state is State.READY
    assert words[-1] == "ready; restart cancelled: no module named x"


async def test_after_a_cancelled_restart_another_one_is_examined_anew(
    coordinator: Coordinator, examiner: Examiner, autojump_clock: Clock
) -> None:
    examiner.refusal = "broken"
    with pytest.raises(RestartRefused):
        await coordinator.request(WANTED)
    examiner.refusal = None

    await coordinator.request(WANTED)

    assert await coordinator.leaving() is State.DRAINING


async def test_a_check_that_fails_inside_cancels_the_restart(
    autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    async def faulty() -> str | None:
        raise RuntimeError("oops")

    coordinator = Coordinator(generation=1, preflight=faulty, changed=lambda *_: None)
    nursery.start_soon(coordinator.serve)
    coordinator.started()

    with pytest.raises(RestartRefused, match="RuntimeError: oops"):
        await coordinator.request(WANTED)
    nursery.cancel_scope.cancel()


async def test_requests_share_one_restart(
    coordinator: Coordinator, examiner: Examiner, autojump_clock: Clock
) -> None:
    tickets = []

    async def ask() -> None:
        tickets.append(await coordinator.request(WANTED))

    async with trio.open_nursery() as askers:
        for _ in range(3):
            askers.start_soon(ask)
    await coordinator.leaving()
    late = await coordinator.request(WANTED)

    assert [ticket.coalesced for ticket in (*tickets, late)] == [False, True, True, True]
    assert examiner.asked == 1


async def test_who_joined_a_restart_that_is_refused_is_told_so_too(
    coordinator: Coordinator, examiner: Examiner, autojump_clock: Clock
) -> None:
    examiner.refusal = "broken"
    told = []

    async def ask() -> None:
        try:
            await coordinator.request(WANTED)
        except RestartRefused as refused:
            told.append(str(refused))

    async with trio.open_nursery() as askers:
        askers.start_soon(ask)
        askers.start_soon(ask)

    assert told == ["broken", "broken"]


async def test_a_restart_waits_as_long_as_was_asked(coordinator: Coordinator, autojump_clock: Clock) -> None:
    await coordinator.request(LATER)
    began_s = trio.current_time()

    await coordinator.leaving()

    # The check took one second of the ten.
    assert trio.current_time() - began_s == pytest.approx(9)


async def test_of_two_delays_the_shorter_counts(coordinator: Coordinator, autojump_clock: Clock) -> None:
    await coordinator.request(LATER)
    began_s = trio.current_time()

    await coordinator.request(WANTED)
    await coordinator.leaving()

    assert trio.current_time() - began_s == pytest.approx(0)


async def test_who_asked_and_left_does_not_take_the_restart_along(
    coordinator: Coordinator, examiner: Examiner, autojump_clock: Clock
) -> None:
    with trio.move_on_after(0.5):
        await coordinator.request(WANTED)

    assert await coordinator.leaving() is State.DRAINING


async def test_a_stop_goes_before_a_restart_that_has_not_begun(
    coordinator: Coordinator, autojump_clock: Clock
) -> None:
    await coordinator.request(LATER)

    coordinator.stop("SIGTERM")

    assert await coordinator.leaving() is State.STOPPING
    await trio.sleep(60)
    assert coordinator.state is State.STOPPING


async def test_a_stop_ends_the_wait_for_runs(
    coordinator: Coordinator, nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    await coordinator.request(WANTED)
    await coordinator.leaving()

    async def stop_soon() -> None:
        await trio.sleep(5)
        coordinator.stop("SIGTERM")

    nursery.start_soon(stop_soon)
    state = await coordinator.drain(trio.sleep_forever)

    assert state is State.STOPPING


async def test_what_drained_is_handed_over_and_a_stop_comes_in_time_even_then(
    coordinator: Coordinator, autojump_clock: Clock
) -> None:
    await coordinator.request(WANTED)
    await coordinator.leaving()
    drained = await coordinator.drain(_at_once)

    coordinator.stop("SIGTERM")

    assert (drained, coordinator.state) == (State.HANDING_OVER, State.STOPPING)


async def test_a_gateway_that_stops_refuses_to_restart(
    coordinator: Coordinator, autojump_clock: Clock
) -> None:
    coordinator.stop("SIGTERM")

    with pytest.raises(RestartRefused, match="the gateway is stopping"):
        await coordinator.request(WANTED)


async def test_a_restart_asked_for_while_starting_begins_after_the_start(
    examiner: Examiner, nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    coordinator = Coordinator(generation=1, preflight=examiner, changed=lambda *_: None)
    nursery.start_soon(coordinator.serve)

    async def ask() -> None:
        await coordinator.request(WANTED)

    nursery.start_soon(ask)
    await trio.sleep(5)
    asked_before = examiner.asked
    coordinator.started()

    assert await coordinator.leaving() is State.DRAINING
    assert asked_before == 0
    nursery.cancel_scope.cancel()


async def test_a_gateway_told_to_stop_while_it_starts_never_becomes_ready(
    examiner: Examiner, autojump_clock: Clock
) -> None:
    coordinator = Coordinator(generation=1, preflight=examiner, changed=lambda *_: None)

    coordinator.stop("SIGTERM")
    coordinator.started()

    assert await coordinator.leaving() is State.STOPPING


async def test_every_state_is_told_in_words(
    coordinator: Coordinator, words: list[str], autojump_clock: Clock
) -> None:
    await coordinator.request(WANTED)
    await coordinator.leaving()
    await coordinator.drain(_at_once)

    assert words == ["ready", "draining, to restart: a test", "handing over to generation 4"]


async def test_a_program_that_cannot_start_any_more_when_its_time_comes_calls_the_restart_off(
    words: list[str], nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    refusals: list[str | None] = ["half an update", None]

    async def renew() -> str | None:
        return refusals.pop(0)

    coordinator = Coordinator(
        generation=3, preflight=Examiner(), renew=renew, changed=lambda _, said: words.append(said)
    )
    nursery.start_soon(coordinator.serve)
    coordinator.started()

    await coordinator.request(WANTED)
    assert await coordinator.leaving() is State.DRAINING
    assert await coordinator.drain(_at_once) is State.READY

    assert words[-1] == "ready; restart cancelled: half an update"
    assert (coordinator.restart_pending, coordinator.requests_in_force) == (False, [])
    assert coordinator.lifecycle() == "ready"
    # The next one is another matter.
    await coordinator.request(WANTED)
    assert await coordinator.leaving() is State.DRAINING
    assert await coordinator.drain(_at_once) is State.HANDING_OVER
    nursery.cancel_scope.cancel()


async def test_a_stop_does_not_wait_for_the_last_check_either(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    coordinator = Coordinator(
        generation=3, preflight=Examiner(), renew=trio.sleep_forever, changed=lambda _state, _said: None
    )
    nursery.start_soon(coordinator.serve)
    coordinator.started()
    await coordinator.request(WANTED)
    await coordinator.leaving()
    async with trio.open_nursery() as stopping_nursery:

        async def stop() -> None:
            await trio.sleep(1)
            coordinator.stop("SIGTERM")

        stopping_nursery.start_soon(stop)
        assert await coordinator.drain(_at_once) is State.STOPPING
    nursery.cancel_scope.cancel()


async def _at_once() -> None:
    """Nothing is under way."""


async def test_a_stop_waits_for_no_check(
    coordinator: Coordinator, examiner: Examiner, words: list[str], autojump_clock: Clock
) -> None:
    examiner.takes_s = 20.0
    began_s = trio.current_time()
    async with trio.open_nursery() as asking_nursery:

        async def ask() -> None:
            with pytest.raises(RestartRefused, match="the gateway is stopping"):
                await coordinator.request(WANTED)

        asking_nursery.start_soon(ask)
        await trio.sleep(1)
        coordinator.stop("SIGTERM")
        # As the nursery of the signals is, once clients have gone.
        asking_nursery.cancel_scope.cancel()
    assert trio.current_time() - began_s < 2
    assert words[-1] == "stopping: SIGTERM"


async def refused(coordinator: Coordinator, *, again: bool = False) -> None:
    with pytest.raises(RestartRefused):
        await coordinator.request(RestartRequest("a test", "config-reload", again=again))


async def test_a_refusal_is_known_with_the_time_since_when_it_stands(
    coordinator: Coordinator, examiner: Examiner, autojump_clock: Clock
) -> None:
    examiner.refusal = "the port is taken"
    begin_ms = round(trio.current_time() * 1000)
    await refused(coordinator)
    await trio.sleep(60)
    await refused(coordinator, again=True)
    assert coordinator.problem == "the port is taken"
    assert coordinator.problem_at_ms == begin_ms + 1000

    examiner.refusal = "the disk is full"
    await refused(coordinator, again=True)
    assert coordinator.problem_at_ms == begin_ms + 63_000


async def test_a_refusal_is_forgotten_when_nobody_wants_the_restart(
    coordinator: Coordinator, examiner: Examiner, autojump_clock: Clock
) -> None:
    examiner.refusal = "the port is taken"
    await refused(coordinator)
    coordinator.withdraw()
    assert (coordinator.problem, coordinator.problem_at_ms) == (None, None)


async def test_what_is_tried_again_is_told_when_something_else_comes_of_it(
    coordinator: Coordinator,
    examiner: Examiner,
    autojump_clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "openclawd.lifecycle")
    examiner.refusal = "the port is taken"
    await refused(coordinator)
    told = len(caplog.messages)
    await refused(coordinator, again=True)
    assert len(caplog.messages) == told
    examiner.refusal = "the disk is full"
    await refused(coordinator, again=True)
    assert caplog.messages[told:] == ["restart cancelled"]
