"""What a chat message is before a model sees it: a stop, a command of ours, or words for the model.

The commands that are listed here work; any other `/x` is the model's to make sense of, as in stock. Stop
texts are stock's idea (protocol.md 7.1.5): a whole message that says nothing but "stop", in any of a few
languages.
"""

import re
from enum import StrEnum
from typing import Final

import attrs


class CommandName(StrEnum):
    """A command, by the word after the slash."""

    NEW = "new"
    RESET = "reset"
    STATUS = "status"
    HELP = "help"


@attrs.frozen
class Command:
    """A message that is for the gateway. `text` follows `/new` and `/reset`: the first message."""

    name: CommandName
    text: str = ""


_HELP: Final = (
    ("/new [text]", "start a new conversation, with `text` as its first message"),
    ("/reset [text]", "the same as /new"),
    ("/stop", "stop the answer that is being written and everything that waits"),
    ("/status", "the model, the session and the gateway"),
    ("/help", "this list"),
)

_TAKES_TEXT: Final = frozenset({CommandName.NEW, CommandName.RESET})

_STOP_WORDS: Final = frozenset(
    {
        *("stop", "esc", "abort", "wait", "exit", "interrupt", "halt"),
        *(
            "please stop",
            "stop please",
            "stop run",
            "stop agent",
            "stop action",
            "stop openclaw",
            "stop openclawd",
        ),
        *("stop the run", "stop the agent", "stop current run", "stop everything", "stop all"),
        *("do not do that", "don't do that", "stop that", "stop it", "stop doing that"),
        *("stopp", "anhalten", "aufhören", "hör auf", "bitte stopp"),
        *("arrête", "arrete", "arrêter", "detente", "detén", "para", "pare", "parar", "fermati", "basta"),
        *("стоп", "остановись", "остановить", "przestań", "zatrzymaj", "durdur"),
        *(
            "停止",
            "停",
            "停下",
            "中止",
            "止めて",
            "やめて",
            "ストップ",
            "그만",
            "멈춰",
            "중지",
            "रुको",
            "توقف",
            "قف",
        ),
    }
)
# The ends of sentences, Chinese and Japanese ones too.
_TRAILING: Final = " .!?,;:\u2026\u3002\uff01\uff1f\u3001\uff0c\uff1b\uff1a"
_SLASH: Final = re.compile(r"/(\w+)(?:\s+(.*))?", re.DOTALL)


def is_stop(text: str) -> bool:
    """Whether the whole message asks to stop."""
    words = " ".join(text.lower().replace("\u2019", "'").split()).rstrip(_TRAILING)
    return words == "/stop" or words in _STOP_WORDS


def parse_command(text: str) -> Command | None:
    """The command that `text` is; None when it is for the model. `/status of my order` is for the model."""
    match = _SLASH.fullmatch(text.strip())
    if match is None:
        return None
    word, rest = match[1].lower(), (match[2] or "").strip()
    try:
        name = CommandName(word)
    except ValueError:
        return None
    if rest and name not in _TAKES_TEXT:
        return None
    return Command(name, rest)


def help_text() -> str:
    """What `/help` answers."""
    lines = [f"`{usage}`: {meaning}" for usage, meaning in _HELP]
    return "Commands\n\n" + "\n".join(f"- {line}" for line in lines) + "\n\nAnything else goes to the model."
