"""Writing for all clients in the loop's next turn."""

import logging

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from openclawd.gateway.flusher import Flusher


async def test_what_is_due_is_called_in_the_next_turn_once_and_in_order() -> None:
    flusher = Flusher()
    called: list[int] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(flusher.serve)
        await wait_all_tasks_blocked()
        flusher.soon(lambda: called.append(1))
        flusher.soon(lambda: called.append(2))
        before = list(called)
        await wait_all_tasks_blocked()
        flusher.soon(lambda: called.append(3))
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert (before, called) == ([], [1, 2, 3])


async def test_what_is_due_before_anybody_serves_is_not_forgotten() -> None:
    flusher = Flusher()
    called: list[int] = []
    flusher.soon(lambda: called.append(1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(flusher.serve)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert called == [1]


async def test_a_client_that_cannot_be_written_to_costs_the_others_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    flusher = Flusher()
    called: list[int] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(flusher.serve)
        with caplog.at_level(logging.ERROR):
            flusher.soon(broken)
            flusher.soon(lambda: called.append(1))
            await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert (called, [record.message for record in caplog.records]) == ([1], ["client not written to"])
