"""The close codes this gateway sends (RFC 6455 section 7.4; 1012 from the IANA registry).

A reason is cut to what a control frame can carry, between characters, so that no caller has to count bytes.
"""

from typing import Final

import attrs

from openclawd.protocol.versions import V4

# RFC 6455 section 5.5: a control frame carries 125 bytes, two of which are the code.
CLOSE_REASON_MAX_BYTES: Final = 123


def _cut(reason: str) -> str:
    encoded = reason.encode("utf-8", "replace")
    return encoded[:CLOSE_REASON_MAX_BYTES].decode("utf-8", "ignore")


@attrs.frozen
class Close:
    """One close: what the close frame says. `reason` is at most 123 bytes of UTF-8."""

    code: int
    reason: str = attrs.field(default="", converter=_cut)


NORMAL: Final = Close(1000)
"""An ordinary end that needs no reason."""

PROTOCOL_MISMATCH: Final = Close(1002, "protocol mismatch")
"""The client's version range holds none of ours."""

INVALID_FRAME: Final = Close(1008, "invalid request frame")
"""The first message is not JSON or not a request; no `res` could name it."""

HANDSHAKE_TIMEOUT: Final = Close(1008, "handshake timeout: no connect request")
"""The socket stayed silent until the handshake deadline."""

SLOW_CONSUMER: Final = Close(1008, "slow consumer")
"""The client did not read, and what waits for it may not be dropped."""

REPEATED_UNAUTHORIZED: Final = Close(1008, "repeated unauthorized calls")
"""The client kept calling what its role may not call."""

TOO_BIG: Final = Close(1009)
"""A message above the limit; the reason is empty, as in stock."""

BUSY: Final = Close(1013, "gateway busy; retryAfterMs=1000")
"""Too many connections that are not clients: the one that has waited longest to say `connect` makes room."""

INTERNAL_ERROR: Final = Close(1011, "internal error")
"""A fault of ours ended this one connection."""

SERVICE_RESTART: Final = Close(1012, "service restart")
"""The gateway stops or restarts; clients come back by themselves."""

GATEWAY_AUTH_CHANGED: Final = "gateway auth changed"
"""Cause of `invalidated`: the gateway's own token or password is another one now."""

DEVICE_REMOVED: Final = "device removed"
"""Cause of `invalidated`: the device is paired no longer."""

DEVICE_TOKEN_ROTATED: Final = "device token rotated"  # noqa: S105 - says why
"""Cause of `invalidated`: the device has a new token for that role, the older ones are void."""

DEVICE_TOKEN_REVOKED: Final = "device token revoked"  # noqa: S105 - says why
"""Cause of `invalidated`: the device has no token for that role any more."""


def invalidated(cause: str, wire_generation: int) -> Close:
    """A live client whose credential is void: 4001 in v4, 1008 in v3, which has no code for it.

    v3 clients find out from the words "device token mismatch" that the device token they keep is stale.
    """
    if wire_generation >= V4:
        return Close(4001, cause if cause == GATEWAY_AUTH_CHANGED else f"client invalidated: {cause}")
    if cause == GATEWAY_AUTH_CHANGED:
        return Close(1008, cause)
    return Close(1008, f"unauthorized: device token mismatch ({cause})")


def policy(reason: str) -> Close:
    """1008 with the text of the refusal: what every failed handshake ends in."""
    return Close(1008, reason)
