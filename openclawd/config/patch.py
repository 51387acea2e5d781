"""A merge patch (RFC 7396) of the configuration, with what OpenClaw adds to it, made in the text of the file.

null removes a member. Of a list whose items all have an `id`, items of the patch change the item of the same
`id` or come behind the last; any other list is replaced. A list that would lose items by that is refused
where the client has not named it (`replacePaths`). Comments, order and layout outside of what changes stay.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import orjson

from openclawd.config.edit import EditError, set_value, unset_value
from openclawd.config.problems import PatchRefused
from openclawd.config.reading import parse

# Where OpenClaw's page keeps its looks: the last one to write may win, so it sends no base hash.
_PAGE_OWN: Final = "ui.prefs."


@attrs.frozen(eq=False, repr=False)
class _Change:
    """One value of the document: `value` is to stand at `path`, or nothing (`gone`)."""

    path: tuple[str, ...]
    value: object = None
    gone: bool = False


def patched(text: str, patch: Mapping[str, object], replaced: Collection[str] | None = None) -> str:
    """`text`, which `reading.parse` accepts, with the patch made in it.

    `replaced` names the lists that may lose items (`agents.list`, `agents.list[].skills`); None: all may.
    Raises PatchRefused.
    """
    document = parse(text)
    merged = _merged(document, patch, "", frozenset(replaced or ()))
    if replaced is not None:
        losing = [path for path in _losing(document, patch, merged, "") if path not in replaced]
        if losing:
            raise PatchRefused(
                f"config.patch would remove entries from array path(s): {', '.join(losing)}. "
                "Name them in replacePaths if that is meant, or send the whole text with config.apply"
            )
    try:
        for change in _changes(document, merged, ()):
            if change.gone:
                text = unset_value(text, change.path)
            else:
                text = set_value(text, change.path, change.value)
    except EditError as error:
        raise PatchRefused(str(error)) from error
    return text


def changed_paths(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[str, ...]:
    """Where two documents differ: the values that are no objects, `agents.list.0.name`."""
    paths = []
    for change in _changes(before, after, ()):
        value = _at(before, change.path) if change.gone else change.value
        paths += [".".join(path) for path in _leaves(value, change.path)]
    return tuple(paths)


def small_change(changed: Sequence[str]) -> bool:
    """Whether only that has changed which needs no base hash."""
    return all(path.startswith(_PAGE_OWN) for path in changed)


# --- what it shall be


def _merged(base: object, patch: object, path: str, replaced: Collection[str]) -> Any:
    if isinstance(patch, Mapping):
        result = dict(base) if isinstance(base, Mapping) else {}
        for key, value in patch.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = _merged(result.get(key), value, _below(path, key), replaced)
        return result
    if isinstance(patch, list) and isinstance(base, list) and path not in replaced:
        names, names_before = _ids(patch), _ids(base)
        if base and names is not None and names_before is not None:
            return _merged_by_id(base, patch, path, replaced)
    return patch


def _merged_by_id(base: list[Any], patch: list[Any], path: str, replaced: Collection[str]) -> list[Any]:
    items = {item["id"]: item for item in base}
    if len(items) < len(base) or len({item["id"] for item in patch}) < len(patch):
        raise PatchRefused(
            f"{path} has two items of one id; name it in replacePaths and send all of its items"
        )
    for item in patch:
        items[item["id"]] = _merged(items.get(item["id"]), item, f"{path}[]", replaced)
    return list(items.values())


def _ids(items: Sequence[object]) -> list[str] | None:
    """The ids of items that are objects and all have one."""
    ids = [item.get("id") if isinstance(item, Mapping) else None for item in items]
    named = [each for each in ids if isinstance(each, str) and each]
    return named if len(named) == len(ids) else None


def _losing(
    base: Mapping[str, Any], patch: Mapping[str, Any], merged: Mapping[str, Any], path: str
) -> Iterator[str]:
    """The lists of `base` that have lost items in `merged` by what the patch says."""
    for key, given in patch.items():
        here, before, after = _below(path, key), base.get(key), merged.get(key)
        if before == []:
            continue
        if isinstance(before, list):
            if not isinstance(given, list) or not isinstance(after, list):
                yield here
            elif (ids := _ids(before)) is None:
                if not _holds(after, before):
                    yield here
            elif not set(ids) <= set(_ids(after) or ()):
                yield here
            else:
                yield from _losing_below(before, given, after, here)
        elif isinstance(before, Mapping):
            if isinstance(given, Mapping):
                yield from _losing(before, given, after if isinstance(after, Mapping) else {}, here)
            else:
                yield from _lists(before, here)


def _losing_below(before: list[Any], given: list[Any], after: list[Any], path: str) -> Iterator[str]:
    was, now = ({item["id"]: item for item in items} for items in (before, after))
    for item in given:
        # A patch may say anything: an id that is a list names nothing.
        name = item.get("id") if isinstance(item, Mapping) else None
        if isinstance(name, str) and name in was:
            yield from _losing(was[name], item, now[name], f"{path}[]")


def _lists(value: object, path: str) -> Iterator[str]:
    """Every list in it that has items."""
    if isinstance(value, list):
        if value:
            yield path
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _lists(item, _below(path, key))


def _holds(after: list[Any], before: list[Any]) -> bool:
    left = [_canonical(item) for item in after]
    for item in before:
        if (said := _canonical(item)) not in left:
            return False
        left.remove(said)
    return True


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


# --- the way there


def _changes(before: object, after: object, path: tuple[str, ...]) -> Iterator[_Change]:
    """The fewest values to change so that `before` becomes `after`."""
    if _canonical(before) == _canonical(after):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in before:
            if key in after:
                yield from _changes(before[key], after[key], (*path, key))
            else:
                yield _Change((*path, key), gone=True)
        for key in after:
            if key not in before:
                yield _Change((*path, key), after[key])
    elif isinstance(before, list) and isinstance(after, list) and before and len(before) <= len(after):
        for index, item in enumerate(after):
            if index < len(before):
                yield from _changes(before[index], item, (*path, str(index)))
            else:
                yield _Change((*path, str(index)), item)
    else:
        yield _Change(path, after)


def _at(value: Any, path: Sequence[str]) -> object:
    for step in path:
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def _leaves(value: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    else:
        yield path


def _canonical(value: object) -> bytes:
    """Equal for what says the same."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
