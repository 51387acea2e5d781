"""RFC 6455 by hand, where no fuzzing client can be had: what is echoed, what is answered, what is closed how.

Section numbers are the RFC's. The clock jumps, so what waits for a peer ends at once.
"""

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from tests.autobahn.echo_server import serve
from tests.support.raw_websocket import CLOSE, FIN, TEXT, UPGRADE, client_frame, close_of

CONTINUATION = 0x0
BINARY = 0x2
PING = 0x9
PONG = 0xA
RSV1, RSV2, RSV3 = 0x40, 0x20, 0x10


def text(payload: bytes) -> bytes:
    return client_frame(payload)


def close(code: int, reason: bytes = b"") -> bytes:
    return client_frame(code.to_bytes(2, "big") + reason, first=FIN | CLOSE)


def answer(payload: bytes, first: int = FIN | TEXT) -> bytes:
    """The gateway's frame."""
    return client_frame(payload, first=first, masked=False)


GOODBYE = close(1000)
BYE = answer((1000).to_bytes(2, "big"), FIN | CLOSE)


async def exchange(*sent: bytes) -> bytes:
    """Send one after the other, as soon as nothing more comes; everything behind the 101, until the end."""
    ours, theirs = memory_stream_pair()
    received = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, theirs)

        async def send() -> None:
            try:
                await ours.send_all(UPGRADE)
                for data in sent:
                    await ours.send_all(data)
                    await trio.testing.wait_all_tasks_blocked()
            except trio.BrokenResourceError:
                pass  # closed in the middle, which is for the test to judge

        nursery.start_soon(send)
        with trio.fail_after(60):
            async for data in ours:
                received += data
        nursery.cancel_scope.cancel()
    head, _, frames = bytes(received).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    return frames


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65_535, 65_536, 1_000_000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_messages_of_every_kind_of_length_are_echoed(
    autojump_clock: MockClock, size: int, opcode: int
) -> None:
    """5.2: seven bits, sixteen, sixty-four."""
    assert await exchange(client_frame(b"*" * size, first=FIN | opcode), GOODBYE) == (
        answer(b"*" * size, FIN | opcode) + BYE
    )


@pytest.mark.parametrize("piece", [1, 2, 7])
async def test_frames_may_come_in_any_pieces(autojump_clock: MockClock, piece: int) -> None:
    sent = text("Grüße 🦞".encode()) + client_frame(b"beat", first=FIN | PING) + GOODBYE
    assert await exchange(*(sent[at : at + piece] for at in range(0, len(sent), piece))) == (
        answer("Grüße 🦞".encode()) + answer(b"beat", FIN | PONG) + BYE
    )


@pytest.mark.parametrize("payload", [b"", b"Hello", bytes(range(125)), b"*" * 125])
async def test_a_ping_has_a_pong_with_the_same_payload(autojump_clock: MockClock, payload: bytes) -> None:
    """5.5.2 and 5.5.3."""
    assert (
        await exchange(client_frame(payload, first=FIN | PING), GOODBYE) == answer(payload, FIN | PONG) + BYE
    )


async def test_a_pong_that_nobody_asked_for_is_ignored(autojump_clock: MockClock) -> None:
    """5.5.3."""
    assert await exchange(client_frame(b"x", first=FIN | PONG) + text(b"on"), GOODBYE) == answer(b"on") + BYE


async def test_fragments_are_put_together_and_control_frames_between_them_answered(
    autojump_clock: MockClock,
) -> None:
    """5.4."""
    sent = (
        client_frame(b"one ", first=TEXT)
        + client_frame(b"beat", first=FIN | PING)
        + client_frame(b"", first=CONTINUATION)
        + client_frame(b"two", first=FIN | CONTINUATION)
    )
    assert await exchange(sent, GOODBYE) == answer(b"beat", FIN | PONG) + answer(b"one two") + BYE


async def test_a_character_may_be_cut_in_two_by_a_fragment(autojump_clock: MockClock) -> None:
    """5.6: the whole message is UTF-8, not each of its fragments."""
    lobster = "🦞".encode()
    sent = client_frame(lobster[:2], first=TEXT) + client_frame(lobster[2:], first=FIN | CONTINUATION)
    assert await exchange(sent, GOODBYE) == answer(lobster) + BYE


@pytest.mark.parametrize(
    "breach",
    [
        pytest.param(client_frame(b"x" * 126, first=FIN | PING), id="a ping above 125 bytes (5.5)"),
        pytest.param(client_frame(b"x" * 126, first=FIN | CLOSE), id="a close above 125 bytes (5.5)"),
        pytest.param(client_frame(b"x", first=PING), id="a ping in fragments (5.5)"),
        *(
            pytest.param(client_frame(b"x", first=FIN | bits | TEXT), id=f"reserved bits {bits:#x} (5.2)")
            for bits in (RSV1, RSV2, RSV3, RSV1 | RSV2 | RSV3)
        ),
        *(
            pytest.param(client_frame(b"x", first=FIN | opcode), id=f"reserved opcode {opcode} (5.2)")
            for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
        ),
        pytest.param(client_frame(b"x", masked=False), id="without a mask (5.1)"),
        pytest.param(client_frame(b"x", first=FIN | CONTINUATION), id="nothing to continue (5.4)"),
        pytest.param(client_frame(b"x", first=CONTINUATION), id="nothing to continue, unfinished (5.4)"),
        pytest.param(client_frame(b"x", first=TEXT) + text(b"y"), id="a message inside another (5.4)"),
        pytest.param(client_frame(b"x", first=FIN | CLOSE), id="a close of one byte (5.5.1)"),
        *(
            pytest.param(close(code), id=f"close code {code} (7.4)")
            for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)
        ),
        pytest.param(
            bytes((FIN | TEXT, 0xFF)) + (1 << 63).to_bytes(8, "big") + bytes(4), id="a length of 2^63 (5.2)"
        ),
    ],
)
async def test_a_breach_of_the_protocol_is_closed_with_1002(autojump_clock: MockClock, breach: bytes) -> None:
    frames = await exchange(text(b"before"), breach + text(b"after"))

    assert frames.startswith(answer(b"before"))
    assert answer(b"after") not in frames
    assert close_of(frames) == 1002


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(text(b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80edited"), id="a surrogate"),
        pytest.param(text(b"\xf4\x90\x80\x80"), id="beyond Unicode"),
        pytest.param(text(b"\xc0\xaf"), id="longer than it needs to be"),
        pytest.param(text(b"\xce"), id="half a character at the end"),
        pytest.param(
            client_frame(b"\xce\xba\xed", first=TEXT) + client_frame(b"\xa0\x80", first=CONTINUATION),
            id="in the middle of a message",
        ),
        pytest.param(close(1000, b"\xce\xba\xed\xa0\x80"), id="in the reason of a close"),
    ],
)
async def test_what_is_not_utf_8_is_closed_with_1007(autojump_clock: MockClock, broken: bytes) -> None:
    """8.1, and before the message is whole."""
    assert close_of(await exchange(broken)) == 1007


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
)
async def test_a_close_is_answered_with_its_code(autojump_clock: MockClock, code: int) -> None:
    """5.5.1 and 7.4."""
    assert close_of(await exchange(close(code, b"so long") + text(b"after"))) == code


async def test_a_close_without_a_code_is_answered_with_a_close(autojump_clock: MockClock) -> None:
    frames = await exchange(client_frame(b"", first=FIN | CLOSE))

    assert frames[0] == FIN | CLOSE


async def test_nothing_is_said_behind_a_close(autojump_clock: MockClock) -> None:
    """5.5.1."""
    assert await exchange(GOODBYE + client_frame(b"x", first=FIN | PING) + text(b"after")) == BYE
