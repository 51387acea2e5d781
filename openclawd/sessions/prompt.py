"""What a model is told: who it is, what day it is, and as much of the conversation as it can hold."""

from collections.abc import Iterable
from datetime import UTC, datetime

from openclawd.agents.model import ModelMessage
from openclawd.sessions.budget import tokens_of
from openclawd.sessions.transcript import GATEWAY_MODEL, GATEWAY_PROVIDER, text_of
from openclawd.store.records import Message


def system_prompt(agent_name: str, now_ms: int) -> str:
    """The standing instructions. The date is in UTC, as the user's zone is not known here."""
    today = datetime.fromtimestamp(now_ms / 1000, UTC)
    return (
        f"You are {agent_name}, a personal assistant. Your owner talks to you through a web chat or other"
        f" clients.\nToday is {today:%A}, {today.day} {today:%B %Y} (UTC).\n"
        "Answer in the language of the user. Be helpful, precise and brief; use Markdown where it helps the"
        " reader. You have no tools in this conversation: say so instead of pretending to have used one."
    )


def prompt_tokens(message: Message) -> int:
    """What a stored message costs a model to read: nothing where it is not sent, and never its thinking."""
    text = _sent_text(message)
    return tokens_of(text) if text else 0


def build_messages(system: str, stored: Iterable[Message]) -> tuple[ModelMessage, ...]:
    """The system prompt, then the conversation as far as it was read from the store.

    Neighbours of one role become one message, as many local servers insist that the roles alternate; for
    the same reason a conversation that was cut begins with the user.
    """
    turns = _merged(stored)
    if len(turns) > 1 and turns[0].role == "assistant":
        del turns[0]
    return (ModelMessage("system", system), *turns)


def _merged(stored: Iterable[Message]) -> list[ModelMessage]:
    turns: list[ModelMessage] = []
    for message in stored:
        text = _sent_text(message)
        if not text:
            continue
        role = message["role"]
        if turns and turns[-1].role == role:
            text = f"{turns.pop().text}\n\n{text}"
        turns.append(ModelMessage(role, text))
    return turns


def _sent_text(message: Message) -> str:
    gateways = message.get("provider") == GATEWAY_PROVIDER and message.get("model") == GATEWAY_MODEL
    return "" if gateways else text_of(message)
