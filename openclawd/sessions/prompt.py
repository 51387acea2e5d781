"""What a model is told: who it is, what day it is, and as much of the conversation as it can hold."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from openclawd.agents.model import ModelMessage
from openclawd.sessions.transcript import GATEWAY_MODEL, GATEWAY_PROVIDER, text_of
from openclawd.store.records import Message

# English text has about four characters a token; other languages fewer, which the answer's share covers.
CHARS_PER_TOKEN: Final = 4
# What is kept free for the answer, at most a quarter of a small window.
ANSWER_TOKENS: Final = 8_192
# For a model whose window nobody knows: what even small local servers are started with today.
DEFAULT_WINDOW_TOKENS: Final = 32_768


def system_prompt(agent_name: str, now_ms: int) -> str:
    """The standing instructions. The date is in UTC, as the user's zone is not known here."""
    today = datetime.fromtimestamp(now_ms / 1000, UTC)
    return (
        f"You are {agent_name}, a personal assistant. Your owner talks to you through a web chat or other"
        f" clients.\nToday is {today:%A}, {today.day} {today:%B %Y} (UTC).\n"
        "Answer in the language of the user. Be helpful, precise and brief; use Markdown where it helps the"
        " reader. You have no tools in this conversation: say so instead of pretending to have used one."
    )


def context_chars(window_tokens: int | None) -> int:
    """How much of the conversation fits into a context window beside the answer."""
    window = window_tokens or DEFAULT_WINDOW_TOKENS
    return (window - min(window // 4, ANSWER_TOKENS)) * CHARS_PER_TOKEN


def build_messages(
    system: str, stored: Sequence[Message], window_tokens: int | None
) -> tuple[ModelMessage, ...]:
    """The system prompt, then the newest of the conversation, at least its last message.

    Neighbours of one role become one message, as many local servers insist that the roles alternate; for
    the same reason a conversation that was cut begins with the user.
    """
    turns = _merged(stored)
    room = context_chars(window_tokens) - len(system)
    kept: list[ModelMessage] = []
    for message in reversed(turns):
        room -= len(message.text)
        if kept and room < 0:
            break
        kept.append(message)
    if len(kept) < len(turns) and len(kept) > 1 and kept[-1].role == "assistant":
        kept.pop()
    return (ModelMessage("system", system), *reversed(kept))


def _merged(stored: Iterable[Message]) -> list[ModelMessage]:
    turns: list[ModelMessage] = []
    for message in stored:
        text = text_of(message)
        if not text or _is_gateways(message):
            continue
        role = message["role"]
        if turns and turns[-1].role == role:
            text = f"{turns.pop().text}\n\n{text}"
        turns.append(ModelMessage(role, text))
    return turns


def _is_gateways(message: dict[str, Any]) -> bool:
    return message.get("provider") == GATEWAY_PROVIDER and message.get("model") == GATEWAY_MODEL
