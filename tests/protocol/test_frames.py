"""Request, response and event frames."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.protocol.codec import NotJson, decode
from openclawd.protocol.errors import ErrorCode, ErrorShape, invalid_request, unavailable
from openclawd.protocol.frames import (
    MalformedFrame,
    Request,
    event_frame,
    of_epoch,
    parse_request,
    response_error,
    response_ok,
)


def test_a_request_is_read() -> None:
    frame = b'{"type":"req","id":"1","method":"health","params":{"probe":true}}'
    assert parse_request(frame) == Request("1", "health", {"probe": True})


def test_params_may_be_absent() -> None:
    assert parse_request('{"type":"req","id":"1","method":"health"}').params is None


def test_the_trace_of_a_v4_client_is_accepted() -> None:
    frame = '{"type":"req","id":"1","method":"health","traceparent":"00-x","expectedProfileId":"p"}'
    assert parse_request(frame).method == "health"


@pytest.mark.parametrize(
    ("frame", "frame_id", "problem"),
    [
        ("[]", "invalid", "at root: must be object"),
        ('{"type":"req","method":"x"}', "invalid", "must have required property 'id'"),
        ('{"type":"req","id":"","method":"x"}', "invalid", "at /id: must NOT have fewer than 1 characters"),
        ('{"type":"req","id":7,"method":"x"}', "invalid", "at /id: must be string"),
        ('{"type":"res","id":"1","method":"x"}', "1", "at /type: must be equal to constant"),
        ('{"type":"req","id":"1","method":""}', "1", "at /method: must NOT have fewer than 1 characters"),
        ('{"type":"req","id":"1","method":"x","more":1}', "1", "at root: unexpected property 'more'"),
    ],
)
def test_what_is_json_but_no_request_is_malformed(frame: str, frame_id: str, problem: str) -> None:
    with pytest.raises(MalformedFrame) as caught:
        parse_request(frame)
    assert (caught.value.id, caught.value.problem) == (frame_id, problem)


@given(st.binary(max_size=80) | st.text(max_size=80))
def test_any_message_is_a_request_or_named_as_none(data: bytes | str) -> None:
    with contextlib.suppress(NotJson, MalformedFrame):
        parse_request(data)


def test_a_result_may_be_null_and_stays_in_the_frame() -> None:
    assert response_ok("1", None) == b'{"type":"res","id":"1","ok":true,"payload":null}'


def test_an_error_leaves_out_what_it_does_not_have() -> None:
    shape = invalid_request("unknown method: x").shape
    assert response_error("1", shape) == (
        b'{"type":"res","id":"1","ok":false,"error":{"code":"INVALID_REQUEST","message":"unknown method: x"}}'
    )


def test_an_error_carries_details_and_advice() -> None:
    shape = unavailable("busy", retryable=True, retry_after_ms=500, reason="load").shape
    assert shape == ErrorShape(ErrorCode.UNAVAILABLE, "busy", {"reason": "load"}, True, 500)
    assert shape.to_wire() == {
        "code": "UNAVAILABLE",
        "message": "busy",
        "details": {"reason": "load"},
        "retryable": True,
        "retryAfterMs": 500,
    }


def test_an_event_has_seq_and_state_version_only_when_it_is_broadcast() -> None:
    assert event_frame("tick", {"ts": 1}) == b'{"type":"event","event":"tick","payload":{"ts":1}}'
    frame = decode(event_frame("presence", {}, seq=7, state_version={"presence": 1, "health": 2}))
    assert frame == {
        "type": "event",
        "event": "presence",
        "payload": {},
        "seq": 7,
        "stateVersion": {"presence": 1, "health": 2},
    }


@pytest.mark.parametrize("filler", [b"[]", b"{}", b"0"])
def test_a_frame_of_a_million_values_is_refused_unread(filler: bytes) -> None:
    params = b",".join([filler] * 1_000_000)
    with pytest.raises(MalformedFrame) as refused:
        parse_request(b'{"type":"req","id":"1","method":"m","params":[' + params + b"]}")
    assert refused.value.problem == "more than 500000 values"
    assert refused.value.id == "invalid"


def test_a_frame_of_one_long_text_is_read() -> None:
    text = "x" * 2_000_000
    request = parse_request(f'{{"type":"req","id":"1","method":"m","params":{{"text":"{text}"}}}}')
    assert request.params == {"text": text}


def test_a_broadcast_of_an_earlier_generation_says_so_beside_its_seq() -> None:
    assert of_epoch(event_frame("tick", {"ts": 1}, seq=2), 'a"b') == (
        b'{"type":"event","event":"tick","payload":{"ts":1},"seq":2,"epoch":"a\\"b"}'
    )
