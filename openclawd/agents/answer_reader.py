"""One streamed answer, read as its bytes come; what the wires of all providers have in common. No I/O.

Guarantees: a delta is emitted in the call that brings its last byte; what was emitted before an error stays
said; an answer counts as whole when the server said why it finished, or that it is done.
"""

from abc import ABC, abstractmethod
from typing import Any, Final, Literal

import attrs
import orjson

from openclawd.agents.endpoint import Endpoint
from openclawd.agents.model import (
    Completion,
    Emit,
    ModelError,
    ModelErrorKind,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from openclawd.agents.provider_errors import broken_off, complaint_in_event, model_error, not_compatible
from openclawd.agents.sse import EventStreamParser, EventTooLargeError

# No context window comes near, and the sum of a few is still a number to a database.
_MOST_TOKENS: Final = 2**40

StopReason = Literal["stop", "length", "toolUse"]


@attrs.define
class AnswerReader(ABC):
    """Feed it the body's bytes, then ask for the completion."""

    _endpoint: Endpoint
    _model: str
    _emit: Emit
    _parser: EventStreamParser = attrs.field(factory=EventStreamParser, init=False)
    _reason: str | None = attrs.field(default=None, init=False)
    _usage: Usage = attrs.field(factory=Usage, init=False)
    _has_text: bool = attrs.field(default=False, init=False)
    _has_thinking: bool = attrs.field(default=False, init=False)
    done: bool = attrs.field(default=False, init=False)

    @property
    def emitted(self) -> bool:
        """Whether anything was said."""
        return self._has_text or self._has_thinking

    @property
    def is_whole(self) -> bool:
        """Whether the server said that the answer is complete."""
        return self.done or self._reason is not None

    def feed(self, data: bytes) -> bool:
        """Emit what `data` completes; true when nothing more can come. Raises ModelError."""
        try:
            events = self._parser.feed(data)
        except EventTooLargeError as error:
            raise not_compatible(self._endpoint, str(error)) from None
        for event in events:
            if not self.done and event.data and not self._is_end(event.data):
                self.read_chunk(event.data)
        return self.done

    def end(self) -> bool:
        """The body has ended, or will not go on; whether the answer is whole. Raises ModelError.

        A last event that only lacks the blank line after it counts; one that was cut in its middle does not.
        """
        try:
            event = self._parser.end()
            text = event.data.strip() if event is not None and not self.done else ""
            if text and not self._is_end(text):
                self._checked(orjson.loads(text))
        except EventTooLargeError as error:
            raise not_compatible(self._endpoint, str(error)) from None
        except orjson.JSONDecodeError:
            pass
        return self.is_whole

    def read_chunk(self, text: str | bytes) -> None:
        """One chunk of a stream, or the whole answer of a server that does not stream. Raises ModelError."""
        try:
            chunk = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise not_compatible(self._endpoint, "it is not JSON") from None
        self._checked(chunk)

    def completion(self) -> Completion:
        """How the answer ended, once the body did. Raises ModelError if cut off, refused or empty."""
        if not self.is_whole:
            raise broken_off(self._endpoint, "ended its answer")
        stop_reason = self._stop_reason(self._reason or "stop")
        if not self._has_text:
            raise self._empty(stop_reason)
        return Completion(stop_reason, self._usage)

    @abstractmethod
    def _read(self, chunk: dict[str, Any]) -> None:
        """Take in one chunk that is no error."""

    @abstractmethod
    def _stop_reason(self, reason: str) -> StopReason:
        """What the provider's word for its end means. Raises ModelError where it is none of an answer."""

    @abstractmethod
    def _is_end(self, data: str) -> bool:
        """Whether an event's data is no chunk but the wire's word for the end of the stream."""

    def _say(self, text: object) -> None:
        if isinstance(text, str) and text:
            self._has_text = True
            self._emit(TextDelta(text))

    def _think(self, text: object) -> None:
        if isinstance(text, str) and text:
            self._has_thinking = True
            self._emit(ThinkingDelta(text))

    def _refused(self, by: str) -> ModelError:
        return ModelError(
            ModelErrorKind.REFUSED,
            f"{by} stopped this answer. Put the message differently, or choose another model.",
        )

    def _checked(self, chunk: object) -> None:
        if not isinstance(chunk, dict):
            raise not_compatible(self._endpoint, "it is JSON, but no object")
        if chunk.get("error") or chunk.get("object") == "error":
            raise model_error(complaint_in_event(chunk), self._endpoint, self._model)
        self._read(chunk)

    def _empty(self, stop_reason: StopReason) -> ModelError:
        if stop_reason == "toolUse":
            what = "asked for a tool, though it was offered none"
        elif stop_reason == "length" and self._has_thinking:
            what = "used up its whole answer for thinking"
        else:
            what = "gave an empty answer"
        return ModelError(
            ModelErrorKind.PROTOCOL,
            f"{self._model} at {self._endpoint.provider} {what}. Send the message again, or choose another "
            "model.",
        )


def count(value: object) -> int:
    """A number of tokens; nought where there is none that can be."""
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value if 0 < value <= _MOST_TOKENS else 0
