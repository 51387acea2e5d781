"""What clients hear of an update, whoever drives it, from one generation of the gateway to the next."""

from typing import Any

import pytest

from openclawd.daemon.update_watch import UpdateWatch
from openclawd.slots.progress import Phase, Progress


def at(phase: Phase, done: int | None = None, problem: str | None = None) -> Progress:
    return Progress(phase, "1.0.0", "1.1.0", done, 100 if done is not None else None, problem, 7, 8)


def told(*looks: tuple[Progress | None, bool]) -> list[dict[str, Any]]:
    watch = UpdateWatch()
    found = (watch.look(progress, alive=alive) for progress, alive in looks)
    return [each for each in found if each is not None]


def test_each_step_is_told_once() -> None:
    versions = {"from": "1.0.0", "to": "1.1.0"}
    assert told(
        (at(Phase.DOWNLOADING, 5), True),
        (at(Phase.DOWNLOADING, 5), True),
        (at(Phase.DOWNLOADING, 100), True),
        (at(Phase.TRIAL), True),
        (at(Phase.CONFIRMED), True),
        (at(Phase.CONFIRMED), False),
        (at(Phase.CONFIRMED), False),
    ) == [
        {"phase": "downloading", **versions, "doneBytes": 5, "totalBytes": 100},
        {"phase": "downloading", **versions, "doneBytes": 100, "totalBytes": 100},
        {"phase": "trial", **versions},
        {"phase": "confirmed", **versions},
    ]


@pytest.mark.parametrize("phase", Phase)
def test_what_lies_there_of_an_update_long_ago_is_no_news(phase: Phase) -> None:
    assert told((at(phase), False), (at(phase), False)) == []


def test_an_end_that_came_between_two_looks_is_told() -> None:
    found = told((at(Phase.TRIAL), True), (at(Phase.ROLLED_BACK, problem="it hung"), False))
    assert found[-1] == {"phase": "rolled-back", "from": "1.0.0", "to": "1.1.0", "problem": "it hung"}


@pytest.mark.parametrize("last", [at(Phase.CHECKING), at(Phase.TRIAL), None], ids=["current", "died", "gone"])
def test_an_updater_that_is_gone_without_an_end_leaves_nothing_under_way(last: Progress | None) -> None:
    found = told((at(Phase.CHECKING), True), (last, False), (last, False))
    assert [each["phase"] for each in found] == ["checking", None]


def test_the_next_update_is_told_like_the_first() -> None:
    looks = ((at(Phase.CHECKING), True), (at(Phase.CHECKING), False))
    assert [each["phase"] for each in told(*looks, *looks)] == ["checking", None] * 2
