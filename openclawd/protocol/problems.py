"""What is wrong with a JSON value, in the words of the validator that stock clients know.

Only reached when the fast pass has failed. The texts are those of JSON Schema validators in the form that
v3 gateways send: `at /client/id: must be string`, with `at root` where there is no path.
"""

import types
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, Literal, Union, get_args, get_origin

import attrs

from openclawd.protocol.fields import broken_limits, implied, wire_fields

CONSTANT: Final = "must be equal to constant"
_ENUM: Final = "must match a schema in anyOf"

# More would not help the reader, and the value is a stranger's.
_PROBLEMS_MAX: Final = 16
_KEY_SHOWN_MAX_CHARACTERS: Final = 80

_NAMES: Final[Mapping[object, str]] = {str: "string", int: "integer", bool: "boolean", float: "number"}


def find_problems(value: object, cls: type) -> tuple[str, ...]:
    """Every problem of `value` as a `cls`, at most 16, without repetition."""
    found = dict.fromkeys(islice(_walk(value, cls, ""), _PROBLEMS_MAX))
    return tuple(found) or ("at root: validation error",)


def _walk(value: Any, kind: Any, path: str) -> Iterator[str]:
    plain, limits = implied(kind)
    origin = get_origin(plain)
    if attrs.has(plain):
        yield from _walk_object(value, plain, path)
    elif origin is Literal:
        yield from _walk_literal(value, get_args(plain), path)
    elif origin is tuple:
        yield from _walk_array(value, get_args(plain)[0], path)
    elif origin is Mapping:
        yield from _walk_mapping(value, get_args(plain)[1], path)
    elif origin in (Union, types.UnionType):
        if all(next(_walk(value, member, path), None) for member in get_args(plain)):
            yield _at(path, _ENUM)
    elif plain in _NAMES and not (type(value) is plain or (plain is float and type(value) is int)):
        yield _at(path, f"must be {_NAMES[plain]}")
    else:
        yield from (_at(path, text) for text in broken_limits(value, limits))


def _walk_object(value: Any, cls: type, path: str) -> Iterator[str]:
    if type(value) is not dict:
        yield _at(path, "must be object")
        return
    fields = wire_fields(cls)
    for field in fields:
        if field.required and field.key not in value:
            text = f"must have required property '{field.key}'"
            yield _at(path, text) if path else text
    known = {field.key for field in fields}
    for key in value:
        if key not in known:
            yield _at(path, f"unexpected property '{key[:_KEY_SHOWN_MAX_CHARACTERS]}'")
    for field in fields:
        if field.key not in value or (field.nullable and value[field.key] is None):
            continue
        below = f"{path}/{field.key}"
        wrong = list(_walk(value[field.key], field.type, below))
        yield from wrong
        if not wrong:
            yield from (_at(below, text) for text in broken_limits(value[field.key], field.limits))


def _walk_literal(value: Any, allowed: tuple[object, ...], path: str) -> Iterator[str]:
    if not any(type(value) is type(member) and value == member for member in allowed):
        yield _at(path, CONSTANT)
        if len(allowed) > 1:
            yield _at(path, _ENUM)


def _walk_array(value: Any, item_type: Any, path: str) -> Iterator[str]:
    if type(value) is not list:
        yield _at(path, "must be array")
        return
    for index, item in enumerate(value):
        yield from _walk(item, item_type, f"{path}/{index}")


def _walk_mapping(value: Any, item_type: Any, path: str) -> Iterator[str]:
    if type(value) is not dict:
        yield _at(path, "must be object")
        return
    for key, item in value.items():
        yield from _walk(item, item_type, f"{path}/{_pointer(key)}")


def _pointer(key: str) -> str:
    return key[:_KEY_SHOWN_MAX_CHARACTERS].replace("~", "~0").replace("/", "~1")


def _at(path: str, text: str) -> str:
    return f"at {path or 'root'}: {text}"
