"""Places for connections during a flood."""

from openclawd.net.listener import Slots


async def test_the_oldest_stranger_makes_room_for_a_newcomer() -> None:
    slots = Slots(2)
    first, second = slots.take(), slots.take()
    third = slots.take()

    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.scope.cancel_called, second.scope.cancel_called, len(slots)) == (True, False, 2)


async def test_a_client_never_makes_room() -> None:
    slots = Slots(2)
    client, stranger = slots.take(), slots.take()
    assert client is not None
    assert stranger is not None
    slots.settle(client)
    slots.take()

    assert (client.scope.cancel_called, stranger.scope.cancel_called) == (False, True)


def test_when_every_place_is_a_client_s_a_newcomer_gets_none_until_one_leaves() -> None:
    slots = Slots(1)
    client = slots.take()
    assert client is not None
    slots.settle(client)
    refused = slots.take()
    slots.give_back(client)

    assert refused is None
    assert slots.take() is not None


async def test_a_place_that_was_taken_away_is_not_settled_any_more() -> None:
    slots = Slots(1)
    evicted = slots.take()
    slots.take()
    assert evicted is not None
    slots.settle(evicted)

    assert len(slots) == 1
