"""Transcript messages in stock's shape (protocol.md 7.4).

Every message of ours says in `idempotencyKey` which run it belongs to and who speaks (`<runId>:user`,
`<runId>:assistant`), so that a page can match what it shows with what the history says.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from openclawd.agents.model import Model, Usage
from openclawd.agents.prices import FREE, Prices
from openclawd.sessions.attachments import attachment_part
from openclawd.store.records import Attachment, Message

# How stock marks what the gateway itself says in a conversation; it is never sent to a model.
GATEWAY_PROVIDER: Final = "openclaw"
GATEWAY_MODEL: Final = "gateway-injected"
_GATEWAY_API: Final = "openai-responses"
# Of what asks for a summary, and of the summary; ours.
_COMPACTION: Final = "openclawdCompaction"


def text_content(text: str) -> list[dict[str, Any]]:
    """The content of a message that is just text."""
    return [{"type": "text", "text": text}]


def user_message(run_id: str, text: str, now_ms: int, attachments: Iterable[Attachment] = ()) -> Message:
    """What a person said, and the files that came with it; either may be missing."""
    files = [attachment_part(file) for file in attachments]
    return {
        "role": "user",
        "content": (text_content(text) if text or not files else []) + files,
        "timestamp": now_ms,
        "idempotencyKey": f"{run_id}:user",
    }


def compaction_message(run_id: str, instructions: str, now_ms: int) -> Message:
    """What asks for a summary of the conversation; `instructions` may be empty."""
    return user_message(run_id, instructions, now_ms) | {_COMPACTION: True}


def is_of_compaction(message: Mapping[str, Any]) -> bool:
    """Whether a message asks for a summary, or is one."""
    return _COMPACTION in message


def assistant_message(
    run_id: str,
    model: Model | None,
    *,
    text: str,
    thinking: str,
    usage: Usage,
    stop_reason: str,
    now_ms: int,
    prices: Prices | None = None,
    sums_up: bool = False,
) -> Message:
    """What a model said, whole or as far as it came; without a model when none could be found.

    The cost is told where the `prices` are known; `sums_up` marks the summary of a conversation.
    """
    content = [{"type": "thinking", "thinking": thinking}] if thinking else []
    named = {"api": model.api, "provider": model.provider, "model": model.id} if model else {}
    return {
        "role": "assistant",
        "content": content + (text_content(text) if text else []),
        **named,
        "usage": _usage(usage, prices),
        "stopReason": stop_reason,
        "timestamp": now_ms,
        "idempotencyKey": f"{run_id}:assistant",
        **({_COMPACTION: True} if sums_up else {}),
    }


def gateway_message(text: str, now_ms: int) -> Message:
    """What the gateway itself says: the answer to a command."""
    return {
        "role": "assistant",
        "content": text_content(text),
        "timestamp": now_ms,
        "stopReason": "stop",
        "usage": _usage(Usage(), FREE),
        "api": _GATEWAY_API,
        "provider": GATEWAY_PROVIDER,
        "model": GATEWAY_MODEL,
    }


def text_of(message: Mapping[str, Any]) -> str:
    """The words of a message, without thinking."""
    return "\n".join(part["text"] for part in message["content"] if part["type"] == "text")


def _usage(usage: Usage, prices: Prices | None) -> dict[str, Any]:
    counts = {
        "input": usage.input,
        "output": usage.output,
        "cacheRead": usage.cache_read,
        "cacheWrite": usage.cache_write,
    }
    told: dict[str, Any] = counts | {"totalTokens": sum(counts.values())}
    if prices is not None:
        cost = prices.cost(usage)
        told["cost"] = {
            "input": cost.input,
            "output": cost.output,
            "cacheRead": cost.cache_read,
            "cacheWrite": cost.cache_write,
            "total": cost.total,
        }
    return told
