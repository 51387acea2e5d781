"""HTTP on memory streams: no socket, and a clock that jumps."""

from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus

import pytest
import trio
from trio.abc import Stream
from trio.testing import MockClock, memory_stream_pair

from openclawd.net.http import Request, Response, Upgrade, serve_http, text
from openclawd.net.stream import UpgradedStream
from openclawd.net.websocket import accept_websocket


async def echo(request: Request) -> Response:
    return text(HTTPStatus.OK, f"{request.method} {request.path}")


async def no_upgrade(_stream: Stream, _request: Request, answer: bytes, trailing: bytes) -> None:
    raise AssertionError((answer, trailing))


async def exchange(
    sent: bytes,
    upgrade: Callable[[Stream, Request, bytes, bytes], Awaitable[None]] = no_upgrade,
    *,
    keep_open: bool = False,
) -> bytes:
    """Send bytes, end our direction, read everything that comes back."""
    ours, theirs = memory_stream_pair()
    received = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_http, theirs, echo, upgrade)
        await ours.send_all(sent)
        if not keep_open:
            await ours.send_eof()
        async for data in ours:
            received += data
    return received


async def test_a_request_is_answered(autojump_clock: MockClock) -> None:
    answer = await exchange(b"GET /a%20b HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nGET /a b")


async def test_requests_follow_each_other_on_one_connection(autojump_clock: MockClock) -> None:
    answer = await exchange(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.count(b"HTTP/1.1 200 OK") == 2


async def test_head_gets_the_headers_without_the_body(autojump_clock: MockClock) -> None:
    answer = await exchange(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert b"Content-Length: 6" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\nbad header line\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ],
)
async def test_garbage_is_answered_with_400_and_closed(autojump_clock: MockClock, garbage: bytes) -> None:
    answer = await exchange(garbage)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Connection: close" in answer


async def test_a_head_that_never_ends_is_answered_with_431(autojump_clock: MockClock) -> None:
    answer = await exchange(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000)

    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_a_slow_head_is_cut_off(autojump_clock: MockClock) -> None:
    started = trio.current_time()
    answer = await exchange(b"GET / HTTP/1.1\r\nHo", keep_open=True)

    assert (answer, trio.current_time() - started) == (b"", 10.0)


async def test_an_idle_connection_is_closed(autojump_clock: MockClock) -> None:
    started = trio.current_time()
    answer = await exchange(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", keep_open=True)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert trio.current_time() - started == 15.0


async def test_a_body_that_nobody_reads_is_not_waited_for(autojump_clock: MockClock) -> None:
    answer = await exchange(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nstart")

    assert b"Connection: close" in answer


async def test_garbage_behind_a_request_does_not_cost_it_its_answer(autojump_clock: MockClock) -> None:
    answer = await exchange(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n\x00\x01garbage\r\n\r\n" * 50)

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 400 Bad Request\r\n" in answer


async def test_every_request_but_the_first_waits_for_its_turn(autojump_clock: MockClock) -> None:
    seen: list[str] = []

    async def turn() -> None:
        seen.append("turn")

    async def respond(request: Request) -> Response:
        seen.append(request.path)
        return await echo(request)

    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(serve_http, theirs, respond, no_upgrade, turn=turn))
        await ours.send_all(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in (1, 2, 3)))
        await ours.send_eof()
        async for _ in ours:
            pass

    assert seen == ["/1", "turn", "/2", "turn", "/3"]


async def test_who_holds_its_place_learns_how_far_a_connection_has_come(autojump_clock: MockClock) -> None:
    async def stages(sent: bytes, *, upgrade: Upgrade = no_upgrade) -> list[str]:
        seen: list[str] = []
        ours, theirs = memory_stream_pair()
        async with trio.open_nursery() as nursery:
            reached = partial(
                serve_http, theirs, echo, upgrade, reached=lambda stage: seen.append(stage.value)
            )
            nursery.start_soon(reached)
            await ours.send_all(sent)
            await ours.send_eof()
            async for _ in ours:
                pass
        return seen

    async def upgrade(stream: Stream, _request: Request, _head: bytes, _trailing: bytes) -> None:
        await stream.aclose()

    get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert await stages(get) == ["open", "answering", "kept"]
    assert await stages(get + UPGRADE, upgrade=upgrade) == ["open", "answering", "kept", "open", "upgraded"]
    assert await stages(b"garbage\r\n\r\n") == ["open", "leaving"]
    assert await stages(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n") == [
        "open",
        "answering",
        "leaving",
    ]


UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)


async def test_an_upgrade_hands_over_its_answer_and_what_came_behind_the_head(
    autojump_clock: MockClock,
) -> None:
    handed: list[tuple[bytes, bytes]] = []

    async def upgrade(stream: Stream, _request: Request, answer: bytes, trailing: bytes) -> None:
        handed.append((answer, trailing))
        await stream.aclose()

    await exchange(UPGRADE + b"\x81\x80first frame", upgrade)

    [(answer, trailing)] = handed
    # To the key of RFC 6455 section 1.3.
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    assert b"permessage-deflate" not in answer
    assert trailing == b"\x81\x80first frame"


async def test_a_head_to_nowhere_is_refused_without_a_body(autojump_clock: MockClock) -> None:
    answer = await exchange(b"HEAD http://[ HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "odd",
    [
        UPGRADE.replace(b"Upgrade: websocket", b"Upgrade: h2c, WebSocket"),
        UPGRADE.replace(b"Upgrade: websocket", b"Upgrade: websocket\r\nUpgrade: h2c"),
        UPGRADE.replace(b"Connection:", b"Connection: Upgrade\r\nConnection: keep-alive\r\nX-Connection:"),
        UPGRADE.replace(b"Host: x", "Host: mümchen".encode()),
        UPGRADE.replace(b"Host: x", b"Host: " + b"x" * 64),
    ],
)
async def test_what_an_upgrade_may_say_besides_does_not_reach_the_library(
    autojump_clock: MockClock, odd: bytes
) -> None:
    """Found by fuzzing: it waited for ever on some of these, and failed on others."""

    async def upgrade(stream: Stream, _request: Request, answer: bytes, trailing: bytes) -> None:
        async with accept_websocket(UpgradedStream(stream, answer, trailing)):
            pass

    answer = await exchange(odd, upgrade)

    assert answer.startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("spoiled", "status"),
    [
        (UPGRADE.replace(b"Version: 13", b"Version: 8"), b"426"),
        (UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"short"), b"400"),
        (UPGRADE.replace(b"keep-alive, Upgrade", b"keep-alive"), b"400"),
        (UPGRADE.replace(b"GET", b"POST"), b"400"),
        # Found by fuzzing: the library waited for a Host, and the peer for an answer.
        (UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"), b"400"),
        (UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.9").replace(b"Host: x\r\n", b""), b"400"),
    ],
)
async def test_a_bad_upgrade_is_refused_in_http(
    autojump_clock: MockClock, spoiled: bytes, status: bytes
) -> None:
    answer = await exchange(spoiled)

    assert answer.startswith(b"HTTP/1.1 " + status)
