"""The decision record: what admission decided about one connection, and everything worth knowing about it.

The same record is logged in one line, sent to the client, and acted upon. It never holds a secret, except the
device token that the client itself presented (`TokenRequest`), which `repr` hides.
"""

from typing import Final

import attrs

from openclawd.auth.pairing import PairingAsk
from openclawd.auth.signature import ProvenDevice
from openclawd.protocol.closes import Close
from openclawd.protocol.connect import ConnectParams
from openclawd.protocol.errors import ErrorShape

# Headers and ids of strangers are cut to this in the log.
_SHOWN_MAX_CHARACTERS: Final = 200

# v3 closes with the bare words; v4 adds what is missing, and the request's id.
PAIRING_REQUIRED: Final = "pairing required"


def _cut(text: str) -> str:
    return text[:_SHOWN_MAX_CHARACTERS]


def _shown(text: str | None) -> str | None:
    return _cut(text) if text is not None else None


@attrs.frozen
class Facts:
    """Who asked, as far as it was known when the decision fell."""

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
        }
        return {name: value for name, value in fields.items() if value is not None}


@attrs.frozen
class TokenRequest:
    """The device token that hello-ok owes: the presented one where it will do, else a new one."""

    device_id: str
    role: str
    scopes: tuple[str, ...]
    presented: str | None = attrs.field(default=None, repr=False)


@attrs.frozen
class Admitted:
    """The connection becomes a client. `credential` is what let it in: token, password, device-token, none
    or local-socket. Before hello-ok, `pairing` must be written and `token_request` answered."""

    params: ConnectParams
    protocol: int
    role: str
    scopes: tuple[str, ...]
    credential: str
    facts: Facts
    device: ProvenDevice | None = None
    pairing: PairingAsk | None = None
    token_request: TokenRequest | None = None

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
            **self.facts.log_fields(),
            "credential": self.credential,
            "scopes": list(self.scopes),
            "paired": self.pairing is not None,
        }


@attrs.frozen(eq=False, repr=False)
class Refused:
    """The connection ends: `error` goes out as the `res` (None: no `res`), then `close`.

    `reason` is the machine's word for the cause; `presented` says which kinds of credential the client
    showed (`token`, `device-token`, `password`, joined by `+`, or `none`). With `pairing`, the request must
    be stored and its id put in by `with_request_id` before the answer goes out.
    """

    close: Close
    reason: str
    facts: Facts
    error: ErrorShape | None = None
    presented: str = "none"
    pairing: PairingAsk | None = None

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
        )

    def log_fields(self) -> dict[str, object]:
        """For the line `refused`."""
        fields: dict[str, object] = {
            **self.facts.log_fields(),
            "reason": self.reason,
            "presented": self.presented,
            "closeCode": self.close.code,
            "closeReason": self.close.reason,
        }
        if self.error is not None:
            fields["code"] = self.error.code.value
            if self.error.retry_after_ms is not None:
                fields["retryAfterMs"] = self.error.retry_after_ms
        return fields
