"""Which shared tokens are beyond guessing.

A strong token is admitted whatever a limiter says, as guessing gains nothing from that; any other counts as
a password. Strong is 32 hex digits or more, or 22 characters or more that mix cases and digits: both are 128
bits when drawn at random. That a text was drawn at random cannot be proven, but a block that repeats
disproves it, so such a text is never strong.
"""

from typing import Final

_HEX_DIGITS: Final = frozenset("0123456789abcdefABCDEF")
_HEX_MIN_CHARACTERS: Final = 32
_MIXED_MIN_CHARACTERS: Final = 22
# A random text holds such a repetition less than once in ten thousand.
_HEX_BLOCK_CHARACTERS: Final = 8
_MIXED_BLOCK_CHARACTERS: Final = 4


def is_strong(token: str) -> bool:
    """Whether `token` may pass where a limiter holds passwords back."""
    if _HEX_DIGITS.issuperset(token):
        return len(token) >= _HEX_MIN_CHARACTERS and not _repeats(token, _HEX_BLOCK_CHARACTERS)
    return (
        len(token) >= _MIXED_MIN_CHARACTERS
        and any(character.isupper() for character in token)
        and any(character.islower() for character in token)
        and any(character.isdigit() for character in token)
        and not _repeats(token, _MIXED_BLOCK_CHARACTERS)
    )


def _repeats(text: str, block: int) -> bool:
    seen: set[str] = set()
    for start in range(len(text) - block + 1):
        piece = text[start : start + block]
        if piece in seen:
            return True
        seen.add(piece)
    return False
