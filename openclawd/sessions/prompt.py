"""What a model is told: who it is, what day it is, and as much of the conversation as it can hold."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, Literal

import orjson

from openclawd.agents.model import ModelMessage
from openclawd.sessions.budget import IMAGE_TOKENS, tokens_of, tokens_of_bytes
from openclawd.sessions.enclosed import Files, attached
from openclawd.sessions.transcript import GATEWAY_MODEL, GATEWAY_PROVIDER, is_of_compaction, text_of
from openclawd.store.records import Message

_SUMMARY: Final = "Summary of the conversation until now:\n\n{}"

# As words: a provider refuses a call without a result and a result without its call, and a conversation that
# was cut to fit has either.
_TOOL_CALL: Final = "(I called the tool {} with {})"
_TOOL_RESULT: Final = "(The tool {} answered: {})"

_NO_SUMMARY: Final = frozenset({"error", "aborted"})

COMPACTION_PROMPT: Final = (
    "The conversation has grown long, and what you answer now takes the place of everything above it. Write "
    "a summary from which you could go on as if you had read it all: what the user wants and is working on, "
    "what was decided and why, facts, names, numbers, code and wording that will be needed again, what is "
    "still open, and how the user likes to be answered. Write in the language of the conversation, in plain "
    "sections. Answer with the summary alone."
)


# The line that stands in the place of a picture.
_LEFT_OUT_TOKENS: Final = 30

_NO_FILES: Final = Files()


def system_prompt(agent_name: str, now_ms: int, extra: str | None = None) -> str:
    """The standing instructions, and those of one run. The date is in UTC: the user's zone is not known."""
    today = datetime.fromtimestamp(now_ms / 1000, UTC)
    standing = (
        f"You are {agent_name}, a personal assistant. Your owner talks to you through a web chat or other"
        f" clients.\nToday is {today:%A}, {today.day} {today:%B %Y} (UTC).\n"
        "Answer in the language of the user. Be helpful, precise and brief; use Markdown where it helps the"
        " reader. You have no tools in this conversation: say so instead of pretending to have used one."
    )
    return f"{standing}\n\n{extra}" if extra else standing


def compaction_prompt(instructions: str) -> str:
    """What asks for a summary; `instructions` are a person's, and may be empty."""
    return f"{COMPACTION_PROMPT}\n\nMind above all: {instructions}" if instructions else COMPACTION_PROMPT


def prompt_tokens(message: Message, *, sees_images: bool = False) -> int:
    """What a stored message costs a model to read: nothing where it is not sent, and never its thinking."""
    text = sent_text(message)
    files = attached(message)
    image = IMAGE_TOKENS if sees_images else _LEFT_OUT_TOKENS
    tokens = tokens_of(text) if text else 0
    for part in files:
        tokens += image if part["type"] == "image" else tokens_of_bytes(part["bytes"])
    return tokens


def sent_text(message: Message) -> str:
    """The words of a message as a model gets them; none of what the gateway said or asked for itself."""
    if message.get("provider") == GATEWAY_PROVIDER and message.get("model") == GATEWAY_MODEL:
        return ""
    text = text_of(message)
    if message["role"] == "toolResult":
        return _TOOL_RESULT.format(message["toolName"], text)
    if not is_of_compaction(message):
        return "\n\n".join(filter(None, (text, *_calls(message))))
    is_summary = message["role"] == "assistant" and message.get("stopReason") not in _NO_SUMMARY
    return _SUMMARY.format(text) if is_summary and text else ""


def _calls(message: Message) -> Iterator[str]:
    for part in message["content"]:
        if part["type"] == "toolCall":
            yield _TOOL_CALL.format(part["name"], orjson.dumps(part.get("arguments", {})).decode())


def build_messages(
    system: str, stored: Iterable[Message], files: Mapping[int, Files] | None = None
) -> tuple[ModelMessage, ...]:
    """The system prompt, then the conversation as far as it was read from the store.

    `files` are those of a message, by its place in `stored`. Neighbours of one role become one message, as
    many local servers insist that the roles alternate; for the same reason a conversation that was cut
    begins with the user, and so does one that begins with a summary of what was before.
    """
    turns = _merged(stored, files or {})
    if len(turns) > 1 and turns[0].role == "assistant":
        del turns[0]
    return (ModelMessage("system", system), *turns)


def _merged(stored: Iterable[Message], files: Mapping[int, Files]) -> list[ModelMessage]:
    turns: list[ModelMessage] = []
    for place, message in enumerate(stored):
        came_with = files.get(place, _NO_FILES)
        text = "\n\n".join(filter(None, (*came_with.texts, sent_text(message))))
        if not text and not came_with.images:
            continue
        # A summary is told to the model, whoever wrote it, and so is what a tool answered.
        role: Literal["user", "assistant"] = "user"
        if message["role"] == "assistant" and not is_of_compaction(message):
            role = "assistant"
        images = came_with.images
        if turns and turns[-1].role == role:
            before = turns.pop()
            text = "\n\n".join(filter(None, (before.text, text)))
            images = (*before.images, *images)
        turns.append(ModelMessage(role, text, images))
    return turns
