"""Where things stand in a JSON5 text: the spans of its members, items and comments.

A parser gives values and forgets the places; edits, error lines and redaction of the raw text need the places
and leave the values to the parser. So this reads the lexical grammar only (JSON5 specification, chapters 4 to
8) and relies on a text that `reading.parse` has accepted. A round-trip library (json-five) was measured for
the same purpose: 100 ms to import, 12 ms a kilobyte, and commas, indentation and comments around a new member
are left to its caller, who is most of the work.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Final

import attrs
import orjson

from openclawd.config.reading import MAX_DEPTH, NotReadable, position

_TOKEN: Final = re.compile(
    r"""(?P<space>[\s\ufeff]++)
      | (?P<comment>//[^\n\r\u2028\u2029]*+ | (?>/\*.*?\*/))
      | (?P<string>"[^"\\]*+(?:\\.[^"\\]*+)*+" | '[^'\\]*+(?:\\.[^'\\]*+)*+')
      | (?P<mark>[{}\[\]:,])
      | (?P<bare>[^\s\ufeff{}\[\]:,"'/]++)
    """,
    re.DOTALL | re.VERBOSE,
)


@attrs.frozen
class Child:
    """A member of an object, from its key on, or an item of an array (`key` is None)."""

    key: str | None
    start: int
    value: "Node"


@attrs.frozen(eq=False, repr=False)
class Node:
    """A value: text[start:end]. `children` is None for scalars."""

    start: int
    end: int
    opener: str
    children: tuple[Child, ...] | None
    # Whether a comma follows the last child.
    trailing_comma: bool = False

    def child(self, step: str | int) -> Child | None:
        """The member or item; of a key that is given twice the last, which is the one that counts."""
        if self.children is None:
            return None
        if self.opener == "[":
            index = int(step) if str(step).isdecimal() else -1
            return self.children[index] if 0 <= index < len(self.children) else None
        return self._members.get(str(step))

    @cached_property
    def _members(self) -> Mapping[str | None, Child]:
        # Who walks through an object of many asks for each of them.
        return {child.key: child for child in self.children or ()}


@attrs.frozen(eq=False, repr=False)
class Syntax:
    """A scanned text. `root` is None when there is nothing but white space and comments."""

    text: str
    root: Node | None
    comments: tuple[tuple[int, int], ...]

    def line_of(self, path: tuple[str | int, ...]) -> int:
        """The line (from 1) of the deepest part of `path` that is there."""
        offset, node = 0, self.root
        for step in path:
            child = node.child(step) if node else None
            if child is None:
                break
            offset, node = child.start, child.value
        return position(self.text, offset)[0]


def scan(text: str) -> Syntax:
    """The places in a text that `reading.parse` accepts. Raises NotReadable for some that it does not."""
    scanner = _Scanner(text)
    root = scanner.value() if scanner.kind else None
    if scanner.kind:
        raise scanner.lost()
    return Syntax(text, root, tuple(scanner.comments))


class _Scanner:
    """Holds the token that comes next: `kind` ("" at the end), `start`, `end`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.comments: list[tuple[int, int]] = []
        self._depth = 0
        self._tokens = self._significant()
        self.kind, self.start, self.end = next(self._tokens)

    def value(self) -> Node:
        start, end, mark = self.start, self.end, self.text[self.start : self.start + 1]
        if self.kind == "mark" and (mark not in ("{", "[") or self._depth >= MAX_DEPTH):
            raise self.lost()
        if self._take() != "mark":
            return Node(start, end, "", None)
        self._depth += 1
        node = self._container(start, mark)
        self._depth -= 1
        return node

    def _container(self, start: int, opener: str) -> Node:
        closer = "}" if opener == "{" else "]"
        children: list[Child] = []
        comma = False
        while not self._at(closer):
            if children and not comma:
                raise self.lost()
            children.append(self._member() if opener == "{" else self._item())
            comma = self._at(",")
            if comma:
                self._take()
        end = self.end
        self._take()
        return Node(start, end, opener, tuple(children), comma)

    def _member(self) -> Child:
        start, token = self.start, self.text[self.start : self.end]
        if self._take() not in ("string", "bare") or not self._at(":"):
            raise self.lost()
        self._take()
        return Child(_key(token), start, self.value())

    def _item(self) -> Child:
        value = self.value()
        return Child(None, value.start, value)

    def _at(self, mark: str) -> bool:
        return self.kind == "mark" and self.text[self.start] == mark

    def _take(self) -> str:
        """The kind of the token that was next; the one after it is next now."""
        kind = self.kind
        if not kind:
            raise self.lost()
        self.kind, self.start, self.end = next(self._tokens)
        return kind

    def _significant(self) -> Iterator[tuple[str, int, int]]:
        offset = 0
        while offset < len(self.text):
            found = _TOKEN.match(self.text, offset)
            if found is None:
                raise NotReadable("not JSON5", *position(self.text, offset))
            offset = found.end()
            if found.lastgroup == "comment":
                self.comments.append(found.span())
            elif found.lastgroup != "space":
                yield found.lastgroup or "", *found.span()
        yield "", offset, offset

    def lost(self) -> NotReadable:
        return NotReadable("not JSON5", *position(self.text, self.start))


def _key(token: str) -> str:
    """The key that a string or an identifier stands for."""
    if "\\" not in token:
        return token[1:-1] if token[0] in "\"'" else token
    if token[0] == '"':
        try:
            return str(orjson.loads(token))
        except orjson.JSONDecodeError:
            pass  # an escape that only JSON5 has
    import pyjson5

    (key,) = pyjson5.decode("{" + token + ":0}")
    return str(key)
