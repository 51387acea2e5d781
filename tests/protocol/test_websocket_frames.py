"""RFC 6455 frames from server to client, and the close table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import CloseReason, FrameProtocol, Opcode

from openclawd.protocol import closes
from openclawd.protocol.closes import CLOSE_REASON_MAX_BYTES, Close, policy
from openclawd.protocol.websocket_frames import close_frame, frame_payload, text_frame


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 70_000])
def test_a_text_frame_is_what_another_implementation_reads(length: int) -> None:
    receiver = FrameProtocol(client=True, extensions=[])
    receiver.receive_bytes(text_frame(b"a" * length))
    frames = list(receiver.received_frames())
    assert [frame.opcode for frame in frames] == [Opcode.TEXT] * len(frames)
    assert "".join(str(frame.payload) for frame in frames) == "a" * length
    assert frames[-1].message_finished


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 70_000])
def test_the_payload_of_a_text_frame_is_found_again(length: int) -> None:
    assert frame_payload(text_frame(b"a" * length)) == b"a" * length


def test_a_close_frame_carries_code_and_reason() -> None:
    receiver = FrameProtocol(client=True, extensions=[])
    receiver.receive_bytes(close_frame(closes.SERVICE_RESTART))
    (frame,) = receiver.received_frames()
    assert frame.payload == (CloseReason.SERVICE_RESTART, "service restart")


@given(st.text(st.characters(codec=None), max_size=300))
def test_a_close_reason_fits_into_a_control_frame_whatever_it_says(reason: str) -> None:
    close = policy(reason)
    assert len(close.reason.encode()) <= CLOSE_REASON_MAX_BYTES
    assert len(close_frame(close)) <= 2 + 125


def test_a_long_reason_is_cut_between_characters() -> None:
    assert Close(1008, "é" * 100).reason == "é" * 61
