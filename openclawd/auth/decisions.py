"""The decision record: what admission decided about one connection, and everything worth knowing about it.

The same record is logged in one line, sent to the client, and acted upon. It never holds a secret, except the
device token that the client itself presented (`TokenRequest`), which `repr` hides.
"""

from typing import Final

import attrs

from openclawd.auth.charges import Charge
from openclawd.auth.pairing import PairingAsk
from openclawd.auth.signature import ProvenDevice
from openclawd.protocol.closes import Close
from openclawd.protocol.connect import ConnectParams
from openclawd.protocol.errors import ErrorShape

# Headers and ids of strangers are cut to this in the log.
_SHOWN_MAX_CHARACTERS: Final = 200
# There are a dozen words for scopes; a client may say each of them a thousand times.
_SCOPES_SHOWN_MAX: Final = 16

# v3 closes with the bare words; v4 adds what is missing, and the request's id.
PAIRING_REQUIRED: Final = "pairing required"


def _cut(text: str) -> str:
    return text[:_SHOWN_MAX_CHARACTERS]


def _shown(text: str | None) -> str | None:
    return _cut(text) if text is not None else None


@attrs.frozen(eq=False)
class Facts:
    """Who asked, as far as it was known when the decision fell. `user`: whom a proxy named."""

    address: str = attrs.field(converter=_cut)
    origin: str | None = attrs.field(default=None, converter=_shown)
    host: str | None = attrs.field(default=None, converter=_shown)
    is_local: bool = False
    client_id: str | None = attrs.field(default=None, converter=_shown)
    client_mode: str | None = attrs.field(default=None, converter=_shown)
    client_version: str | None = attrs.field(default=None, converter=_shown)
    device_id: str | None = attrs.field(default=None, converter=_shown)
    role: str | None = attrs.field(default=None, converter=_shown)
    protocol: int | None = None
    user: str | None = attrs.field(default=None, converter=_shown)

    def log_fields(self) -> dict[str, object]:
        """For the one log line of a decision; what is unknown is left out."""
        fields: dict[str, object] = {
            "address": self.address,
            "local": self.is_local,
            "client": self.client_id,
            "mode": self.client_mode,
            "version": self.client_version,
            "role": self.role,
            "device": self.device_id,
            "origin": self.origin,
            "host": self.host,
            "protocol": self.protocol,
            "user": self.user,
        }
        return {name: value for name, value in fields.items() if value is not None}


@attrs.frozen(eq=False)
class TokenRequest:
    """The device token that hello-ok owes: the presented one where it will do, else a new one."""

    device_id: str
    role: str
    scopes: tuple[str, ...]
    presented: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(eq=False)
class Admitted:
    """The connection becomes a client. `credential` is what let it in: token, password, device-token, none,
    trusted-proxy or local-socket. Before hello-ok, `answer_after_ms` must have passed since the decision,
    `pairing` be written and `token_request` answered."""

    params: ConnectParams
    protocol: int
    role: str
    scopes: tuple[str, ...]
    credential: str
    facts: Facts
    device: ProvenDevice | None = None
    pairing: PairingAsk | None = None
    token_request: TokenRequest | None = None
    charge: Charge | None = None

    @property
    def answer_after_ms(self) -> int:
        """How long the answer waits, for what others tried."""
        return self.charge.verdict.delay_ms if self.charge is not None else 0

    @property
    def client_address(self) -> str:
        """The best known address."""
        return self.facts.address

    @property
    def is_local(self) -> bool:
        """Whether the client is on this machine."""
        return self.facts.is_local

    def log_fields(self) -> dict[str, object]:
        """For the line `admitted`."""
        return {
            "credential": self.credential,
            **(self.charge.log_fields() if self.charge is not None else {}),
            **self.facts.log_fields(),
            "scopes": [_cut(scope) for scope in self.scopes[:_SCOPES_SHOWN_MAX]],
            # By this very decision; whoever was paired before needs no word.
            **({"paired": True} if self.pairing is not None else {}),
        }


@attrs.frozen(eq=False, repr=False)
class Refused:
    """The connection ends: `error` goes out as the `res` (None: no `res`), then `close`.

    `reason` is the machine's word for the cause; `presented` says which kinds of credential the client
    showed (`token`, `device-token`, `password`, joined by `+`, or `none`); `next_step` says to the gateway's
    owner what helps. The answer waits for `answer_after_ms` from the decision on. With `pairing`, the request
    must be stored and its id put in by `with_request_id` before the answer goes out.
    """

    close: Close
    reason: str
    facts: Facts
    error: ErrorShape | None = None
    presented: str = "none"
    pairing: PairingAsk | None = None
    charge: Charge | None = None
    next_step: str | None = None

    @property
    def answer_after_ms(self) -> int:
        """How long the answer waits, for what the source has tried."""
        return self.charge.verdict.delay_ms if self.charge is not None else 0

    def with_request_id(self, request_id: str) -> "Refused":
        """The answer that names the stored pairing request; v4's close reason names it too."""
        if self.error is None or self.error.details is None:
            return self
        details = {**self.error.details, "requestId": request_id}
        reason = self.close.reason
        if reason != PAIRING_REQUIRED:
            reason = f"{reason} (requestId: {request_id})"
        return attrs.evolve(
            self,
            error=attrs.evolve(self.error, details=details),
            close=Close(self.close.code, reason),
            next_step=f"openclawd devices approve {request_id}",
        )

    def with_rejection(self, request_id: str) -> "Refused":
        """The answer to a device that still waits for a request that was turned down."""
        refused = self.with_request_id(request_id)
        if refused.error is None:
            return refused
        # v4's words for a client that is not to ask again by itself.
        details = {
            **(refused.error.details or {}),
            "pauseReconnect": True,
            "retryable": False,
            "recommendedNextStep": "review_auth_configuration",
        }
        return attrs.evolve(
            refused,
            reason="pairing-rejected",
            error=attrs.evolve(refused.error, details=details),
            next_step=None,
        )

    def log_fields(self) -> dict[str, object]:
        """For the line `refused`: what a reader asks first comes first."""
        fields: dict[str, object] = {"reason": self.reason, "presented": self.presented}
        if self.charge is not None:
            fields |= self.charge.log_fields()
        error = self.error
        if error is not None and error.retry_after_ms is not None:
            fields["retryAfterMs"] = error.retry_after_ms
        if self.next_step is not None:
            fields["next"] = self.next_step
        fields |= self.facts.log_fields()
        if error is not None:
            fields["code"] = error.code.value
            if error.details is not None and "code" in error.details:
                fields["detail"] = error.details["code"]
            if error.retryable is not None:
                fields["retryable"] = error.retryable
        fields |= {"closeCode": self.close.code, "closeReason": self.close.reason}
        return fields
