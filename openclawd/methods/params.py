"""Params of methods: classes of attrs that are made when they are first needed.

Half a millisecond and thirty kilobytes go into each, there are dozens, and most gateways never hear of most
of them. Nothing compares or prints params, so they get none of the methods for that.
"""

from typing import Any, Final, TypeVar, dataclass_transform

import attrs

T = TypeVar("T")

_UNFINISHED: Final[set[type]] = set()


@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def params(cls: type[T]) -> type[T]:
    """Decorator: a frozen class of attrs from the first `finished(cls)` or the first instance on."""

    def finish_and_init(self: T, *args: Any, **kwargs: Any) -> None:
        finished(cls)
        cls.__init__(self, *args, **kwargs)

    _UNFINISHED.add(cls)
    cls.__init__ = finish_and_init  # type: ignore[assignment, method-assign]
    return cls


def finished(cls: type[T]) -> type[T]:
    """`cls`, which is a class of attrs now, as are those that it inherits from."""
    if cls in _UNFINISHED:
        for base in cls.__mro__[:0:-1]:
            finished(base)
        _UNFINISHED.remove(cls)
        # attrs would keep an __init__ that it finds.
        del cls.__init__
        attrs.frozen(cls, slots=False, eq=False, repr=False)
    return cls
