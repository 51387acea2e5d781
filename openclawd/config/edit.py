"""Edits of the configuration file that leave everything else as the person wrote it.

Guaranteed: comments, order, quotes, commas, indentation and line ends outside the edited value stay; the
result, read again, says exactly what was intended, or EditError is raised and nothing is written; and a
reader (or a power cut) finds the old file or the new one, never a part of either.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from openclawd.config import splice
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


def write_atomic(path: Path, text: str, *, backup: Path) -> None:
    """Replace the file by `text`: mode 0600, durable when this returns. Raises OSError.

    The old one is kept as `backup`. A symbolic link stays and its target is replaced; a file that root
    edits keeps its owner.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    data = text.encode()
    try:
        previous = target.read_bytes()
    except FileNotFoundError:
        previous = None
    if previous == data:
        return
    if previous is not None:
        backup.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(backup, previous, like=target)
    _replace(target, data, like=target)
    _sync_folder(target.parent)


def ensure_token(loaded: LoadedConfig) -> LoadedConfig:
    """The configuration with a `gateway.auth.token`: the file's, else a new one. Raises ConfigError.

    A new one is 48 hex digits and saved before this returns.
    """
    paths, path = loaded.paths, ("gateway", "auth", "token")
    fresh = load_config(paths, loaded.environ)
    token = fresh.config.gateway.auth.token
    if token is not None and token.reveal().strip():
        return fresh
    try:
        text = set_value(fresh.raw, path, os.urandom(_TOKEN_BYTES).hex())
        made = load_text(paths, text, loaded.environ)
        write_atomic(paths.config_file, text, backup=paths.config_backup)
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
    raise EditError(f"{'.'.join(above)} has no place for {step}; set it as a whole")


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


# --- the disk


def _replace(target: Path, data: bytes, *, like: Path) -> None:
    """Put `data` in the place of `target` in one step, owned as `like` is."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _keep_owner(descriptor, like)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _keep_owner(descriptor: int, like: Path) -> None:
    """Root edits for others: a file that its daemon cannot read any more would be no edit."""
    if os.geteuid() != 0:
        return
    owner = (like if like.exists() else like.parent).stat()
    os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _sync_folder(folder: Path) -> None:
    """Without this a rename may be lost in a power cut (rename(2), fsync(2))."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
