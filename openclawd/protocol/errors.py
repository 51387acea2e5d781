"""The error shape of a `res` frame and the table of its codes.

A method handler raises `RequestError`; whatever else it raises is a fault of ours and answered UNAVAILABLE.
"""

from collections.abc import Mapping
from enum import StrEnum

import attrs


class ErrorCode(StrEnum):
    """`error.code`: what a client may decide on. The message is for people."""

    INVALID_REQUEST = "INVALID_REQUEST"
    """The request is wrong and stays wrong: parameters, role, credential, unknown method."""
    UNAVAILABLE = "UNAVAILABLE"
    """The request is fine, the gateway cannot serve it now."""
    NOT_PAIRED = "NOT_PAIRED"
    """The device is unknown, or asks for more than was approved."""
    NOT_LINKED = "NOT_LINKED"
    """A channel or account that the request needs is not connected."""
    AGENT_TIMEOUT = "AGENT_TIMEOUT"
    """A run did not end within the time that the request gave it."""
    FORBIDDEN = "FORBIDDEN"
    """v4 only: the client lacks a scope (v3 answers INVALID_REQUEST)."""


@attrs.frozen
class ErrorShape:
    """What stands under `error` in a refused `res`. Members that are None are left out."""

    code: ErrorCode
    message: str
    details: Mapping[str, object] | None = None
    retryable: bool | None = None
    retry_after_ms: int | None = None

    def to_wire(self) -> dict[str, object]:
        """The JSON object."""
        wire: dict[str, object] = {"code": self.code.value, "message": self.message}
        if self.details is not None:
            wire["details"] = dict(self.details)
        if self.retryable is not None:
            wire["retryable"] = self.retryable
        if self.retry_after_ms is not None:
            wire["retryAfterMs"] = self.retry_after_ms
        return wire


class RequestError(Exception):
    """A request is refused with `shape`.

    A `payload` goes beside the error in the few answers that have both (a failed `agent` run).
    """

    def __init__(self, shape: ErrorShape, payload: object = None) -> None:
        super().__init__(f"{shape.code}: {shape.message}")
        self.shape = shape
        self.payload = payload


def invalid_request(message: str, **details: object) -> RequestError:
    """INVALID_REQUEST; keyword arguments become `details`."""
    return RequestError(ErrorShape(ErrorCode.INVALID_REQUEST, message, details or None))


def unavailable(
    message: str, *, retryable: bool | None = None, retry_after_ms: int | None = None, **details: object
) -> RequestError:
    """UNAVAILABLE; further keyword arguments become `details`."""
    return RequestError(
        ErrorShape(ErrorCode.UNAVAILABLE, message, details or None, retryable, retry_after_ms)
    )
