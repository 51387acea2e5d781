"""How a model's context window is shared between what it reads and what it writes. All counts are tokens.

Every provider counts with a tokenizer of its own, so these are estimates: about four characters of English
make a token, and a Chinese, Japanese or Korean character is about one. Taking every character outside ASCII
for one counts too much for accented and Cyrillic text, which only costs some of the oldest messages.
"""

from collections.abc import Iterable
from typing import Final

import attrs

from openclawd.agents.model import ModelMessage

_ASCII_CHARS_PER_TOKEN: Final = 4
# The role of a message and the marks round it.
_MESSAGE_TOKENS: Final = 4
# About what providers count for a picture of the size that they make of a larger one.
IMAGE_TOKENS: Final = 1_600
# Of text files only the size is known before they are read: a token has three bytes or more.
_BYTES_PER_TOKEN: Final = 3
# What is kept free for the answer when its limit is not configured.
ANSWER_TOKENS: Final = 8_192
# A shorter answer is of no use: where estimates leave less, the server decides whether it fits.
MIN_ANSWER_TOKENS: Final = 1_024
# For a model whose window nobody knows: what even small local servers are started with today.
DEFAULT_WINDOW_TOKENS: Final = 32_768


def tokens_of(text: str) -> int:
    """About how many tokens a message of this text is."""
    ascii_chars = len(text.encode("ascii", "ignore"))
    return -(-ascii_chars // _ASCII_CHARS_PER_TOKEN) + len(text) - ascii_chars + _MESSAGE_TOKENS


def tokens_of_bytes(size: int) -> int:
    """About how many tokens a text file of that many bytes is at most."""
    return -(-size // _BYTES_PER_TOKEN) + _MESSAGE_TOKENS


@attrs.frozen(eq=False, repr=False)
class Budget:
    """The window of one model and the longest answer it may give, as far as they are known."""

    window: int | None = None
    max_tokens: int | None = None

    @property
    def prompt(self) -> int:
        """What the model may read."""
        return self._window - self._reserve

    def answer(self, messages: Iterable[ModelMessage]) -> int | None:
        """The `max_tokens` to ask for: as configured, if the window has that left beside the prompt."""
        if self.max_tokens is None or self.window is None:
            return self.max_tokens
        prompt = sum(tokens_of(message.text) + IMAGE_TOKENS * len(message.images) for message in messages)
        left = max(self.window - prompt, min(MIN_ANSWER_TOKENS, self._reserve))
        # Beyond the reserve, a quarter of the prompt is left alone: servers refuse a sum above the window.
        return min(self.max_tokens, max(left - prompt // 4, min(left, self._reserve)))

    @property
    def _window(self) -> int:
        return self.window or DEFAULT_WINDOW_TOKENS

    @property
    def _reserve(self) -> int:
        return min(self.max_tokens or ANSWER_TOKENS, self._window // 2)
