"""How one attribute of a wire class is checked: the reading of types and metadata that both passes share.

The codec structures with the fast rules; only when those fail, `problems` walks the same types again to say
what is wrong. Wire classes use `str`, `int`, `bool`, `float`, `Literal`, `tuple[X, ...]`, `Mapping[str, X]`,
`object`, other attrs classes, and `X | None` for what may be absent. JSON null is not absence: it is refused
unless the attribute carries `metadata={"nullable": True}`.
"""

import types
from collections.abc import Callable, Iterator, Mapping, Sized
from functools import cache, reduce
from operator import ge, le, or_
from typing import Any, Final, NewType, Union, get_args, get_origin

import attrs

NonEmptyStr = NewType("NonEmptyStr", str)
PositiveInt = NewType("PositiveInt", int)
NonNegativeInt = NewType("NonNegativeInt", int)

# Metadata keys, and what JSON Schema calls them.
MINIMUM: Final = "minimum"
MAXIMUM: Final = "maximum"
MIN_ITEMS: Final = "min_items"
MAX_ITEMS: Final = "max_items"
MIN_LENGTH: Final = "min_length"
MAX_LENGTH: Final = "max_length"
NULLABLE: Final = "nullable"

# What the named types mean, in the words of the metadata.
_IMPLIED: Final[Mapping[object, tuple[type, Mapping[str, int]]]] = {
    NonEmptyStr: (str, {MIN_LENGTH: 1}),
    PositiveInt: (int, {MINIMUM: 1}),
    NonNegativeInt: (int, {MINIMUM: 0}),
}

# Types that the structuring library would fill from anything that can be iterated.
_COERCED: Final = (list, dict, set, frozenset)


@attrs.frozen(eq=False, repr=False)
class WireField:
    """One attribute as the wire sees it."""

    name: str
    """The attribute's name in Python."""
    key: str
    """Its name in JSON."""
    type: Any
    """Its type without the `| None` of an optional one."""
    required: bool
    nullable: bool
    limits: Mapping[str, int]


def camel_case(name: str) -> str:
    """`min_protocol` is `minProtocol` on the wire; a trailing underscore (a Python keyword) is dropped."""
    head, *rest = name.strip("_").split("_")
    return head + "".join(part.capitalize() for part in rest)


@cache
def wire_fields(cls: type) -> tuple[WireField, ...]:
    """The attributes of an attrs class, in their order."""
    attrs.resolve_types(cls)
    return tuple(_wire_field(attribute) for attribute in attrs.fields(cls))


def implied(kind: Any) -> tuple[Any, Mapping[str, int]]:
    """The plain type behind a named one, and the limits the name stands for."""
    return _IMPLIED.get(kind, (kind, {}))


def within(value: Any, limits: Mapping[str, int]) -> bool:
    """Whether a value of the right type keeps its limits."""
    for limit, bound in limits.items():  # noqa: SIM110  each request comes by here, and a generator is slow
        if not _LIMITS[limit][0](value, bound):
            return False
    return True


def broken_limits(value: Any, limits: Mapping[str, int]) -> Iterator[str]:
    """What is wrong, in the words of JSON Schema validators."""
    for limit, bound in limits.items():
        keeps, words = _LIMITS[limit]
        if not keeps(value, bound):
            yield words.format(bound)


def _has_at_least(value: Sized, bound: int) -> bool:
    return len(value) >= bound


def _has_at_most(value: Sized, bound: int) -> bool:
    return len(value) <= bound


_LIMITS: Final[Mapping[str, tuple[Callable[[Any, int], bool], str]]] = {
    MINIMUM: (ge, "must be >= {}"),
    MAXIMUM: (le, "must be <= {}"),
    MIN_LENGTH: (_has_at_least, "must NOT have fewer than {} characters"),
    MAX_LENGTH: (_has_at_most, "must NOT have more than {} characters"),
    MIN_ITEMS: (_has_at_least, "must NOT have fewer than {} items"),
    MAX_ITEMS: (_has_at_most, "must NOT have more than {} items"),
}


def _wire_field(attribute: "attrs.Attribute[Any]") -> WireField:
    kind: Any = attribute.type
    if get_origin(kind) in (Union, types.UnionType) and type(None) in get_args(kind):
        kind = reduce(or_, (member for member in get_args(kind) if member is not type(None)))
    if (get_origin(kind) or kind) in _COERCED:
        raise TypeError(f"{attribute.name}: use tuple[X, ...] or Mapping[str, X] in a wire class")
    nullable = bool(attribute.metadata.get(NULLABLE, False))
    limits = {key: bound for key, bound in attribute.metadata.items() if key != NULLABLE}
    return WireField(
        attribute.name, camel_case(attribute.name), kind, attribute.default is attrs.NOTHING, nullable, limits
    )
