"""Judging credentials: what a client showed against what the gateway was configured with.

What cannot be guessed is compared first, and admitted whatever the limiter says: a strong token, and a device
token with the signature of the device it was issued to. What can be guessed, a weak token or a password, is
compared only if the limiter lets it be, and not at all beside a device token that will do: its holder is in
already, and must not find out on the way whether he guessed another secret. Whatever fails is one failure of
its source, however many credentials there were. What is absent is nobody's failure.
"""

from typing import Final, Literal

import attrs

from openclawd.auth.charges import Charge, Till
from openclawd.auth.device_tokens import TokenVerdict
from openclawd.auth.strength import is_strong
from openclawd.auth.tries import Kind
from openclawd.config.secret import Secret
from openclawd.protocol.connect import AuthParams
from openclawd.protocol.versions import V4

AuthMode = Literal["none", "token", "password", "trusted-proxy"]

RATE_LIMITED: Final = "rate_limited"
DEVICE_MISMATCH: Final = "device_token_mismatch"
SCOPE_MISMATCH: Final = "scope_mismatch"
SHARED_MISMATCH: Final = "token_mismatch"

BY_DEVICE: Final = "device-token"
NO_CREDENTIAL: Final = "none"

_KINDS: Final = {"token": Kind.TOKEN, "password": Kind.PASSWORD}


@attrs.frozen
class SharedAuth:
    """How the gateway authenticates. `is_strong`: by a token that is beyond guessing."""

    mode: AuthMode
    token: Secret | None = None
    password: Secret | None = None
    is_strong: bool = attrs.field(init=False)

    @is_strong.default
    def _default_strength(self) -> bool:
        return self.mode == "token" and self.token is not None and is_strong(self.token.reveal())

    @property
    def configured(self) -> Secret | None:
        """The shared secret of the mode; None where the mode has none, or none is set."""
        secret = self.token if self.mode == "token" else self.password if self.mode == "password" else None
        return secret or None


@attrs.frozen(eq=False, repr=False)
class Judgement:
    """`failure`, in the wire's words, is None when the client may pass, by `credential`; `by_secret` when
    that is the shared secret. `charge` is what the limiter said, where it was asked.
    """

    failure: str | None
    credential: str = NO_CREDENTIAL
    by_secret: bool = False
    charge: Charge | None = None


@attrs.frozen(eq=False, repr=False)
class DeviceToken:
    """A device token that came with the signature of its device, and what it is worth. `named`: in its own
    member of `auth` and not in the token's.
    """

    text: str = attrs.field(repr=False)
    worth: TokenVerdict
    named: bool


def judge_at_once(shared: SharedAuth, presented: str | None) -> Judgement | None:
    """The verdict as far as nothing can be guessed; None when the limiter has to be asked."""
    if shared.mode == "none":
        return Judgement(None)
    configured = shared.configured
    if configured is None:
        return Judgement(f"{shared.mode}_missing_config")
    if not presented:
        return Judgement(f"{shared.mode}_missing")
    if shared.is_strong and configured == Secret(presented):
        return Judgement(None, shared.mode, by_secret=True)
    return None


def judge_guess(shared: SharedAuth, presented: str | None, till: Till) -> Judgement:
    """The verdict where `judge_at_once` has none: one try of the source, given back when it was right."""
    configured, presented = shared.configured or Secret(""), presented or ""
    wanted = configured.reveal()
    charge = till.charge(_KINDS[shared.mode], presented, wanted)
    if charge.is_refused:
        return Judgement(RATE_LIMITED, charge=charge)
    if charge.is_examined and configured == Secret(presented):
        till.refund(charge, presented, wanted)
        return Judgement(None, shared.mode, by_secret=True, charge=charge)
    return Judgement(f"{shared.mode}_mismatch", charge=charge)


def judge_beside(
    token: DeviceToken, at_once: Judgement | None, guess: str | None, shared: SharedAuth, till: Till
) -> Judgement:
    """The verdict on a device token and whatever came with it: `at_once` on that, or a `guess` to examine."""
    if at_once is not None and at_once.failure is None:
        return at_once
    if token.worth is TokenVerdict.VALID:
        return Judgement(None, BY_DEVICE)
    if token.worth is TokenVerdict.SCOPES and (at_once is not None or guess == token.text):
        # The client holds the token: nothing was guessed.
        return at_once or Judgement(SHARED_MISMATCH)
    if at_once is not None:
        return attrs.evolve(at_once, charge=till.charge(Kind.DEVICE_TOKEN, token.text, ""))
    return judge_guess(shared, guess, till)


def told_failure(failed: Judgement, token: DeviceToken | None, protocol: int) -> Judgement:
    """Which of several failures the client hears of."""
    if failed.charge is not None and failed.charge.is_refused:
        return attrs.evolve(failed, failure=RATE_LIMITED)
    if token is None:
        return failed
    if token.worth is TokenVerdict.SCOPES and protocol == V4:
        return attrs.evolve(failed, failure=SCOPE_MISMATCH)
    return attrs.evolve(failed, failure=DEVICE_MISMATCH) if token.named else failed


def presented_secret(auth: AuthParams | None, shared: SharedAuth) -> str | None:
    """What the client showed as the shared secret of the mode."""
    if auth is None or shared.mode not in _KINDS:
        return None
    return auth.token if shared.mode == "token" else auth.password


def presented_kinds(auth: AuthParams | None) -> str:
    """Which kinds of credential the client showed, for the log: never the credentials."""
    if auth is None:
        return "none"
    kinds = (("token", auth.token), ("device-token", auth.device_token), ("password", auth.password))
    return "+".join(kind for kind, value in kinds if value) or "none"
