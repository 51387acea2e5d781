"""A text that came back with its secrets covered, made whole again.

Who may edit the configuration gets it with `__OPENCLAW_REDACTED__` in the place of every secret and sends it
back so. Guaranteed: a placeholder is replaced by what the file holds at the same place, written as it is
written there, or nothing is; no place ever gets the secret of another. An item of a list is the same item
when its `id` is; items without one only while the list has as many as before, and of several with one `id`,
while all are where they were.
"""

import re
from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Final

from openclawd.config.problems import ConfigProblem
from openclawd.config.reading import NotReadable, parse, position
from openclawd.config.redact import REDACTED, covered_comments
from openclawd.config.structure import Path, format_path
from openclawd.config.syntax import Node, scan

_PLACEHOLDER: Final = re.compile(rf"""(["']){REDACTED}\1""")


class StillCovered(Exception):
    """There is nothing to put in the place of some placeholders; `problems` names them."""

    def __init__(self, problems: tuple[ConfigProblem, ...]) -> None:
        super().__init__("; ".join(problem.text() for problem in problems))
        self.problems = problems


def uncovered(text: str, original: str) -> str:
    """`text`, which `reading.parse` accepts, with what `original` has in the place of its placeholders.

    Raises StillCovered, NotReadable.
    """
    if REDACTED not in text:
        return text
    restoring = _Restoring(text, original)
    syntax = scan(text)
    if syntax.root is not None:
        restoring.walk(syntax.root, restoring.root, ())
    if restoring.problems:
        raise StillCovered(tuple(restoring.problems))
    comments = _original_comments(original)
    for start, end in syntax.comments:
        if said := comments.get(text[start:end]):
            # Two comments may look alike when they are covered; they come in their order.
            restoring.pieces[start, end] = said.popleft() if len(said) > 1 else said[0]
    parts, last = [], 0
    for (start, end), piece in sorted(restoring.pieces.items()):
        parts += [text[last:start], piece]
        last = end
    return "".join([*parts, text[last:]])


class _Restoring:
    """One walk through a text beside the original."""

    def __init__(self, text: str, original: str) -> None:
        self.text = text
        self.original = original
        try:
            self.root = scan(original).root
        except NotReadable:
            self.root = None
        self.pieces: dict[tuple[int, int], str] = {}
        self.problems: list[ConfigProblem] = []

    def walk(self, node: Node, was: Node | None, path: Path) -> None:
        if node.children is None:
            if _PLACEHOLDER.fullmatch(self.text[node.start : node.end]):
                self._restore(node, was, path)
        elif node.opener == "{":
            for child in node.children:
                before = was.child(child.key or "") if was is not None and was.opener == "{" else None
                self.walk(child.value, before.value if before else None, (*path, child.key or ""))
        else:
            items = [child.value for child in node.children]
            before_items = [child.value for child in was.children or ()] if was and was.opener == "[" else []
            pairs = zip(items, self._partners(items, before_items), strict=True)
            for index, (item, partner) in enumerate(pairs):
                self.walk(item, partner, (*path, index))

    def _restore(self, node: Node, was: Node | None, path: Path) -> None:
        kept = self.original[was.start : was.end] if was is not None and was.children is None else None
        if kept is None or _PLACEHOLDER.fullmatch(kept):
            sentence = f"stands for a secret that the file does not hold here ({REDACTED}); write the value"
            line = position(self.text, node.start)[0]
            self.problems.append(ConfigProblem(format_path(path), None, sentence, line))
        else:
            self.pieces[node.start, node.end] = kept

    def _partners(self, items: list[Node], before: list[Node]) -> Iterator[Node | None]:
        """What each item was before."""
        names = [_identity(self.text, item) for item in items]
        names_before = [_identity(self.original, item) for item in before]
        by_id: dict[str | None, list[Node]] = defaultdict(list)
        for name, item in zip(names_before, before, strict=True):
            by_id[name].append(item)
        for index, name in enumerate(names):
            same = by_id[name]
            if name is not None and len(same) < 2:
                yield same[0] if same else None
            elif name is None:
                yield before[index] if len(before) == len(items) else None
            else:
                yield before[index] if names == names_before else None


def _identity(text: str, item: Node) -> str | None:
    """The `id` of an item that has one."""
    child = item.child("id") if item.opener == "{" else None
    if child is None:
        return None
    found = parse(f"{{id: {text[child.value.start : child.value.end]}}}")["id"]
    return found if isinstance(found, str) else None


def _original_comments(original: str) -> dict[str, deque[str]]:
    """What the comments said, by how they are shown."""
    comments: dict[str, deque[str]] = defaultdict(deque)
    try:
        for shown, said in covered_comments(original, parse(original)):
            comments[shown].append(said)
    except NotReadable:
        return {}
    return comments
