"""Transcript messages in stock's shape (protocol.md 7.4), and how much of them a client is sent.

Every message of ours says in `idempotencyKey` which run it belongs to and who speaks (`<runId>:user`,
`<runId>:assistant`), so that a page can match what it shows with what the history says.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from openclawd.agents.model import Model, Usage
from openclawd.store.records import Message

# protocol.md 7.4: a longer text, thinking or arguments string is cut to this, and says so.
MAX_TEXT_CHARS: Final = 12_000
_CUT_MARK: Final = "\n...(truncated)..."
# protocol.md 7.4: a message that is still bigger is replaced by a placeholder.
MAX_MESSAGE_BYTES: Final = 128 * 1024
_TOO_LARGE: Final = "[chat.history omitted: message too large]"
# protocol.md 7.4: the whole answer stays below this, at the cost of the oldest messages.
MAX_HISTORY_BYTES: Final = 6 * 1024 * 1024
# What clients have no use for in a history.
_LEFT_OUT: Final = frozenset({"usage", "cost", "details"})
_TEXTS: Final = ("text", "thinking", "partialJson", "arguments")

# How stock marks what the gateway itself says in a conversation; it is never sent to a model.
GATEWAY_PROVIDER: Final = "openclaw"
GATEWAY_MODEL: Final = "gateway-injected"
_GATEWAY_API: Final = "openai-responses"


def text_content(text: str) -> list[dict[str, Any]]:
    """The content of a message that is just text."""
    return [{"type": "text", "text": text}]


def user_message(run_id: str, text: str, now_ms: int) -> Message:
    """What a person said."""
    return {
        "role": "user",
        "content": text_content(text),
        "timestamp": now_ms,
        "idempotencyKey": f"{run_id}:user",
    }


def assistant_message(
    run_id: str,
    model: Model | None,
    *,
    text: str,
    thinking: str,
    usage: Usage,
    stop_reason: str,
    now_ms: int,
) -> Message:
    """What a model said, whole or as far as it came; without a model when none could be found."""
    content = [{"type": "thinking", "thinking": thinking}] if thinking else []
    named = {"api": model.api, "provider": model.provider, "model": model.id} if model else {}
    return {
        "role": "assistant",
        "content": content + (text_content(text) if text else []),
        **named,
        "usage": _usage(usage),
        "stopReason": stop_reason,
        "timestamp": now_ms,
        "idempotencyKey": f"{run_id}:assistant",
    }


def gateway_message(text: str, now_ms: int) -> Message:
    """What the gateway itself says: the answer to a command."""
    return {
        "role": "assistant",
        "content": text_content(text),
        "timestamp": now_ms,
        "stopReason": "stop",
        "usage": _usage(Usage()),
        "api": _GATEWAY_API,
        "provider": GATEWAY_PROVIDER,
        "model": GATEWAY_MODEL,
    }


def text_of(message: Mapping[str, Any]) -> str:
    """The words of a message, without thinking."""
    return "\n".join(part["text"] for part in message["content"] if part["type"] == "text")


def for_history(messages: Iterable[Message]) -> list[Message]:
    """`messages` (oldest first) as `chat.history` shows them: trimmed, and the newest that fit."""
    kept: list[Message] = []
    size = 0
    for message in reversed([_trimmed(message) for message in messages]):
        size += len(orjson.dumps(message)) + 1
        if size > MAX_HISTORY_BYTES:
            break
        kept.append(message)
    return kept[::-1]


def _trimmed(message: Message) -> Message:
    shown = {key: value for key, value in message.items() if key not in _LEFT_OUT}
    shown["content"] = [_trimmed_part(part) for part in message["content"]]
    if len(orjson.dumps(shown)) <= MAX_MESSAGE_BYTES:
        return shown
    return shown | {
        "content": text_content(_TOO_LARGE),
        "__openclaw": {"truncated": True, "reason": "oversized"},
    }


def _trimmed_part(part: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value[:MAX_TEXT_CHARS] + _CUT_MARK
        if key in _TEXTS and isinstance(value, str) and len(value) > MAX_TEXT_CHARS
        else value
        for key, value in part.items()
    }


def _usage(usage: Usage) -> dict[str, Any]:
    counts = {
        "input": usage.input,
        "output": usage.output,
        "cacheRead": usage.cache_read,
        "cacheWrite": usage.cache_write,
    }
    # Prices come with the catalog's cost table; until then a cost of nought is what stock writes as well.
    cost = dict.fromkeys((*counts, "total"), 0)
    return counts | {"totalTokens": sum(counts.values()), "cost": cost}
