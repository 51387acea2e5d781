"""Documents and texts without their secrets, for those who may read the configuration but not own it.

In the raw text the same values are replaced, and what looks like them in comments.
"""

import re
from collections.abc import Mapping
from typing import Final

from openclawd.config.load import LoadedConfig
from openclawd.config.reading import NotReadable
from openclawd.config.secret_names import hides
from openclawd.config.syntax import Node, scan

# Stock's own mark (protocol.md 6.1, config.get).
REDACTED: Final = "__OPENCLAW_REDACTED__"

# Stands for what is in the text and not in the document: nobody has looked at it, so all of it is hidden.
_UNSEEN: Final = object()
_IN_COMMENT: Final = re.compile(
    r"""(?<![\w-])((?:[\w-]*(?:token|secret|password|passwd|passphrase|authorization|api[-_]?key|private[-_]?key))["']?\s*[:=]\s*)
        (?!\$\{)(?:"[^"\n]*"|'[^'\n]*'|[^\s,}]+)
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
    spans: list[tuple[int, int]] = []
    if syntax.root is not None:
        _collect(syntax.root, document, (), spans)
    secrets = {str(raw[start:end]).strip("\"'") for start, end in spans}
    pieces, last = [], 0
    quoted = f'"{REDACTED}"'
    comments = [(start, end, _comment(raw[start:end], secrets)) for start, end in syntax.comments]
    for start, end, text in sorted([*((start, end, quoted) for start, end in spans), *comments]):
        pieces += [raw[last:start], text]
        last = end
    return "".join([*pieces, raw[last:]])


def config_get_result(loaded: LoadedConfig) -> dict[str, object]:
    """The answer of `config.get` in stock's shape (protocol.md 6.1), all of it redacted.

    `${VAR}` stays in every form: an editor that saves what it was given must not write secrets into the file.
    """
    document = redact(loaded.document)
    return {
        "path": str(loaded.paths.config_file),
        "exists": loaded.exists,
        "raw": redact_text(loaded.raw, loaded.document) if loaded.exists else None,
        "parsed": document,
        "resolved": document,
        "valid": True,
        "config": document,
        "hash": loaded.hash,
        "issues": [],
        "warnings": [{"path": "", "message": notice} for notice in loaded.notices],
        "legacyIssues": [],
    }


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


def _comment(text: str, secrets: set[str]) -> str:
    """A comment as it may be shown; its marks stay, whatever is inside."""
    end = "*/" if text.startswith("/*") else ""
    text = text.removesuffix(end)
    # Six characters: a secret of "a" must not eat every a.
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 6:
            text = text.replace(secret, REDACTED)
    return _IN_COMMENT.sub(rf"\g<1>{REDACTED}", text) + end
