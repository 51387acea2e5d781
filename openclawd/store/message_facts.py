"""What the tables keep of a message beside its body, so that lists and sums read no bodies."""

from collections.abc import Mapping
from typing import Any, Final

# More than any list shows of it.
_OPENING_CHARS: Final = 200


def opening_of(message: Mapping[str, Any]) -> str:
    """The first words of a message, on one line; empty when it has none."""
    texts = (part.get("text", "") for part in message["content"] if part.get("type") == "text")
    return " ".join(" ".join(texts).split())[:_OPENING_CHARS]


def said_at(message: Mapping[str, Any]) -> int | None:
    """When it was said, in milliseconds."""
    return message.get("timestamp")


def has_failed(message: Mapping[str, Any]) -> bool:
    """Whether it tells how an answer failed."""
    return message.get("stopReason") == "error"
