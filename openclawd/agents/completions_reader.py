"""An answer on the `openai-completions` wire.

OpenAI API reference, "Chat Completions, streaming": server-sent events whose data is a chunk, `[DONE]` at
the end.
"""

from collections.abc import Iterator
from typing import Any, Final

import attrs

from openclawd.agents.answer_reader import AnswerReader, StopReason, count
from openclawd.agents.model import Usage
from openclawd.agents.provider_errors import broken_off

_DONE: Final = "[DONE]"
# DeepSeek, vLLM and Qwen say the first, OpenRouter, Groq and Ollama the second; some say both, so the first
# counts.
_THINKING_FIELDS: Final = ("reasoning_content", "reasoning")
# A refusal is an answer in words, in a field of its own. Mistral and some gateways put lists of typed parts
# into `content`, thinking among them.
_TEXT_FIELDS: Final = ("content", "refusal")

_STOP_REASONS: Final[dict[str, StopReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "toolUse",
    "function_call": "toolUse",
}
_GAVE_UP: Final = frozenset({"network_error", "error", "insufficient_system_resource"})


@attrs.define
class CompletionsReader(AnswerReader):
    """Reads chunks of a chat completion."""

    def _is_end(self, data: str) -> bool:
        self.done = self.done or data.strip() == _DONE
        return self.done

    def _read(self, chunk: dict[str, Any]) -> None:
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage = _usage(usage)
        choices = chunk.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            self._read_choice(choices[0])

    def _stop_reason(self, reason: str) -> StopReason:
        if reason == "content_filter":
            raise self._refused(f"The content filter of {self._endpoint.provider}")
        if reason in _GAVE_UP:
            raise broken_off(self._endpoint, f"gave up ({reason})")
        return _STOP_REASONS.get(reason, "stop")

    def _read_choice(self, choice: dict[str, object]) -> None:
        # A server that does not stream has the whole message where the others have a delta.
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, dict):
            self._think(_first_text(delta, _THINKING_FIELDS) or "".join(_thoughts(delta.get("content"))))
            self._say(_first_text(delta, _TEXT_FIELDS))
        if isinstance(reason := choice.get("finish_reason"), str) and reason:
            self._reason = reason


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
    cached = count(details.get("cached_tokens")) or count(usage.get("prompt_cache_hit_tokens"))
    written = count(details.get("cache_write_tokens"))
    prompt = count(usage.get("prompt_tokens"))
    return Usage(
        input=max(0, prompt - cached - written),
        output=count(usage.get("completion_tokens")),
        cache_read=cached,
        cache_write=written,
    )
