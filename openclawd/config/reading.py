"""From the bytes of a file to one JSON object.

Plain JSON goes through orjson; pyjson5 (30 ms and 5 MB to import) is loaded only when the text is more than
that. Guaranteed of what comes out: an object at the root, nested MAX_DEPTH levels at most, strings that are
valid Unicode, integers that fit 64 bits (larger ones become floats, as in stock): it can be encoded again.
"""

import re
from typing import TYPE_CHECKING, Final, NoReturn

import orjson

if TYPE_CHECKING:
    import pyjson5

# Far deeper than any configuration, far shallower than what recursion over a document can bear.
MAX_DEPTH: Final = 64
# A configuration of a few hundred lines has some 20 KB; this is a wrong file.
MAX_FILE_BYTES: Final = 8 * 1024 * 1024

_BOM: Final = "\ufeff"
_LINE_BREAK: Final = re.compile("\r\n|[\n\r\u2028\u2029]")
# Possessive and atomic: a row of comments must not be tried in all its ways.
TRIVIA: Final = re.compile(r"(?:[\s\ufeff]++|//[^\n\r\u2028\u2029]*+|(?>/\*.*?\*/))*+", re.DOTALL)
_NEAR: Final = re.compile(r"near (\d+)")


class NotReadable(Exception):
    """The text is no configuration. `line` counts from 1; None when no place can be named."""

    def __init__(self, reason: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(reason if column is None else f"{reason} (column {column})")
        self.line = line


class _TooDeep(Exception):
    """Somewhere in the document; where, the text has to say."""


def decode_text(data: bytes) -> str:
    """The text of a file, byte order mark included. Raises NotReadable."""
    if len(data) > MAX_FILE_BYTES:
        raise NotReadable(
            f"this file is larger than {MAX_FILE_BYTES // (1024 * 1024)} MiB: not a configuration"
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = position(data[: error.start].decode("utf-8"), error.start)
        bad = data[error.start]
        raise NotReadable(f"not UTF-8: byte 0x{bad:02x}; save the file as UTF-8", line, column) from error


def parse(text: str) -> dict[str, object]:
    """The object in `text`; nothing but white space and comments is an empty one. Raises NotReadable."""
    body = text.removeprefix(_BOM)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = {} if is_blank(body) else _parse_json5(body)
    if not isinstance(value, dict):
        raise NotReadable("the file must hold one object: { ... }", 1)
    try:
        return {key: _sound(item, 2) for key, item in value.items()}
    except _TooDeep:
        raise _nested_too_deep(text) from None


def is_blank(text: str) -> bool:
    """Whether there is nothing but white space and comments."""
    return TRIVIA.fullmatch(text) is not None


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of the character at `offset`."""
    line, start = 1, 0
    for found in _LINE_BREAK.finditer(text, 0, min(offset, len(text))):
        line, start = line + 1, found.end()
    return line, offset - start + 1


def _parse_json5(text: str) -> object:
    import pyjson5

    try:
        return pyjson5.decode(text, MAX_DEPTH + 1)
    except pyjson5.Json5NestingTooDeep as error:
        raise _nested_too_deep(text) from error
    except pyjson5.Json5DecoderException as error:
        _broken(text, error)


def _broken(text: str, error: "pyjson5.Json5DecoderException") -> NoReturn:
    """pyjson5 names the place in its message only, and the thing in the terms of its own tables."""
    said = str(error.args[0])
    near = _NEAR.search(said)
    count = int(near.group(1)) if near else 0
    # "near N" counts the characters read: the last is the culprit, or all is well up to there.
    offset = _after_trivia(text, count) if said.startswith("Extra data") else max(count - 1, 0)
    line, column = position(text, offset)
    unclosed = re.search(r"Unclosed b'(\w+)'", said)
    if unclosed:
        kind = {"NumericLiteral": "number"}.get(unclosed.group(1), unclosed.group(1))
        raise NotReadable(f"not JSON5: the {kind} that begins here has no proper end", line, column)
    found = text[offset : offset + 1]
    missing = "; is a comma missing before it?" if said.startswith("Expected b'comma'") else ""
    raise NotReadable(
        f"not JSON5: {found!r} is out of place{missing}" if found else "not JSON5", line, column
    )


def _nested_too_deep(text: str) -> NotReadable:
    from openclawd.config.syntax import scan

    line = None
    try:
        scan(text)
    except NotReadable as lost:
        line = lost.line
    return NotReadable(f"nested more than {MAX_DEPTH} levels deep", line)


def _after_trivia(text: str, offset: int) -> int:
    found = TRIVIA.match(text, offset)
    return found.end() if found else offset


def _sound(value: object, depth: int) -> object:
    if isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise _TooDeep
        if isinstance(value, list):
            return [_sound(item, depth + 1) for item in value]
        return {key: _sound(item, depth + 1) for key, item in value.items()}
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return _as_double(value)
    return value


def _as_double(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
