"""Who is slow or silent is cut off and told why; who is patient gets his tick."""

import pytest

from tests.process.waiting import PATIENCE_S, Waits
from tests.support.raw_websocket import close_of

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]


def test_a_websocket_that_never_sends_connect_is_told_so_and_logged(waits: Waits) -> None:
    silence = waits.silent_websocket.result(PATIENCE_S)
    assert silence.close == (1008, "handshake timeout: no connect request")
    assert [frame["event"] for frame in silence.frames] == ["connect.challenge"]
    lines = waits.gateway.decisions("refused", reason="handshake-timeout")
    assert {(line["closeCode"], line["closeReason"]) for line in lines} == {silence.close}
    assert lines[0]["conn"]


def test_a_first_message_of_a_byte_a_second_ends_like_silence(waits: Waits) -> None:
    answer = waits.slow_frame.result(PATIENCE_S)
    assert close_of(answer) == 1008
    assert answer.endswith(b"handshake timeout: no connect request")


def test_a_request_head_that_takes_too_long_is_cut_off(waits: Waits) -> None:
    answer = waits.slow_head.result(PATIENCE_S)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


def test_a_socket_that_never_asks_for_anything_is_closed(waits: Waits) -> None:
    assert waits.silent_socket.result(PATIENCE_S) == b""


def test_an_idle_keep_alive_is_closed_after_its_answer(waits: Waits) -> None:
    answer = waits.idle_keep_alive.result(PATIENCE_S)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" not in answer.lower()
    assert answer.endswith(b'{"ok":true,"status":"live"}')


def test_every_client_gets_the_tick_whatever_its_scopes(waits: Waits) -> None:
    ticks = waits.ticks.result(PATIENCE_S)
    assert len(ticks) == 3
    for tick in ticks:
        assert set(tick) == {"type", "event", "payload", "seq"}
        assert list(tick["payload"]) == ["ts"]
    assert len({tick["payload"]["ts"] for tick in ticks}) == 1
