"""Whose turn it is."""

from hypothesis import given
from hypothesis import strategies as st

from openclawd.net.turns import Turns


def order(*waiting: tuple[str, str | None]) -> list[str]:
    turns = Turns[str]()
    for holder, source in waiting:
        turns.wait(holder, source)
    return drained(turns)


def drained(turns: Turns[str]) -> list[str]:
    given: list[str] = []
    while turns:
        given.append(turns.next())
    return given


def test_one_source_is_served_in_the_order_of_its_coming() -> None:
    assert order(("1", "a"), ("2", "a"), ("3", "a")) == ["1", "2", "3"]


def test_a_newcomer_waits_for_one_of_every_other_source_only() -> None:
    crowd = [(f"a{number}", "a") for number in range(1000)]
    assert order(*crowd, ("new", "b")).index("new") == 1


def test_each_that_comes_through_a_proxy_stands_for_itself() -> None:
    assert order(("a1", "a"), ("a2", "a"), ("p1", None), ("p2", None)) == ["a1", "p1", "p2", "a2"]


def test_who_gives_up_is_passed_over_and_may_give_up_twice() -> None:
    turns = Turns[str]()
    for holder in ("1", "2"):
        turns.wait(holder, "a")
    turns.give_up("1", "a")
    turns.give_up("1", "a")
    assert drained(turns) == ["2"]

    turns.wait("3", "a")
    turns.give_up("3", "a")
    assert not turns


@given(st.lists(st.sampled_from(["a", "b", "c", None])))
def test_everybody_gets_one_turn_and_nobody_of_a_source_overtakes(sources: list[str | None]) -> None:
    waiting = [(str(number), source) for number, source in enumerate(sources)]
    given_turns = order(*waiting)

    assert sorted(given_turns) == sorted(holder for holder, _ in waiting)
    for source in ("a", "b", "c"):
        mine = [holder for holder, of in waiting if of == source]
        assert [holder for holder in given_turns if holder in mine] == mine
