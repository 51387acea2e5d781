"""`Authorization: Bearer` on HTTP routes: the same judge and the same limits as for the WebSocket."""

import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Protocol

import trio

from openclawd.auth import advice
from openclawd.auth.bearer import BearerVerdict
from openclawd.auth.locality import Peer
from openclawd.auth.policy import Policy
from openclawd.net.guard import Caller, shown
from openclawd.net.http import Request, Response, json
from openclawd.net.refusal_log import RefusalLog

_DASHBOARD: Final = "openclawd dashboard"
# The secret was right when it was judged, and is not any more.
_AUTH_CHANGED: Final = "auth-changed"


class Judge(Protocol):
    """As much of admission as is needed here."""

    @property
    def policy(self) -> Policy: ...

    def judge_bearer(self, peer: Peer, credential: str | None, now_ms: int) -> BearerVerdict: ...


class Bearers:
    """Who may ask for what is not for everybody."""

    def __init__(self, judge: Judge, *, now_ms: Callable[[], int], refusals: RefusalLog) -> None:
        self._judge = judge
        self._now_ms = now_ms
        self._refusals = refusals

    async def refusal(self, request: Request, caller: Caller) -> Response | None:
        """The answer to a caller who may not: 401, or 429 with Retry-After; None for one who may."""
        policy = self._judge.policy
        credential = _credential(request)
        verdict = self._judge.judge_bearer(caller.peer, credential, self._now_ms())
        if verdict.answer_after_ms > 0:
            await trio.sleep(verdict.answer_after_ms / 1000)
        if verdict.ok and self._judge.policy is policy:
            return None
        self._log(request, caller, credential, verdict)
        return _limited(verdict.retry_after_ms) if verdict.retry_after_ms > 0 else _unauthorised()

    def _log(self, request: Request, caller: Caller, credential: str | None, verdict: BearerVerdict) -> None:
        fields = verdict.log_fields()
        address = caller.locality.address
        self._refusals.refused(
            {
                "reason": _AUTH_CHANGED,
                **fields,
                "presented": "none" if credential is None else "bearer",
                "address": address,
                "host": caller.locality.host,
                "path": shown(request.path),
                "next": advice.for_limit(str(fields.get("empty") or fields["source"]))
                if verdict.retry_after_ms > 0
                else advice.for_proxy(verdict.reason, address, None) or _DASHBOARD,
            }
        )


def presents_bearer(request: Request) -> bool:
    """Whether there is anything to judge."""
    return _credential(request) is not None


def _credential(request: Request) -> str | None:
    scheme, _, credential = (request.header("authorization") or "").partition(" ")
    return credential.strip() or None if scheme.lower() == "bearer" else None


def _unauthorised() -> Response:
    error = {"error": {"message": "Unauthorized", "type": "unauthorized"}}
    return json(HTTPStatus.UNAUTHORIZED, error, ("WWW-Authenticate", "Bearer"), ("Cache-Control", "no-store"))


def _limited(retry_after_ms: int) -> Response:
    message = "Too many failed authentication attempts. Please try again later."
    error = {"error": {"message": message, "type": "rate_limited"}}
    retry = ("Retry-After", str(math.ceil(retry_after_ms / 1000)))
    return json(HTTPStatus.TOO_MANY_REQUESTS, error, retry, ("Cache-Control", "no-store"))
