"""`${VAR}` in strings of the configuration, as stock has it.

Only upper-case names are references: `[A-Z_][A-Z0-9_]*`; `$${VAR}` stands for the literal `${VAR}`; all else
is left as it is. A variable that is missing or empty is an error: an empty key would be sent.
"""

import re
from collections.abc import Mapping
from typing import Final

_REFERENCE: Final = re.compile(r"(\$?)\$\{([A-Z_][A-Z0-9_]*)\}")


class MissingVariable(Exception):
    """`name` is referenced and not set."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def substituted(text: str, environ: Mapping[str, str]) -> str:
    """`text` with its references replaced. Raises MissingVariable."""
    if "${" not in text:
        return text

    def value(match: re.Match[str]) -> str:
        escaped, name = match.groups()
        if escaped:
            return "${" + name + "}"
        found = environ.get(name)
        if not found:
            raise MissingVariable(name)
        return found

    return _REFERENCE.sub(value, text)


def is_reference(text: str) -> bool:
    """Whether the whole text is one reference, which says where a secret is and not what it is."""
    match = _REFERENCE.fullmatch(text)
    return match is not None and not match.group(1)


def given_variables(document: Mapping[str, object]) -> dict[str, str]:
    """The variables that a document brings along in `env` and `env.vars`; those that need others stay out."""
    section = document.get("env")
    if not isinstance(section, Mapping):
        return {}
    inner = section.get("vars")
    named = {**section, **(inner if isinstance(inner, Mapping) else {})}
    return {key: text for key, text in named.items() if isinstance(text, str) and not _REFERENCE.search(text)}


def overlaid(environ: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """`environ`, with `variables` where it has nothing."""
    return {**variables, **{name: text for name, text in environ.items() if text.strip()}}
