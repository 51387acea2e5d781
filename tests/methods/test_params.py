"""Classes for params, which are finished when somebody needs them."""

import attrs
import pytest

from openclawd.methods.method import Method
from openclawd.methods.params import finished, params
from openclawd.protocol.codec import structure


@pytest.fixture
def place() -> type:
    @params
    class Place:
        key: str
        agent_id: str | None = attrs.field(default=None, metadata={"max_length": 3})

    return Place


def test_nothing_is_made_of_them_before_they_are_needed(place: type) -> None:
    assert not attrs.has(place)


def test_a_method_gives_them_ready_for_use(place: type) -> None:
    method = Method("look", None, place, lambda _call, params: params)
    found = structure({"key": "main", "agentId": "me"}, method.params)
    assert attrs.asdict(found) == {"key": "main", "agent_id": "me"}


def test_they_can_be_made_at_once_and_again(place: type) -> None:
    assert [place("main").key, place(key="other").key] == ["main", "other"]
    assert place("main").agent_id is None


def test_they_do_not_change(place: type) -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        place("main").key = "other"


def test_they_inherit_from_those_that_are_not_needed_yet() -> None:
    @params
    class Building:
        name: str

    @params
    class Room(Building):
        floor: int = 0

    room = finished(Room)("main", floor=2)
    assert (room.name, room.floor) == ("main", 2)
    assert Building("shed").name == "shed"
