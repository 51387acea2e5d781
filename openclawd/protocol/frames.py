"""The three frames of the gateway protocol, one JSON object a message.

A request is `{type: "req", id, method, params?}`; v4 clients may add `traceparent` and `expectedProfileId`,
which are accepted and mean nothing here. Members that are absent are left out, never null; only a response's
payload may be null.
"""

from collections.abc import Mapping
from typing import Final, Literal

import attrs

from openclawd.protocol.codec import InvalidValue, NonEmptyStr, decode, encode, structure
from openclawd.protocol.errors import ErrorShape
from openclawd.protocol.limits import MAX_JSON_VALUES

_NO_ID: Final = "invalid"


class MalformedFrame(ValueError):
    """JSON, but not a request. `id` is the frame's own where it has one, else `invalid`."""

    def __init__(self, frame_id: str, problem: str) -> None:
        super().__init__(problem)
        self.id = frame_id
        self.problem = problem


@attrs.frozen
class Request:
    """A request frame. `params` is None when there are none."""

    id: str
    method: str
    params: object | None = attrs.field(default=None, repr=False)


@attrs.frozen(eq=False, repr=False)
class _RequestFrame:
    type: Literal["req"]
    id: NonEmptyStr
    method: NonEmptyStr
    params: object = attrs.field(default=None, metadata={"nullable": True})
    traceparent: str | None = None
    expected_profile_id: str | None = None


def parse_request(data: bytes | str) -> Request:
    """The request in one message. Raises NotJson or MalformedFrame."""
    if len(data) > MAX_JSON_VALUES and _separators(data) > MAX_JSON_VALUES:
        raise MalformedFrame(_NO_ID, f"more than {MAX_JSON_VALUES} values")
    value = decode(data)
    try:
        frame = structure(value, _RequestFrame)
    except InvalidValue as error:
        raise MalformedFrame(_frame_id(value), error.text()) from error
    return Request(frame.id, frame.method, frame.params)


def response_ok(request_id: str, payload: object) -> bytes:
    """A `res` that carries a result."""
    return encode({"type": "res", "id": request_id, "ok": True, "payload": payload})


def response_error(request_id: str, shape: ErrorShape, payload: object = None) -> bytes:
    """A `res` that refuses; with a payload where there is one."""
    frame: dict[str, object] = {"type": "res", "id": request_id, "ok": False}
    if payload is not None:
        frame["payload"] = payload
    frame["error"] = shape.to_wire()
    return encode(frame)


def event_frame(
    name: str,
    payload: object,
    *,
    seq: int | None = None,
    state_version: Mapping[str, int] | None = None,
) -> bytes:
    """An event. `seq` is absent on targeted events, the payload where it is None."""
    frame: dict[str, object] = {"type": "event", "event": name}
    if payload is not None:
        frame["payload"] = payload
    if seq is not None:
        frame["seq"] = seq
    if state_version is not None:
        frame["stateVersion"] = state_version
    return encode(frame)


def of_epoch(event: bytes, epoch: str) -> bytes:
    """The frame of a broadcast of an earlier process generation, which says so beside its `seq`."""
    return event[:-1] + b',"epoch":' + encode(epoch) + b"}"


def _separators(data: bytes | str) -> int:
    """At least the number of values in a JSON text, but for one."""
    if isinstance(data, bytes):
        return data.count(b",") + data.count(b"[") + data.count(b"{")
    return data.count(",") + data.count("[") + data.count("{")


def _frame_id(value: object) -> str:
    if isinstance(value, dict):
        own = value.get("id")
        if isinstance(own, str) and own:
            return own
    return _NO_ID
