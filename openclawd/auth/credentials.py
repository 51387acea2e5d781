"""Judging the shared secret: what the client showed against what the gateway was configured with.

A credential that is absent is not a failure of anybody. A limiter's verdict holds back what can be guessed,
unexamined; a strong token is examined whatever the verdict.
"""

from typing import Final, Literal

import attrs

from openclawd.auth.strength import is_strong
from openclawd.config.secret import Secret
from openclawd.protocol.connect import AuthParams

AuthMode = Literal["none", "token", "password"]

RATE_LIMITED: Final = "rate_limited"
DEVICE_MISMATCH: Final = "device_token_mismatch"
SCOPE_MISMATCH: Final = "scope_mismatch"
SHARED_MISMATCH: Final = "token_mismatch"


@attrs.frozen
class SharedAuth:
    """How the gateway authenticates."""

    mode: AuthMode
    token: Secret | None = None
    password: Secret | None = None


@attrs.frozen(eq=False, repr=False)
class Judgement:
    """`failure` is None when the client may pass; `by_secret` is True when a shared secret proved it."""

    failure: str | None
    by_secret: bool = False


def judge_shared_secret(auth: AuthParams | None, shared: SharedAuth, *, retry_after_ms: int = 0) -> Judgement:
    """The verdict on the shared secret alone, with the reason in the wire's words."""
    if shared.mode == "none":
        return Judgement(None)
    if shared.mode == "token":
        configured, presented = shared.token, auth.token if auth is not None else None
    else:
        configured, presented = shared.password, auth.password if auth is not None else None
    if not configured:
        return Judgement(f"{shared.mode}_missing_config")
    if not presented:
        return Judgement(f"{shared.mode}_missing")
    strong = shared.mode == "token" and is_strong(configured.reveal())
    if retry_after_ms > 0 and not strong:
        return Judgement(RATE_LIMITED)
    if configured == Secret(presented):
        return Judgement(None, by_secret=True)
    return Judgement(RATE_LIMITED if retry_after_ms > 0 else f"{shared.mode}_mismatch")


def presented_kinds(auth: AuthParams | None) -> str:
    """Which kinds of credential the client showed, for the log: never the credentials."""
    if auth is None:
        return "none"
    kinds = (("token", auth.token), ("device-token", auth.device_token), ("password", auth.password))
    return "+".join(kind for kind, value in kinds if value) or "none"
