"""JSON bytes to frozen attrs classes and back, strictly.

Guarantees of `structure`: nothing is coerced (a bool is not an int, a string is not a list), objects are
closed, and whatever the value is, the only exception is `InvalidValue` with every problem named by its path.
The fast pass stops at the first fault and names nothing; a second pass, which only wrong values pay for,
finds the words. JSON is RFC 8259: no NaN, no lone surrogates.
"""

import types
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin

import attrs
import orjson
from cattrs import BaseConverter
from cattrs.gen import make_dict_structure_fn, override
from cattrs.preconf.orjson import OrjsonConverter, make_converter

from openclawd.protocol.fields import (
    NonEmptyStr,
    NonNegativeInt,
    PositiveInt,
    WireField,
    implied,
    wire_fields,
    within,
)
from openclawd.protocol.problems import CONSTANT, find_problems

__all__ = [
    "Encoded",
    "InvalidValue",
    "NonEmptyStr",
    "NonNegativeInt",
    "NotJson",
    "PositiveInt",
    "decode",
    "encode",
    "encoded",
    "structure",
    "unstructure",
]

T = TypeVar("T")
Encoded = orjson.Fragment

# v4 validators say it this way.
_ENUM_V4: Final = "must be equal to one of the allowed values"


class NotJson(ValueError):
    """The bytes are not JSON."""


class InvalidValue(ValueError):
    """A JSON value that does not fit its class; `problems` is never empty."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems

    def text(self, *, first_only: bool = False) -> str:
        """All problems for v3; v4 reports the first one only, and has its own words for enumerations."""
        if first_only:
            return self.problems[0].replace(CONSTANT, _ENUM_V4)
        return "; ".join(self.problems)


def decode(data: bytes | str) -> object:
    """The JSON value in `data`. Raises NotJson."""
    try:
        return cast("object", orjson.loads(data))
    except ValueError as error:
        raise NotJson(str(error)) from error


def encode(value: object) -> bytes:
    """`value` as JSON; attrs instances inside are unstructured, mappings of any kind become objects."""
    return orjson.dumps(value, default=_encode_other)


def encoded(value: object) -> Encoded:
    """`value` as JSON that `encode` copies as it is: for what goes out more often than it changes."""
    # The library gives a buffer that is up to four times as large as what is in it, and 4 KiB at least.
    return Encoded(bytes(memoryview(encode(value))))


def structure(value: object, cls: type[T]) -> T:
    """`value`, as `decode` gives it, as an instance of `cls`. Raises InvalidValue."""
    try:
        return _CONVERTER.structure(value, cls)
    except Exception as error:  # cattrs raises whatever the first wrong access raises
        raise InvalidValue(find_problems(value, cls)) from error


def unstructure(instance: attrs.AttrsInstance) -> dict[str, object]:
    """The JSON object of an attrs instance; attributes that are None are left out."""
    return {
        field.key: _plain(item)
        for field in wire_fields(type(instance))
        if (item := getattr(instance, field.name)) is not None
    }


def _plain(value: object) -> object:
    if attrs.has(type(value)):
        return unstructure(cast("attrs.AttrsInstance", value))
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _encode_other(value: object) -> object:
    if attrs.has(type(value)):
        return unstructure(cast("attrs.AttrsInstance", value))
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


class _MismatchError(ValueError):
    """The fast pass met a fault."""


def _exactly(kind: type, value: Any, _type: Any) -> Any:
    if type(value) is not kind:
        raise _MismatchError
    return value


def _number(value: Any, _type: Any) -> float:
    if type(value) is not float and type(value) is not int:
        raise _MismatchError
    return value


def _limited(hook: Callable[[Any, Any], Any], limits: Mapping[str, int]) -> Callable[[Any, Any], Any]:
    def structure_limited(value: Any, kind: Any) -> Any:
        result = hook(value, kind)
        if not within(result, limits):
            raise _MismatchError
        return result

    return structure_limited


def _hook_for(kind: Any, converter: BaseConverter) -> Callable[[Any, Any], Any]:
    plain, limits = implied(kind)
    hook = converter.get_structure_hook(plain)
    return _limited(hook, limits) if limits else hook


def _literal_hook(kind: Any, _converter: BaseConverter) -> Callable[[Any, Any], Any]:
    # By type and value, as 1, 1.0 and True are equal in Python.
    allowed = frozenset((type(member), member) for member in get_args(kind))

    def structure_literal(value: Any, _type: Any) -> Any:
        if value.__class__ not in (str, int, bool) or (type(value), value) not in allowed:
            raise _MismatchError
        return value

    return structure_literal


def _is_union_of_scalars(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType) and set(get_args(kind)) <= {str, int, bool, float}


def _scalars_hook(kind: Any, _converter: BaseConverter) -> Callable[[Any, Any], Any]:
    # cattrs asks isinstance, and a bool is an int to it.
    members = set(get_args(kind))
    allowed = frozenset(members | {int} if float in members else members)

    def structure_scalar(value: Any, _type: Any) -> Any:
        if type(value) not in allowed:
            raise _MismatchError
        return value

    return structure_scalar


def _tuple_hook(kind: Any, converter: BaseConverter) -> Callable[[Any, Any], Any]:
    item_type = get_args(kind)[0]
    item_hook = _hook_for(item_type, converter)

    def structure_tuple(value: Any, _type: Any) -> Any:
        if type(value) is not list:
            raise _MismatchError
        return tuple([item_hook(item, item_type) for item in value])

    return structure_tuple


def _mapping_hook(kind: Any, converter: BaseConverter) -> Callable[[Any, Any], Any]:
    item_type = get_args(kind)[1]
    item_hook = _hook_for(item_type, converter)

    def structure_mapping(value: Any, _type: Any) -> Any:
        if type(value) is not dict:
            raise _MismatchError
        return {key: item_hook(item, item_type) for key, item in value.items()}

    return structure_mapping


def _attribute_hook(field: WireField, converter: BaseConverter) -> Callable[[Any, Any], Any]:
    hook = _hook_for(field.type, converter)
    if field.limits:
        hook = _limited(hook, field.limits)
    if not field.nullable:
        return partial(_not_optional, hook, field.type)
    return lambda value, _type: None if value is None else hook(value, field.type)


def _not_optional(hook: Callable[[Any, Any], Any], kind: Any, value: Any, _type: Any) -> Any:
    # cattrs hands over the declared `X | None`; inside, only X counts.
    return hook(value, kind)


def _class_hook(cls: Any, converter: BaseConverter) -> Callable[[Any, Any], Any]:
    overrides: Any = {
        field.name: override(rename=field.key, struct_hook=_attribute_hook(field, converter))
        for field in wire_fields(cls)
    }
    closed = make_dict_structure_fn(
        cls, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=False, **overrides
    )

    def structure_object(value: Any, kind: Any) -> Any:
        if type(value) is not dict:
            raise _MismatchError
        return closed(value, kind)

    return structure_object


def _generic(origin: Any) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) is origin


def _strict_converter() -> OrjsonConverter:
    converter = make_converter(detailed_validation=False, forbid_extra_keys=True)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, partial(_exactly, kind))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_func(lambda kind: kind is object or kind is Any, lambda value, _: value)
    converter.register_structure_hook_factory(_is_union_of_scalars, _scalars_hook)
    converter.register_structure_hook_factory(_generic(Literal), _literal_hook)
    converter.register_structure_hook_factory(_generic(tuple), _tuple_hook)
    converter.register_structure_hook_factory(_generic(Mapping), _mapping_hook)
    converter.register_structure_hook_factory(attrs.has, _class_hook)
    return converter


_CONVERTER: Final = _strict_converter()
