"""From a request to its method: role, scope, params, handler, answer (protocol: common method errors)."""

import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final

import trio

from openclawd.auth.scopes import ADMIN, allows
from openclawd.methods.method import AnyParams, Call, Caller, Method
from openclawd.methods.services import Services
from openclawd.protocol.codec import InvalidValue, structure
from openclawd.protocol.errors import ErrorCode, ErrorShape, RequestError, invalid_request, unavailable
from openclawd.protocol.frames import Request, response_error, response_ok
from openclawd.protocol.versions import V3
from openclawd.store.errors import StoreError
from openclawd.vitals.calls import CallCounts, Outcome

# Distinguishes "no params" from null, which stock treats alike.
_NO_PARAMS: Final[dict[str, object]] = {}
_log = logging.getLogger("openclawd.methods")


class Unauthorised(RequestError):
    """A method of the other role; a client that keeps trying is sent away."""


class Router:
    """The table of methods, and who may call what."""

    def __init__(self, methods: Mapping[str, Method], services: Services, calls: CallCounts) -> None:
        self._methods = methods
        self._services = services
        self._calls = calls

    def find(self, caller: Caller, name: str) -> Method:
        """The method called `name`, if `caller` may call it. Raises RequestError."""
        try:
            return self._found(caller, name)
        except RequestError:
            self._calls.refused(name if name in self._methods else None)
            raise

    def _found(self, caller: Caller, name: str) -> Method:
        if name == "connect":
            raise invalid_request("connect is only valid as the first request")
        method = self._methods.get(name)
        if method is not None and method.scope is None:
            return method
        if caller.role != "operator":
            raise Unauthorised(ErrorShape(ErrorCode.INVALID_REQUEST, f"unauthorized role: {caller.role}"))
        needed = method.scope if method is not None and method.scope is not None else ADMIN
        if not allows(caller.scopes, needed):
            raise missing_scope(needed, caller.wire_generation)
        if method is None:
            raise invalid_request(f"unknown method: {name}")
        return method

    def start(
        self, caller: Caller, request: Request, method: Method, answer: Callable[[bytes], None]
    ) -> bytes | Coroutine[Any, Any, bytes]:
        """The last answer, or, of a handler that waits, what will be the last answer; never raises.

        Answers before that are given to `answer`.
        """

        def respond(payload: object) -> None:
            answer(response_ok(request.id, payload))

        began_s = self._calls.clock()
        try:
            call = Call(caller, self._services, respond)
            result = method.handler(call, self._params(caller, request, method))
            if inspect.iscoroutine(result):
                return self._finish(request, result, began_s)
            answered = response_ok(request.id, result)
        except Exception as error:  # noqa: BLE001  the fence round one request
            return self._failed(request, error, began_s)
        self._calls.ended(request.method, Outcome.OK, began_s)
        return answered

    async def _finish(self, request: Request, waiting: Awaitable[object], began_s: float) -> bytes:
        try:
            answered = response_ok(request.id, await waiting)
        except Exception as error:  # noqa: BLE001  the fence round one request
            return self._failed(request, error, began_s)
        except trio.Cancelled:
            self._calls.ended(request.method, Outcome.LEFT, began_s)
            raise
        self._calls.ended(request.method, Outcome.OK, began_s)
        return answered

    def _params(self, caller: Caller, request: Request, method: Method) -> object:
        given = _NO_PARAMS if request.params is None else request.params
        if method.params is AnyParams:
            return AnyParams(given)
        try:
            return structure(given, method.params)
        except InvalidValue as error:
            problem = error.text(first_only=caller.wire_generation > V3)
            raise invalid_request(f"invalid {method.name} params: {problem}") from None

    def _failed(self, request: Request, error: Exception, began_s: float) -> bytes:
        """What nobody foresaw is logged with its traceback; the client learns where to look."""
        foreseen = isinstance(error, RequestError)
        self._calls.ended(request.method, Outcome.ERROR if foreseen else Outcome.FAILED, began_s)
        if isinstance(error, RequestError):
            return response_error(request.id, error.shape, error.payload)
        if isinstance(error, StoreError):
            # Its owner learns elsewhere what helps; paths are not the client's.
            fields = {"method": request.method, "reason": str(error)}
            _log.warning("method could not use the state", extra={"fields": fields})
            shape = unavailable(f"{error.problem}; nothing was changed", retryable=True)
            return response_error(request.id, shape.shape)
        _log.error("method failed", extra={"fields": {"method": request.method}}, exc_info=error)
        shape = unavailable(
            f"{request.method} failed: {type(error).__name__}; the gateway's log has the details"
        )
        return response_error(request.id, shape.shape)


def missing_scope(scope: str, wire_generation: int) -> RequestError:
    """The refusal for want of `scope`, in the form of the caller's wire generation."""
    message = f"missing scope: {scope}"
    if wire_generation == V3:
        return invalid_request(message)
    details = {"code": "MISSING_SCOPE", "missingScope": scope, "requiredScopes": [scope]}
    return RequestError(ErrorShape(ErrorCode.FORBIDDEN, message, details))
