"""A secret that cannot be shown by accident.

Guarantees: no `str`, `repr`, format specification, pickle or JSON encoder yields the text; only `reveal()`
does, so every place that needs the text can be found by that name. Equality takes the same time wherever
the texts differ. It does not protect the text against a debugger or a memory dump.
"""

import hmac
from typing import Final, NoReturn

_SHOWN: Final = "Secret(***)"


class Secret:
    """A token, password or key. Empty secrets are allowed and false."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_octets(self._text), _octets(other._text))

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        return _SHOWN

    def __str__(self) -> str:
        return _SHOWN

    def __format__(self, format_spec: str) -> str:
        return format(_SHOWN, format_spec)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")


def _octets(text: str) -> bytes:
    # Lone surrogates (an environment variable that is not UTF-8) must compare too.
    return text.encode("utf-8", "surrogatepass")
