"""Places for strangers: who gets one, and who makes room."""

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from openclawd.net.slots import HOUSEHOLD, Full, Slots, Stage

PLACES = 4 * HOUSEHOLD
CROWD = HOUSEHOLD + 1


def filled(*sources: tuple[str | None, int], stage: Stage = Stage.OPEN) -> Slots[str]:
    """A full table: this many of each source, named `source 0` and so on, in this order."""
    slots = Slots[str](sum(count for _, count in sources))
    for source, count in sources:
        for number in range(count):
            assert slots.take(f"{source} {number}", source) is None
            slots.move(f"{source} {number}", stage)
    return slots


def alone(count: int) -> list[tuple[str, int]]:
    """That many sources with one connection each: a 0, b 0, ..."""
    return [(f"s{number}", 1) for number in range(count)]


def all_move(holders: Iterable[str], slots: Slots[str], stage: Stage) -> None:
    for holder in holders:
        slots.move(holder, stage)


def test_a_newcomer_takes_a_free_place_from_nobody() -> None:
    slots = Slots[str](2)

    assert (slots.take("a", "x"), slots.take("b", "x"), len(slots)) == (None, None, 2)


def test_the_oldest_makes_room_when_nobody_holds_more_than_a_household() -> None:
    slots = filled(*alone(PLACES))

    assert slots.take("newcomer", "new") == "s0 0"
    assert len(slots) == PLACES


def test_who_takes_a_step_forward_is_young_again() -> None:
    slots = filled(*alone(PLACES))
    slots.move("s0 0", Stage.UPGRADED)

    assert slots.take("newcomer", "new") == "s1 0"


@pytest.mark.parametrize("stage", [Stage.KEPT, Stage.LEAVING])
def test_who_has_what_he_wanted_goes_before_everybody_else(stage: Stage) -> None:
    slots = filled(("crowd", 3 * HOUSEHOLD), *alone(HOUSEHOLD))
    slots.move("s5 0", stage)

    assert slots.take("newcomer", "new") == "s5 0"


def test_a_crowd_makes_room_before_others_however_old_they_are() -> None:
    slots = filled(*alone(3 * HOUSEHOLD), ("crowd", CROWD))

    assert slots.take("newcomer", "new") == "crowd 0"


def test_of_two_crowds_the_larger_makes_room() -> None:
    slots = filled(("small", CROWD), ("large", CROWD + 1))

    assert slots.take("newcomer", "new") == "large 0"


def test_a_crowd_s_own_newcomer_takes_the_place_of_its_oldest() -> None:
    slots = filled(("small", CROWD), ("large", CROWD + 1), *alone(HOUSEHOLD))

    assert slots.take("newcomer", "large") == "large 0"


def test_a_crowd_takes_nothing_from_smaller_ones() -> None:
    slots = filled(("crowd", CROWD), ("small", HOUSEHOLD), *alone(HOUSEHOLD))
    all_move([f"crowd {number}" for number in range(CROWD)], slots, Stage.DECIDING)

    assert slots.take("newcomer", "crowd") is Full.REFUSE


@pytest.mark.parametrize("stage", [Stage.WAITING, Stage.DECIDING])
def test_who_waits_for_us_stays(stage: Stage) -> None:
    slots = filled(*alone(PLACES))
    slots.move("s0 0", stage)

    assert slots.take("newcomer", "new") == "s1 0"


def test_while_most_wait_for_us_newcomers_wait_too() -> None:
    slots = filled(*alone(PLACES), stage=Stage.DECIDING)
    all_move([f"s{number} 0" for number in range(PLACES // 4)], slots, Stage.UPGRADED)

    assert slots.take("newcomer", "new") is Full.WAIT
    assert len(slots) == PLACES
    slots.move("s7 0", Stage.LEAVING)
    assert slots.take("newcomer", "new") == "s7 0"


def test_nobody_waits_for_a_source_that_holds_more_than_half() -> None:
    slots = filled(("hog", PLACES // 2 + 1), *alone(PLACES // 2 - 1), stage=Stage.DECIDING)

    assert slots.take("first", "new") == "hog 0"
    assert slots.take("second", "new") is Full.WAIT


def test_it_is_the_hog_s_decision_that_is_broken_off_and_not_somebody_s_handshake() -> None:
    slots = filled(("hog", PLACES // 2 + 1), *alone(PLACES // 2 - 1))
    all_move([f"hog {number}" for number in range(PLACES // 2 + 1)], slots, Stage.DECIDING)

    assert slots.take("newcomer", "new") == "hog 0"


def test_what_comes_through_a_proxy_is_no_crowd() -> None:
    slots = filled(("one", 1), (None, PLACES))

    assert slots.take("newcomer", None) == "one 0"
    assert slots.take("another", "new") == "None 0"
    assert slots.largest() is None


def test_a_place_that_was_given_back_is_free_and_its_holder_makes_no_room_any_more() -> None:
    slots = filled(*alone(PLACES))

    assert (slots.give_back("s0 0"), slots.give_back("s0 0")) == (True, False)
    assert slots.take("first", "new") is None
    assert slots.take("second", "new") == "s1 0"


def test_who_lost_his_place_cannot_move_any_more() -> None:
    slots = filled(*alone(PLACES))
    slots.take("newcomer", "new")
    slots.move("s0 0", Stage.DECIDING)

    assert len(slots) == PLACES
    assert not slots.give_back("s0 0")


def test_the_largest_crowd_has_a_name() -> None:
    slots = filled(("small", CROWD), ("large", CROWD + 1))

    assert slots.largest() == ("large", CROWD + 1)
    assert filled(*alone(3)).largest() is None


SOURCES = st.sampled_from(["a", "b", "c", "d", None])


class Life(RuleBasedStateMachine):
    """Any order of comings and goings, against a plain list of who is there."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = Slots[int](PLACES)
        self.there: dict[int, tuple[str | None, Stage]] = {}
        self.came = 0

    @rule(source=SOURCES, count=st.integers(1, PLACES))
    def come(self, source: str | None, count: int) -> None:
        for _ in range(count):
            self.one_comes(source)

    def one_comes(self, source: str | None) -> None:
        self.came += 1
        held = Counter(source for source, _ in self.there.values() if source is not None)
        own = held[source] if source is not None else 0
        outcome = self.slots.take(self.came, source)
        if len(self.there) < PLACES:
            assert outcome is None
        elif outcome is Full.WAIT:
            stages = Counter(stage for _, stage in self.there.values())
            assert not stages[Stage.KEPT] + stages[Stage.LEAVING]
            assert (stages[Stage.WAITING] + stages[Stage.DECIDING]) * 4 >= PLACES * 3
            assert own <= HOUSEHOLD
            return
        elif outcome is Full.REFUSE:
            assert own > HOUSEHOLD
            return
        else:
            assert isinstance(outcome, int)
            self.was_the_one_to_go(self.there.pop(outcome), source, own, held)
        self.there[self.came] = (source, Stage.OPEN)

    def was_the_one_to_go(
        self, victim: tuple[str | None, Stage], newcomer: str | None, own: int, held: Counter[str]
    ) -> None:
        lost, stage = victim
        size = held[lost] if lost is not None else 1
        done = {stage for _, stage in self.there.values()} & {Stage.KEPT, Stage.LEAVING}
        assert not done or stage in {Stage.KEPT, Stage.LEAVING}
        if stage in {Stage.WAITING, Stage.DECIDING}:
            assert lost != newcomer
            assert size * 2 > PLACES
        elif stage not in {Stage.KEPT, Stage.LEAVING} and own > HOUSEHOLD:
            assert size >= own

    @rule(number=st.integers(0, PLACES), stage=st.sampled_from(Stage))
    def somebody_moves(self, number: int, stage: Stage) -> None:
        for holder in list(self.there)[number : number + 8]:
            self.slots.move(holder, stage)
            self.there[holder] = (self.there[holder][0], stage)

    @rule()
    def everybody_is_decided(self) -> None:
        for holder in self.there:
            self.slots.move(holder, Stage.DECIDING)
            self.there[holder] = (self.there[holder][0], Stage.DECIDING)

    @precondition(lambda self: self.there)
    @rule(number=st.integers(0, PLACES), count=st.integers(1, PLACES))
    def some_leave(self, number: int, count: int) -> None:
        for holder in list(self.there)[number : number + count]:
            del self.there[holder]
            assert self.slots.give_back(holder)

    @invariant()
    def everybody_is_counted_once(self) -> None:
        assert len(self.slots) == len(self.there) <= PLACES

    @invariant()
    def the_largest_is_known(self) -> None:
        held = Counter(source for source, _ in self.there.values() if source is not None)
        most = max(held.values(), default=0)
        largest = self.slots.largest()
        assert largest is None if most <= HOUSEHOLD else largest is not None and largest[1] == most

    def teardown(self) -> None:
        for holder in self.there:
            assert self.slots.give_back(holder)
        assert (len(self.slots), self.slots.largest()) == (0, None)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
