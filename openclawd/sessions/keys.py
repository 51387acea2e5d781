"""Session keys: every spelling that clients use becomes one canonical key, on the way in, everywhere.

Stock's aliases (protocol.md 7.6), lower-cased and in NFC: `main` is the main session of the default agent,
a bare `x` is `agent:<default agent>:x`, `global` and `unknown` stand for themselves, `agent:<id>:<rest>` is
complete, and any agent's `main` is its session of the name that main sessions have.
With `session.scope: global` the main session is `global`. A canonical key is its own canonical form. The
stock gateway compares raw keys in places (abort, some events); we never do.
"""

import re
import unicodedata
from typing import Final, Literal

Scope = Literal["per-sender", "global"]

GLOBAL: Final = "global"
UNKNOWN: Final = "unknown"
MAIN: Final = "main"
# A key names a conversation, it does not carry one; the longest stock keys (thread ids) stay below 200.
MAX_KEY_CHARS: Final = 512

_AGENT_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f]")


class MalformedKey(ValueError):
    """The text names no session."""


def canonical(key: str, *, default_agent: str, main_key: str, scope: Scope) -> str:
    """The one key that `key` means. Raises MalformedKey."""
    text = unicodedata.normalize("NFC", key.strip().lower())
    if not text:
        raise MalformedKey("session key is empty: expected a name such as `main` or `agent:main:main`")
    if _FORBIDDEN.search(text):
        raise MalformedKey(f"session key {key!r} contains a control character")
    if text in {GLOBAL, UNKNOWN}:
        return text
    main = f"agent:{default_agent}:{main_key}"
    if text in {MAIN, main_key}:
        text = main
    elif not text.startswith("agent:"):
        if text == "agent":
            raise MalformedKey("session key `agent` is incomplete: expected `agent:<agent id>:<name>`")
        text = f"agent:{default_agent}:{text}"
    if len(text) > MAX_KEY_CHARS:
        raise MalformedKey(f"session key is too long: {len(text)} characters, at most {MAX_KEY_CHARS}")
    agent, name = _split(key, text)
    if name not in {MAIN, main_key}:
        return text
    return GLOBAL if agent == default_agent and scope == "global" else f"agent:{agent}:{main_key}"


def agent_of(key: str, default_agent: str) -> str:
    """The agent that a canonical key belongs to."""
    return key.split(":", 2)[1] if key.startswith("agent:") else default_agent


def kind_of(key: str) -> Literal["direct", "group", "global", "unknown"]:
    """What stock calls the kind of a session, from its canonical key."""
    if key == GLOBAL:
        return "global"
    if key == UNKNOWN:
        return "unknown"
    return "group" if {"group", "channel"} & set(key.split(":")[2:]) else "direct"


def _split(key: str, text: str) -> tuple[str, str]:
    _, agent, *rest = text.split(":", 2)
    if not rest or not rest[0]:
        raise MalformedKey(f"session key {key!r} is incomplete: expected `agent:<agent id>:<name>`")
    if not _AGENT_ID.fullmatch(agent):
        raise MalformedKey(f"session key {key!r}: {agent!r} is not an agent id (letters, digits, - and _)")
    return agent, rest[0]
