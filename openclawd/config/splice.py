"""Cutting members into and out of a JSON5 text, in the style that is there.

A new member stands on a line of its own, indented as its neighbours, where they do so, else beside them; it
takes a comma behind it where the last one had one; its key is quoted where the others are. What a comment
says behind a member on the same line belongs to that member and stays with it.
"""

import re
from typing import Final

from openclawd.config.reading import TRIVIA
from openclawd.config.syntax import Child, Node

_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_LINE_INDENT: Final = re.compile(r"[ \t]*")
_LINE_END: Final = re.compile(r"[ \t]*(?:\r\n|\n|\r)")
# Comments that begin and end on the line of what they follow.
_COMMENTS_BEHIND: Final = re.compile(
    r"(?:[ \t]*+(?://[^\n\r\u2028\u2029]*+|/\*(?:(?!\*/)[^\n\r\u2028\u2029])*+\*/))*+"
)


class Style:
    """How a text is laid out: its line end, its step of indentation, whether keys are quoted."""

    def __init__(self, text: str, root: Node | None) -> None:
        first = root.children[0] if root is not None and root.children else None
        own_line = first is not None and _begins_line(text, first.start)
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self.step = (_indent(text, first.start) if first is not None and own_line else "") or "  "
        self.quoted = first is None or text[first.start] in "\"'"

    def value(self, value: object, indent: str | None) -> str:
        """JSON text, over several lines below `indent`, or on one when that is None. Raises ValueError."""
        import json

        step = None if indent is None else self.step
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=step)
        return text.replace("\n", self.newline + (indent or ""))

    def member(
        self, key: str | None, value: object, indent: str | None, *, quoted: bool | None = None
    ) -> str:
        """A member, its key quoted as the root's are unless said otherwise; without a key, an item."""
        written = self.value(value, indent)
        if key is None:
            return written
        quoted = self.quoted if quoted is None else quoted
        name = key if not quoted and _IDENTIFIER.fullmatch(key) else self.value(key, None)
        return f"{name}: {written}"


def document(text: str, key: str, value: object) -> str:
    """`text`, which holds comments at most, with the first object behind it."""
    style = Style(text, None)
    gap = "" if not text.strip("\ufeff") or text.endswith(("\n", "\r")) else style.newline
    return f"{text}{gap}{style.value({key: value}, '')}{style.newline}"


def replaced(text: str, root: Node, child: Child, value: object) -> str:
    """The text with another value in the place of the child's."""
    indent = _indent(text, child.start) if _begins_line(text, child.start) else None
    written = Style(text, root).value(value, indent)
    return text[: child.value.start] + written + text[child.value.end :]


def inserted(text: str, root: Node, holder: Node, *, start: int, key: str | None, value: object) -> str:
    """The text with a new last member (an item when `key` is None) in `holder`; its own key is at `start`."""
    style = Style(text, root)
    if holder.children:
        return _after_last(text, style, holder, key, value)
    closer = holder.end - 1
    inner = text[holder.start + 1 : closer]
    kept = inner.rstrip()
    comment_to_line_end = "//" in kept
    if not _begins_line(text, start) and not comment_to_line_end and "\n" not in inner:
        gap = " " if kept else ""
        member = style.member(key, value, None)
        return text[: holder.start + 1] + kept + gap + member + inner[len(kept) :] + text[closer:]
    outer = _indent(text, start)
    indent = outer + style.step
    member = style.newline + indent + style.member(key, value, indent)
    return text[: holder.start + 1] + kept + member + style.newline + outer + text[closer:]


def removed(text: str, holder: Node, index: int) -> str:
    """The text without one child of `holder`, its comma, and its line when nothing else is on it."""
    children = holder.children or ()
    child = children[index]
    before, after = text[: child.start], text[child.value.end :]
    if index + 1 < len(children) or holder.trailing_comma:
        comma = _skip_trivia(text, child.value.end)
        between = text[child.value.end : comma]
        after = (between if between.strip() else "") + text[comma + 1 :]
    elif index > 0:
        comma = _skip_trivia(text, children[index - 1].value.end)
        before = text[:comma] + text[comma + 1 : child.start]
    line_end = _LINE_END.match(after)
    if line_end is not None and _begins_line(before, len(before)):
        return before.rstrip(" \t") + after[line_end.end() :]
    if after.lstrip(" \t")[:1] in ("}", "]") and before.rstrip(" \t")[-1:] not in ("{", "["):
        return before.rstrip(" \t") + after
    return before + after.lstrip(" \t")


def _after_last(text: str, style: Style, holder: Node, key: str | None, value: object) -> str:
    last = (holder.children or ())[-1]
    end = last.value.end
    behind = _skip_trivia(text, end) + 1 if holder.trailing_comma else end
    comments = _COMMENTS_BEHIND.match(text, behind)
    place = comments.end() if comments else behind
    own_line = _begins_line(text, last.start)
    to_line_end = "//" in text[behind:place]
    indent = _indent(text, last.start) if own_line or to_line_end else None
    member = style.member(key, value, indent, quoted=text[last.start] in "\"'")
    gap = " " if indent is None else style.newline + indent
    comma_before, comma_after = ("", ",") if holder.trailing_comma else (",", "")
    return text[:end] + comma_before + text[end:place] + gap + member + comma_after + text[place:]


def _skip_trivia(text: str, offset: int) -> int:
    found = TRIVIA.match(text, offset)
    return found.end() if found else offset


def _line_start(text: str, offset: int) -> int:
    return max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1


def _begins_line(text: str, offset: int) -> bool:
    """Whether nothing but blanks stands before `offset` on its line."""
    return not text[_line_start(text, offset) : offset].strip(" \t\ufeff")


def _indent(text: str, offset: int) -> str:
    found = _LINE_INDENT.match(text, _line_start(text, offset))
    return found.group() if found else ""
