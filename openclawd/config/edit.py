"""Edits of the configuration file that leave everything else as the person wrote it.

Guaranteed: comments, order, quotes, commas, indentation and line ends outside the edited value stay; the
result, read again, says exactly what was intended, or EditError is raised and nothing is written.
"""

import os
from collections.abc import Sequence
from typing import Final

import orjson

from openclawd.config import splice
from openclawd.config.atomic import ChangedMeanwhile, alone_with, write_atomic
from openclawd.config.load import LoadedConfig, load_config, load_text
from openclawd.config.problems import ConfigError, ConfigProblem
from openclawd.config.reading import NotReadable, parse
from openclawd.config.syntax import Node, scan

# 192 bits: more than anyone can try, and what stock generates.
_TOKEN_BYTES: Final = 24


class EditError(Exception):
    """The edit cannot be made. The text says why."""


def set_value(text: str, path: Sequence[str], value: object) -> str:
    """`text` with `value` (a JSON value) at `path`; objects on the way are made. Raises EditError.

    A step into a list is an index; the one after the last item adds an item.
    """
    document = _document(text, path)
    intended = _with(document, list(path), value, ())
    root = scan(text).root
    try:
        if root is None:
            result = splice.document(text, path[0], _nested(path[1:], value))
        elif _canonical(intended) == _canonical(document):
            return text
        else:
            result = _placed(text, root, list(path), value)
    except (TypeError, ValueError, RecursionError) as error:
        raise EditError(f"{'.'.join(path)}: not a JSON value: {error}") from error
    return _verified(result, intended)


def unset_value(text: str, path: Sequence[str]) -> str:
    """`text` without the member or item at `path`; unchanged when there is none. Raises EditError."""
    document = _document(text, path)
    intended, found = _without(document, list(path))
    if not found:
        return text
    again = True
    while again:
        root = scan(text).root
        holder, _, missing = _deepest(root, path[:-1]) if root is not None else (None, 0, [])
        child = holder.child(path[-1]) if holder is not None and not missing else None
        if holder is None or child is None or holder.children is None:
            break
        text = splice.removed(text, holder, holder.children.index(child))
        # A key may stand there twice, an item not.
        again = holder.opener == "{"
    return _verified(text, intended)


def new_token() -> str:
    """A token that nobody can guess: 48 hex digits."""
    return os.urandom(_TOKEN_BYTES).hex()


def ensure_token(loaded: LoadedConfig) -> LoadedConfig:
    """The configuration with a `gateway.auth.token`: the file's, else a new one. Raises ConfigError.

    A new one is 48 hex digits and saved before this returns.
    """
    paths, path = loaded.paths, ("gateway", "auth", "token")
    try:
        with alone_with(paths.config_file):
            fresh = load_config(paths, loaded.process_environ)
            token = fresh.config.gateway.auth.token
            if token is not None and token.reveal().strip():
                return fresh
            text = set_value(fresh.raw, path, new_token())
            made = load_text(paths, text, loaded.process_environ)
            write_atomic(paths.config_file, text, backup=paths.config_backup, began_with=fresh.hash)
    except ChangedMeanwhile:
        return ensure_token(loaded)
    except (EditError, OSError) as error:
        reason = f"a new token cannot be saved: {getattr(error, 'strerror', None) or error}"
        hint = "make the file writable, or set OPENCLAW_GATEWAY_TOKEN"
        problem = ConfigProblem(".".join(path), None, reason, hint=hint)
        raise ConfigError((problem,), source=str(paths.config_file)) from error
    return made


# --- the document


def _document(text: str, path: Sequence[str]) -> dict[str, object]:
    if not path:
        raise EditError("a path is needed, such as gateway.port")
    try:
        return parse(text)
    except NotReadable as error:
        place = f"line {error.line}: " if error.line is not None else ""
        raise EditError(f"the file cannot be edited: {place}{error}") from error


def _with(value: object, path: list[str], new: object, above: tuple[str, ...]) -> object:
    """A copy of `value` with `new` at `path` below it; `above` is where it stands itself."""
    if not path:
        return new
    step, *rest = path
    if isinstance(value, dict):
        below = _with(value[step], rest, new, (*above, step)) if step in value else _nested(rest, new)
        return {**value, step: below}
    if isinstance(value, list) and step.isdecimal() and int(step) <= len(value):
        index = int(step)
        below = _with(value[index], rest, new, (*above, step)) if index < len(value) else _nested(rest, new)
        return [*value[:index], below, *value[index + 1 :]]
    raise EditError(f"{'.'.join(above)} has no place for {step}; set or unset it as a whole")


def _without(value: object, path: list[str]) -> tuple[object, bool]:
    """A copy of `value` without what is at `path`, and whether there was something."""
    step, *rest = path
    if isinstance(value, dict) and step in value:
        if not rest:
            return {key: item for key, item in value.items() if key != step}, True
        below, found = _without(value[step], rest)
        return {**value, step: below}, found
    if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
        index = int(step)
        if not rest:
            return [*value[:index], *value[index + 1 :]], True
        below, found = _without(value[index], rest)
        return [*value[:index], below, *value[index + 1 :]], found
    return value, False


def _nested(path: Sequence[str], value: object) -> object:
    for step in reversed(path):
        value = {step: value}
    return value


def _verified(text: str, intended: object) -> str:
    """`text`, if it says what was intended: whatever the layout was, no edit may say anything else."""
    try:
        same = _canonical(parse(text)) == _canonical(intended)
    except (NotReadable, TypeError) as error:
        raise EditError(f"this value cannot be written: {error}") from error
    if not same:
        raise EditError("this edit cannot be made without changing something else; edit the file by hand")
    return text


def _canonical(value: object) -> bytes:
    """Equal for equal JSON, and for nothing else: Python's own == takes True for 1. Raises TypeError."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


# --- the text


def _placed(text: str, root: Node, path: list[str], value: object) -> str:
    holder, start, missing = _deepest(root, path[:-1])
    step, *below = [*missing, path[-1]]
    child = holder.child(step)
    if child is not None:
        return splice.replaced(text, root, child, value)
    key = step if holder.opener == "{" else None
    return splice.inserted(text, root, holder, start=start, key=key, value=_nested(below, value))


def _deepest(root: Node, path: Sequence[str]) -> tuple[Node, int, list[str]]:
    """The deepest value on `path` that is there, where it begins with its key, and the steps that are not."""
    node, start = root, root.start
    for index, step in enumerate(path):
        child = node.child(step)
        if child is None:
            return node, start, list(path[index:])
        node, start = child.value, child.start
    return node, start, []
