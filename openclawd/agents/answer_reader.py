"""One streamed chat completion, read as its bytes come. No I/O.

OpenAI API reference, "Chat Completions, streaming": server-sent events whose data is a chunk, `[DONE]` at
the end. Guarantees: a delta is emitted in the call that brings its last byte; what was emitted before an
error stays said; an answer counts as whole when the server said why it finished, or `[DONE]`.
"""

from collections.abc import Iterator
from typing import Final, Literal

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

_DONE: Final = "[DONE]"
# DeepSeek, vLLM and Qwen say the first, OpenRouter, Groq and Ollama the second; some say both, so the first
# counts.
_THINKING_FIELDS: Final = ("reasoning_content", "reasoning")
# A refusal is an answer in words, in a field of its own. Mistral and some gateways put lists of typed parts
# into `content`, thinking among them.
_TEXT_FIELDS: Final = ("content", "refusal")

_STOP_REASONS: Final[dict[str, Literal["stop", "length", "toolUse"]]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "toolUse",
    "function_call": "toolUse",
}


@attrs.define
class AnswerReader:
    """Feed it the body's bytes, then ask for the completion."""

    _endpoint: Endpoint
    _model: str
    _emit: Emit
    _parser: EventStreamParser = attrs.field(factory=EventStreamParser, init=False)
    _finish_reason: str | None = attrs.field(default=None, init=False)
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
        return self.done or self._finish_reason is not None

    def feed(self, data: bytes) -> bool:
        """Emit what `data` completes; true when nothing more can come. Raises ModelError."""
        try:
            events = self._parser.feed(data)
        except EventTooLargeError as error:
            raise not_compatible(self._endpoint, str(error)) from None
        for event in events:
            if self.done or not event.data:
                continue
            if event.data.strip() == _DONE:
                self.done = True
            else:
                self.read_chunk(event.data)
        return self.done

    def end(self) -> bool:
        """The body has ended, or will not go on; whether the answer is whole. Raises ModelError.

        A last event that only lacks the blank line after it counts; one that was cut in its middle does not.
        """
        try:
            event = self._parser.end()
            text = event.data.strip() if event is not None and not self.done else ""
            if text == _DONE:
                self.done = True
            elif text:
                self._read(orjson.loads(text))
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
        self._read(chunk)

    def _read(self, chunk: object) -> None:
        if not isinstance(chunk, dict):
            raise not_compatible(self._endpoint, "it is JSON, but no object")
        if chunk.get("error") or chunk.get("object") == "error":
            raise model_error(complaint_in_event(chunk), self._endpoint, self._model)
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage = _usage(usage)
        choices = chunk.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            self._read_choice(choices[0])

    def completion(self) -> Completion:
        """How the answer ended, once the body did. Raises ModelError if cut off, refused or empty."""
        name = self._endpoint.provider
        if not self.is_whole:
            raise broken_off(self._endpoint, "ended its answer")
        reason = self._finish_reason or "stop"
        if reason == "content_filter":
            raise ModelError(
                ModelErrorKind.REFUSED,
                f"The content filter of {name} stopped this answer. Put the message differently, "
                "or choose another model.",
            )
        if reason in {"network_error", "error", "insufficient_system_resource"}:
            raise broken_off(self._endpoint, f"gave up ({reason})")
        stop_reason = _STOP_REASONS.get(reason, "stop")
        if not self._has_text:
            raise _empty(name, self._model, stop_reason, thought=self._has_thinking)
        return Completion(stop_reason, self._usage)

    def _read_choice(self, choice: dict[str, object]) -> None:
        # A server that does not stream has the whole message where the others have a delta.
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, dict):
            thinking = _first_text(delta, _THINKING_FIELDS) or "".join(_thoughts(delta.get("content")))
            if thinking:
                self._has_thinking = True
                self._emit(ThinkingDelta(thinking))
            words = _first_text(delta, _TEXT_FIELDS)
            if words:
                self._has_text = True
                self._emit(TextDelta(words))
        if isinstance(reason := choice.get("finish_reason"), str) and reason:
            self._finish_reason = reason


def _first_text(delta: dict[str, object], fields: tuple[str, ...]) -> str:
    for field in fields:
        if text := _text(delta.get(field)):
            return text
    return ""


def _text(value: object) -> str:
    """A text, which may come in parts."""
    if isinstance(value, str):
        return value
    return "".join(text for part in _parts(value, "text") if isinstance(text := part.get("text"), str))


def _thoughts(content: object) -> Iterator[str]:
    return (_text(part.get("thinking")) for part in _parts(content, "thinking"))


def _parts(value: object, kind: str) -> Iterator[dict[str, object]]:
    for part in value if isinstance(value, list) else ():
        if isinstance(part, dict) and part.get("type") == kind:
            yield part


def _usage(usage: dict[str, object]) -> Usage:
    details = usage.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    # DeepSeek counts cache hits beside the total, the others below it.
    cached = _count(details.get("cached_tokens")) or _count(usage.get("prompt_cache_hit_tokens"))
    prompt = _count(usage.get("prompt_tokens"))
    return Usage(
        input=max(0, prompt - cached),
        output=_count(usage.get("completion_tokens")),
        cache_read=cached,
        cache_write=_count(details.get("cache_write_tokens")),
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _empty(provider: str, model: str, stop_reason: str, *, thought: bool) -> ModelError:
    if stop_reason == "toolUse":
        what = "asked for a tool, though it was offered none"
    elif stop_reason == "length" and thought:
        what = "used up its whole answer for thinking"
    else:
        what = "gave an empty answer"
    return ModelError(
        ModelErrorKind.PROTOCOL,
        f"{model} at {provider} {what}. Send the message again, or choose another model.",
    )
