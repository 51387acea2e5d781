"""Documents and texts without their secrets, for those who may read the configuration but not own it.

In the raw text the same values are replaced, and what looks like them in comments.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from openclawd.config.reading import NotReadable
from openclawd.config.secret_names import IN_URL, hides
from openclawd.config.syntax import Node, Syntax, scan

# Stock's own mark (protocol.md 6.1, config.get).
REDACTED: Final = "__OPENCLAW_REDACTED__"

# Stands for what is in the text and not in the document: nobody has looked at it, so all of it is hidden.
_UNSEEN: Final = object()
_IN_COMMENT: Final = re.compile(
    r"""(?<![\w-])((?:[\w-]*(?:token|secret|password|passwd|passphrase|authorization|api[-_]?key|private[-_]?key))["']?\s*[:=]\s*)
        (?!\$\{)(?:"[^"\n]*"|'[^'\n]*'|(?:(?:basic|bearer|token)\s+)?[^\s,}]+)
    """,
    re.IGNORECASE | re.VERBOSE,
)


def redact(document: Mapping[str, object]) -> dict[str, object]:
    """A copy with every secret replaced."""
    return {key: _redacted(value, (key,)) for key, value in document.items()}


def redact_text(raw: str, document: Mapping[str, object]) -> str:
    """The text of the file with the same values replaced, also where they or their like stand in comments."""
    try:
        syntax = scan(raw)
    except NotReadable:
        # Nobody can tell what is secret in a text that cannot be read.
        return ""
    spans = _secret_spans(syntax, document)
    pieces, last = [], 0
    quoted = f'"{REDACTED}"'
    comments = zip(syntax.comments, _shown_comments(syntax, spans), strict=True)
    covers = [*((start, end, quoted) for start, end in spans), *((*span, shown) for span, shown in comments)]
    for start, end, text in sorted(covers):
        pieces += [raw[last:start], text]
        last = end
    return "".join([*pieces, raw[last:]])


def covered_comments(raw: str, document: Mapping[str, object]) -> list[tuple[str, str]]:
    """The comments that `redact_text` changes: how each is shown, and what it says. Raises NotReadable."""
    syntax = scan(raw)
    shown = _shown_comments(syntax, _secret_spans(syntax, document))
    pairs = [
        (as_shown, raw[start:end]) for as_shown, (start, end) in zip(shown, syntax.comments, strict=True)
    ]
    return [pair for pair in pairs if pair[0] != pair[1]]


def _secret_spans(syntax: Syntax, document: Mapping[str, object]) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    if syntax.root is not None:
        _collect(syntax.root, document, (), spans)
    return spans


def _shown_comments(syntax: Syntax, spans: list[tuple[int, int]]) -> list[str]:
    comments = [syntax.text[start:end] for start, end in syntax.comments]
    together = "\n".join(comments)
    secrets = {syntax.text[start:end].strip("\"'") for start, end in spans}
    # Six characters: a secret of "a" must not eat every a.
    said = [secret for secret in secrets if len(secret) >= 6 and secret in together]
    said.sort(key=len, reverse=True)
    return [_comment(comment, said) for comment in comments]


def _redacted(value: object, path: tuple[str | int, ...]) -> object:
    if isinstance(value, dict):
        return {key: _redacted(item, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item, (*path, index)) for index, item in enumerate(value)]
    return REDACTED if hides(value, path) else value


def _collect(node: Node, value: object, path: tuple[str | int, ...], spans: list[tuple[int, int]]) -> None:
    if node.children is None:
        if value is _UNSEEN or hides(value, path):
            spans.append((node.start, node.end))
        return
    for index, child in enumerate(node.children):
        if child.key is None:
            item = value[index] if isinstance(value, list) and index < len(value) else _UNSEEN
            _collect(child.value, item, (*path, index), spans)
            continue
        # A key given twice: the document has the last one only.
        counts = isinstance(value, Mapping) and node.child(child.key) is child
        item = value.get(child.key, _UNSEEN) if isinstance(value, Mapping) and counts else _UNSEEN
        _collect(child.value, item, (*path, child.key), spans)


def _comment(text: str, secrets: Sequence[str]) -> str:
    """A comment as it may be shown; its marks stay, whatever is inside. `secrets`: the longest first."""
    end = "*/" if text.startswith("/*") else ""
    text = text.removesuffix(end)
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    text = _IN_COMMENT.sub(rf"\g<1>{REDACTED}", text)
    return IN_URL.sub(lambda found: f"{found[1] or found[2]}{REDACTED}", text) + end
