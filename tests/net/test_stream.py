"""The stream under a WebSocket: writing without waiting, and the one order of everything written."""

import os

import pytest
import trio
from trio.testing import memory_stream_pair

from openclawd.net.stream import UpgradedStream
from tests.support.memory_socket import socket_pair


async def received(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    data = b""
    with trio.fail_after(10):
        while len(data) < size:
            data += await stream.receive_some(65536)
    return data


async def test_what_the_network_takes_at_once_is_out_without_waiting() -> None:
    ours, theirs = socket_pair()
    async with ours, theirs:
        assert UpgradedStream(ours, b"", b"").write_now(b"hello")

        assert await received(theirs, 5) == b"hello"


async def test_what_it_does_not_take_is_kept_and_goes_out_before_what_is_sent_next() -> None:
    ours, theirs = socket_pair()
    async with ours, theirs, trio.open_nursery() as nursery:
        stream = UpgradedStream(ours, b"", b"")
        much = b"x" * 4_000_000

        assert not stream.write_now(much)
        assert not stream.write_now(b"then ")
        nursery.start_soon(stream.send_all, b"the end")

        assert await received(theirs, len(much) + 12) == much + b"then the end"


async def test_what_another_writer_is_in_the_middle_of_is_not_cut_in_two() -> None:
    ours, theirs = socket_pair()
    async with ours, theirs, trio.open_nursery() as nursery:
        stream = UpgradedStream(ours, b"", b"")
        much = b"x" * 4_000_000
        nursery.start_soon(stream.send_all, much)
        await trio.testing.wait_all_tasks_blocked()

        assert not stream.write_now(b"an event ")
        nursery.start_soon(stream.send_all, b"")

        assert await received(theirs, len(much) + 9) == much + b"an event "


async def test_a_stream_that_is_no_socket_takes_nothing_at_once() -> None:
    ours, theirs = memory_stream_pair()
    stream = UpgradedStream(ours, b"", b"")

    assert not stream.write_now(b"hello")
    await stream.send_all(b"")

    assert await received(theirs, 5) == b"hello"


async def test_a_peer_that_is_gone_breaks_the_stream() -> None:
    ours, theirs = socket_pair()
    await theirs.aclose()
    async with ours:
        stream = UpgradedStream(ours, b"", b"")

        with pytest.raises(trio.BrokenResourceError):
            stream.write_now(b"hello")
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"more")


async def test_a_last_word_goes_out_without_waiting_and_nothing_behind_it() -> None:
    ours, theirs = socket_pair()
    async with ours, theirs:
        stream = UpgradedStream(ours, b"", b"")

        stream.write_last(b"goodbye")

        assert await received(theirs, 7) == b"goodbye"
        with pytest.raises(trio.BrokenResourceError):
            stream.write_now(b"more")


async def test_a_last_word_is_not_said_in_the_middle_of_another() -> None:
    ours, theirs = socket_pair()
    async with ours, theirs:
        stream = UpgradedStream(ours, b"", b"")
        much = b"x" * 4_000_000
        stream.write_now(much)

        stream.write_last(b"goodbye")
        await ours.aclose()

        came = b""
        async for data in theirs:
            came += data
        assert set(came) == {ord("x")}


async def test_after_its_goodbye_nothing_more_comes_while_the_descriptor_is_still_held() -> None:
    ours, theirs = socket_pair()
    async with ours, theirs:
        stream = UpgradedStream(ours, b"", b"")
        stream.write_close(b"goodbye")

        descriptor = stream.part()

        assert descriptor is not None
        try:
            assert await received(theirs, 7) == b"goodbye"
            with trio.fail_after(10):
                assert await theirs.receive_some() == b""
        finally:
            os.close(descriptor)


async def test_who_receives_hears_nothing_more_once_the_connection_goes_along_elsewhere() -> None:
    ours, theirs = socket_pair()
    heard: list[bytes] = []
    async with ours, theirs, trio.open_nursery() as nursery:
        stream = UpgradedStream(ours, b"", b"")

        async def receive() -> None:
            heard.append(await stream.receive_some())

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        stream.write_close(b"goodbye")
        descriptor = stream.part()
        assert descriptor is not None
        try:
            await theirs.send_all(b"an answer")
            await trio.testing.wait_all_tasks_blocked(0.01)
        finally:
            os.close(descriptor)
        assert len(nursery.child_tasks) == 1
        nursery.cancel_scope.cancel()
    assert not heard
