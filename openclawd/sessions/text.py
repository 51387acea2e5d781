"""The words of a user on their way in (protocol.md 7.1): one Unicode form, no control characters."""

import re
import unicodedata
from typing import Final

# More than that fits into no model's context window; a history that is read again and again has to hold it.
MAX_MESSAGE_CHARS: Final = 1_000_000

# Tab, line feed and carriage return are text; the other C0 characters and DEL are not.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class UnusableText(ValueError):
    """The text cannot be sent; `str(error)` is the sentence for it, stock's where stock has one."""


def normalise(text: str, *, required: bool = True) -> str:
    """`text` in NFC and without control characters.

    UnusableText: it has a NUL, is longer than `MAX_MESSAGE_CHARS`, or is empty and required.
    """
    if len(text) > MAX_MESSAGE_CHARS:
        raise UnusableText(f"message is too long: {len(text)} characters, at most {MAX_MESSAGE_CHARS}")
    if "\x00" in text:
        raise UnusableText("message must not contain null bytes")
    clean = _CONTROL.sub("", unicodedata.normalize("NFC", text))
    if required and not clean.strip():
        raise UnusableText("message or attachment required")
    return clean


def shortened(text: str, limit: int) -> str:
    """`text` on one line and at most `limit` characters, cut between words where there is one to cut at."""
    # So many words are longer already; the rest of a long text need not be looked at.
    line = " ".join(text.split(maxsplit=limit)[:limit])
    if len(line) <= limit:
        return line
    head = line[: limit - 1]
    at_word = head.rsplit(" ", 1)[0]
    return (at_word if len(at_word) > limit // 2 else head) + "\u2026"
