"""The built-in model, `openclawd/offline`: it answers when no other model is configured, and says what it
is.

It matches keywords and repeats facts of the gateway. It never pretends to understand: whatever it cannot
answer, it says so and shows the lines that connect a real model, so that a first run is never a dead page.
It needs no network and no state.
"""

import re
from collections.abc import Callable
from typing import Final

import attrs
import trio

from openclawd.agents.attached import without_files
from openclawd.agents.facts import GatewayFacts
from openclawd.agents.greeting import NEW_SESSION_PROMPT
from openclawd.agents.model import Completion, Emit, ModelRequest, TextDelta, Usage

PROVIDER: Final = "openclawd"
MODEL_ID: Final = "offline"

# Slow enough to be seen streaming, fast enough not to be waited for.
_WORD_PAUSE_S: Final = 0.004
# A question about the gateway is short; in a longer text the keywords are there by chance.
_MAX_QUESTION_WORDS: Final = 16

_WHAT_I_AM: Final = "I am openclawd's small built-in responder, not a language model"
_HELLO: Final = frozenset(
    {
        "hi",
        "hello",
        "hey",
        "yo",
        "hallo",
        "moin",
        "servus",
        "hola",
        "salut",
        "bonjour",
        "ciao",
        "hej",
        "greetings",
    }
)
_THANKS: Final = frozenset({"thanks", "thank", "thx", "cheers", "danke", "merci", "gracias"})
_CONNECT: Final = frozenset(
    {
        "connect",
        "openai",
        "ollama",
        "gpt",
        "chatgpt",
        "llm",
        "llama",
        "claude",
        "anthropic",
        "gemini",
        "provider",
        "apikey",
    }
)
_HELP: Final = frozenset({"help", "hilfe", "ayuda", "aide", "commands"})
_WHO: Final = re.compile(
    r"\b(who|what) are you\b|\byour name\b|\bare you (an? )?(ai|bot|human|real|model|llm)\b"
)

_TEACH: Final = """\
**OpenAI** or **Anthropic**: put the key into the gateway's environment and start it again.

```sh
export OPENAI_API_KEY=sk-...     # or
export ANTHROPIC_API_KEY=sk-ant-...
```

**Ollama**: start it on this machine with any model; it is found by itself within half a minute.

```sh
ollama pull llama3.2 && ollama serve
```

**Any other OpenAI-compatible server**: add this to `{config_file}`.

```json5
{{
  models: {{
    providers: {{
      mine: {{
        baseUrl: "http://127.0.0.1:8080/v1",
        apiKey: "...", // leave it out for a server without keys
        api: "openai-completions",
        models: [{{ id: "my-model", name: "My model" }}],
      }},
    }},
  }},
  agents: {{ defaults: {{ model: {{ primary: "mine/my-model" }} }} }},
}}
```"""


@attrs.frozen(eq=False, repr=False)
class OfflineModel:
    """Answers from `facts`, which is asked anew for every answer."""

    _facts: Callable[[], GatewayFacts]
    provider: str = attrs.field(default=PROVIDER, init=False)
    id: str = attrs.field(default=MODEL_ID, init=False)
    api: str = attrs.field(default="openclawd", init=False)

    async def complete(self, request: ModelRequest, emit: Emit) -> Completion:
        """As `Model.complete`; it never fails, and counts no tokens."""
        question = next(
            (message.text for message in reversed(request.messages) if message.role == "user"), ""
        )
        for piece in re.findall(r"\s*\S+\s*", answer(question, self._facts())):
            emit(TextDelta(piece))
            await trio.sleep(_WORD_PAUSE_S)
        return Completion("stop", Usage())


def answer(question: str, facts: GatewayFacts) -> str:
    """The whole answer to the last thing the user wrote, in markdown."""
    if question.strip() == NEW_SESSION_PROMPT:
        return _greeting()
    question, files = without_files(question)
    if files:
        what = "the file that came" if files == 1 else f"the {files} files that came"
        blind = f"I cannot look at {what} with your message: {_WHAT_I_AM}."
        return f"{blind}\n\n{answer(question, facts)}" if question.strip() else blind
    text = question.casefold()
    words = re.findall(r"[^\W_]+", text)
    known = frozenset(words)
    if _WHO.search(text):
        return f"{_WHAT_I_AM}. I know this gateway and a few words; say **help** to see which."
    if len(words) <= _MAX_QUESTION_WORDS:
        if known & _CONNECT:
            return _how_to_connect(facts)
        if told := [tell(facts) for keywords, tell in _TOPICS if known & keywords]:
            return "\n".join(told) + f"\n\n*{_WHAT_I_AM}: these are the gateway's own figures.*"
    if known & _HELP and len(words) <= 4:
        return _help(facts)
    if known & _HELLO and len(words) <= 4:
        return _greeting()
    if known & _THANKS and len(words) <= 4:
        return "You are welcome."
    return f"{_WHAT_I_AM}, so I cannot answer that. To talk to a real one, connect it:\n\n" + _teach(facts)


def _greeting() -> str:
    return (
        f"Hello! The gateway runs and you are connected. {_WHAT_I_AM}: no language model is connected. "
        "Say **help** for what I know, or **connect** for the lines that bring a real model."
    )


def _help(facts: GatewayFacts) -> str:
    return (
        f"{_WHAT_I_AM}. Ask me for this gateway's **status**, **version**, **uptime**, **address**, "
        "connected **clients**, **sessions**, waiting **devices**, **config** file, **log** or **model**. "
        "`/new`, `/stop` and `/status` work too.\n\nTo talk to a real model, connect one:\n\n" + _teach(facts)
    )


def _how_to_connect(facts: GatewayFacts) -> str:
    return f"{_WHAT_I_AM}. Any of these three brings a real one:\n\n" + _teach(facts)


def _teach(facts: GatewayFacts) -> str:
    return _TEACH.format(config_file=facts.config_file)


def _status(facts: GatewayFacts) -> str:
    return "\n".join(
        (_version(facts), _uptime(facts), _address(facts), _clients(facts), _sessions(facts), _model(facts))
    )


def _version(facts: GatewayFacts) -> str:
    return f"- openclawd **{facts.version}**"


def _uptime(facts: GatewayFacts) -> str:
    return f"- up for **{_duration(facts.uptime_s)}**"


def _address(facts: GatewayFacts) -> str:
    host = f"[{facts.address}]" if ":" in facts.address else facts.address
    return f"- listening on **{host}:{facts.port}**"


def _clients(facts: GatewayFacts) -> str:
    return f"- **{facts.clients}** connected {'client' if facts.clients == 1 else 'clients'}"


def _sessions(facts: GatewayFacts) -> str:
    return f"- **{facts.sessions}** {'session' if facts.sessions == 1 else 'sessions'}"


def _devices(facts: GatewayFacts) -> str:
    if not facts.devices_waiting:
        return "- no device is waiting for approval"
    count = facts.devices_waiting
    waiting = "device is" if count == 1 else "devices are"
    return f"- **{count}** {waiting} waiting for approval; see them with `openclawd devices list`"


def _config(facts: GatewayFacts) -> str:
    return f"- the configuration is `{facts.config_file}`"


def _log(facts: GatewayFacts) -> str:
    return f"- the log is `{facts.log_file}`; follow it with `openclawd logs -f`"


def _model(facts: GatewayFacts) -> str:
    return f"- the model is `{facts.model}`; say **connect** for how to bring another"


def _duration(seconds: float) -> str:
    minutes, whole = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (whole, "s"))
    return " ".join([f"{count} {unit}" for count, unit in parts if count][:2]) or "0 s"


_TOPICS: Final[tuple[tuple[frozenset[str], Callable[[GatewayFacts], str]], ...]] = (
    (frozenset({"status", "health", "healthy"}), _status),
    (frozenset({"version", "release"}), _version),
    (frozenset({"uptime", "running", "started"}), _uptime),
    (frozenset({"address", "port", "host", "url", "listening", "listen", "ip"}), _address),
    (frozenset({"client", "clients", "connected", "connections"}), _clients),
    (frozenset({"session", "sessions"}), _sessions),
    (frozenset({"device", "devices", "pairing", "waiting"}), _devices),
    (frozenset({"config", "configuration", "settings"}), _config),
    (frozenset({"log", "logs"}), _log),
    (frozenset({"model", "models"}), _model),
)
