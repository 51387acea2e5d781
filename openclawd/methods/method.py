"""What an RPC method is: a name, what the caller must hold, the shape of its params, a handler.

A handler that needs nothing but memory answers at once, in the reader's own turn; one that has to wait gives
back a coroutine, which gets a task of its own, so that a slow request never holds back another of the same
client.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

import attrs

from openclawd.auth.holders import Holder
from openclawd.methods.params import finished
from openclawd.methods.services import Services

P = TypeVar("P")
R = TypeVar("R")
# Gives back JSON, or a coroutine that will.
Handler = Callable[..., object]


class Caller(Protocol):
    """The client behind a request, as far as a handler may know it."""

    @property
    def connection_id(self) -> str: ...
    @property
    def wire_generation(self) -> int: ...
    @property
    def role(self) -> str: ...
    @property
    def scopes(self) -> frozenset[str]: ...
    @property
    def caps(self) -> frozenset[str]: ...
    @property
    def device_id(self) -> str | None: ...
    @property
    def credential(self) -> str: ...


@attrs.frozen(eq=False, repr=False)
class Call:
    """One request on its way to a handler.

    `respond` sends a `res` with a payload at once, before the one that the handler's result makes; a client
    that waits for the last one skips those whose `status` is `accepted`.
    """

    caller: Caller
    services: Services
    respond: Callable[[object], None]

    @property
    def holder(self) -> Holder:
        """What the caller holds, for what he would give away or take away."""
        return Holder(self.caller.scopes, self.caller.device_id)


@attrs.frozen(eq=False, repr=False)
class AnyParams:
    """For methods that take whatever they are given, as stock does."""

    given: object


@attrs.frozen(eq=False, repr=False)
class NoParams:
    """For methods that take none: an empty object."""


@attrs.frozen(eq=False, repr=False)
class Method:
    """A row of the table. `scope` None: whoever is connected, in either role."""

    name: str
    scope: str | None
    _params: type[Any]
    handler: Handler

    @property
    def params(self) -> type[Any]:
        """The class of its params, ready for use."""
        return finished(self._params)


class MethodTable:
    """The methods of one family, in the order in which they were added."""

    def __init__(self) -> None:
        self.methods: Final[dict[str, Method]] = {}

    def add(
        self, name: str, *, scope: str | None, params: type[P]
    ) -> Callable[[Callable[[Call, P], R]], Callable[[Call, P], R]]:
        """Decorator: `handler(call, params)` answers `name` for callers that hold `scope`."""

        def register(handler: Callable[[Call, P], R]) -> Callable[[Call, P], R]:
            self.methods[name] = Method(name, scope, params, handler)
            return handler

        return register


def merged(*tables: MethodTable) -> Mapping[str, Method]:
    """One table of several families; a name twice is a programming error."""
    every: dict[str, Method] = {}
    for table in tables:
        for name, method in table.methods.items():
            if name in every:
                raise ValueError(f"method {name} is registered twice")
            every[name] = method
    return every
