"""What a chat message is before a model sees it: a stop, a command of ours, or words for the model.

The commands that are listed here work; any other `/x` is the model's to make sense of, as in stock. Stop
texts are stock's idea (protocol.md 7.1.6): a whole message that says nothing but "stop", in any of a few
languages.
"""

import math
import re
from enum import StrEnum
from typing import Final, Literal

import attrs


class CommandName(StrEnum):
    """A command, by the word after the slash."""

    NEW = "new"
    RESET = "reset"
    MODEL = "model"
    MODELS = "models"
    THINK = "think"
    USAGE = "usage"
    COMPACT = "compact"
    STATUS = "status"
    WHOAMI = "whoami"
    HELP = "help"


@attrs.frozen
class Command:
    """A message that is for the gateway, and what was written behind the command's name."""

    name: CommandName
    text: str = ""


@attrs.frozen(eq=False, repr=False)
class Argument:
    """What may be written behind a command; never required."""

    name: str
    description: str
    choices: tuple[str, ...] = ()


@attrs.frozen(eq=False, repr=False)
class CommandInfo:
    """A row of `/help` and of `commands.list`."""

    name: str
    description: str
    category: Literal["session", "options", "status"]
    args: tuple[Argument, ...] = ()

    @property
    def usage(self) -> str:
        """How it is written."""
        return " ".join((f"/{self.name}", *(f"[{arg.name}]" for arg in self.args)))


_FIRST_WORDS: Final = (Argument("text", "the first message of the new conversation"),)

# Every command that works, in the order in which people are shown them.
COMMANDS: Final = (
    CommandInfo("new", "start a new conversation", "session", _FIRST_WORDS),
    CommandInfo("reset", "the same as /new", "session", _FIRST_WORDS),
    CommandInfo(
        "compact",
        "sum the conversation up, so that there is room for more",
        "session",
        (Argument("instructions", "what the summary must not leave out"),),
    ),
    CommandInfo("stop", "stop the answer that is being written and everything that waits", "session"),
    CommandInfo(
        "model",
        "show or choose the model of this session",
        "options",
        (Argument("model", "a name, its number in /models, or `default`"),),
    ),
    CommandInfo("models", "the models that can be chosen", "options"),
    CommandInfo(
        "think",
        "show or choose how hard the model thinks before it answers",
        "options",
        (Argument("level", "one of the model's levels, or `default`"),),
    ),
    CommandInfo(
        "usage",
        "tokens and costs; or how much of them clients are to show with each answer",
        "options",
        (Argument("mode", "what clients show; `cost` sums up days", ("off", "tokens", "full", "cost")),),
    ),
    CommandInfo("status", "the model, the session and the gateway", "status"),
    CommandInfo("whoami", "as whom you are connected", "status"),
    CommandInfo("help", "this list", "status"),
)

# Whatever is written behind these belongs to them.
_TAKES_TEXT: Final = frozenset({CommandName.NEW, CommandName.RESET, CommandName.COMPACT})
# One word behind these does: "/think about my plans" is for the model.
_TAKES_WORD: Final = frozenset({CommandName.MODEL, CommandName.THINK, CommandName.USAGE})

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
    most = math.inf if name in _TAKES_TEXT else int(name in _TAKES_WORD)
    return Command(name, rest) if len(rest.split()) <= most else None


def help_text() -> str:
    """What `/help` answers."""
    lines = [f"- `{command.usage}`: {command.description}" for command in COMMANDS]
    return "Commands\n\n" + "\n".join(lines) + "\n\nAnything else goes to the model."
