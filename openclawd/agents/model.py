"""What a model is to the rest of the house: messages in, pieces of text out, one completion or one error at
the end.

A model guarantees: `emit` is called in order and synchronously from the task that called `complete`; text
that was emitted before an error stays said; cancelling the caller's scope closes the connection to the
provider at once.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Literal, Protocol

import attrs


@attrs.frozen(eq=False, repr=False)
class Image:
    """A picture that a user sent; `media_type` is one of image/png, image/jpeg, image/gif, image/webp."""

    media_type: str
    data: bytes = attrs.field(repr=False)


@attrs.frozen
class ModelMessage:
    """One turn of the conversation as the provider sees it; its images stand before its text."""

    role: Literal["system", "user", "assistant"]
    text: str
    images: tuple[Image, ...] = ()


@attrs.frozen(eq=False)
class ModelRequest:
    """One question to a model: the whole conversation so far, oldest first.

    `thinking` is how hard to think first: "off", or a level that the model has (`thinking_levels`).
    """

    messages: tuple[ModelMessage, ...]
    session_key: str
    max_tokens: int | None = None
    thinking: str = "off"


@attrs.frozen
class TextDelta:
    """A piece of the answer; never empty."""

    text: str


@attrs.frozen
class ThinkingDelta:
    """A piece of the model's reasoning, as far as the provider shows it; never empty."""

    text: str


Emit = Callable[[TextDelta | ThinkingDelta], None]


@attrs.frozen
class Usage:
    """Tokens, as the provider counted them; `input` leaves out what was read from its cache."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


@attrs.frozen
class Completion:
    """How an answer ended, and what it cost."""

    stop_reason: Literal["stop", "length", "toolUse"]
    usage: Usage


class ModelErrorKind(StrEnum):
    """Why a model gave no (whole) answer."""

    BAD_KEY = "bad_key"
    """The provider refused the API key, or wants one."""
    UNKNOWN_MODEL = "unknown_model"
    """Neither we nor the provider know a model of that name."""
    UNREACHABLE = "unreachable"
    """No connection, or no answer within the timeout."""
    CONTEXT_TOO_LONG = "context_too_long"
    """The conversation is longer than the model's context window."""
    RATE_LIMITED = "rate_limited"
    """The provider wants fewer requests, or the account has no credit left."""
    OVERLOADED = "overloaded"
    """The provider failed (5xx), also when asked again."""
    BROKEN_OFF = "broken_off"
    """The stream ended in the middle; what was emitted before stays."""
    REFUSED = "refused"
    """The provider understood the request and will not answer it."""
    PROTOCOL = "protocol"
    """What came back is not what an OpenAI-compatible server says."""


class ModelError(Exception):
    """A failed model call; `str(error)` is the sentence for the user and ends in what helps.

    `retry_after_s` is set where the same request may well succeed after that many seconds.
    """

    def __init__(self, kind: ModelErrorKind, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after_s = retry_after_s


class Model(Protocol):
    """Something that answers a conversation."""

    @property
    def provider(self) -> str:
        """The provider's name, as in the config ("openai", "ollama", "openclawd")."""
        ...

    @property
    def id(self) -> str:
        """The model's name at that provider; may contain slashes."""
        ...

    @property
    def api(self) -> str:
        """Which wire it speaks ("openai-completions", or "openclawd" for the built-in one)."""
        ...

    async def complete(self, request: ModelRequest, emit: Emit) -> Completion:
        """Answer `request`, piece by piece; raises ModelError. Cancel by cancelling the caller's scope."""
        ...
