"""From an open WebSocket to the decision about it: the challenge, one message, a wait for the answer.

The gateway speaks first and takes exactly one message, within `HANDSHAKE_TIMEOUT_S`. An answer that the
limiter holds back is waited for here, outside that deadline, right or wrong alike, and for as long as the
peer stays: one that has given up needs no answer. Settings may change meanwhile, and then nobody gets an
answer by the old ones.
"""

from collections.abc import Callable
from typing import Final

import attrs
import trio

from openclawd.auth import refusals
from openclawd.auth.admission import Admission, peer_facts
from openclawd.auth.case import Attempt
from openclawd.auth.credentials import presented_kinds
from openclawd.auth.decisions import Admitted, Facts, Refused
from openclawd.auth.locality import Peer
from openclawd.auth.policy import Policy
from openclawd.gateway.wire import Wire, WireClosed, WireOverflow
from openclawd.protocol.closes import Close
from openclawd.protocol.codec import NotJson
from openclawd.protocol.connect import CONNECT_CAPABILITIES
from openclawd.protocol.frames import MalformedFrame, event_frame, parse_request
from openclawd.protocol.websocket_frames import text_frame

# From the upgrade to the connect request; stock v3 clients are done in milliseconds, a phone on a bad link in
# seconds.
HANDSHAKE_TIMEOUT_S: Final = 10.0


@attrs.frozen(eq=False, repr=False)
class Heard:
    """The decision on the request `request_id`, by `policy`. With `is_over` nobody is left to tell it to."""

    decision: Admitted | Refused
    policy: Policy
    request_id: str | None = None
    is_over: bool = False


@attrs.frozen(eq=False, repr=False)
class Left:
    """The peer left before it said anything."""

    facts: Facts
    close_code: int


async def hear(
    wire: Wire, peer: Peer, admission: Admission, *, nonce: str, now_ms: Callable[[], int]
) -> Heard | Left:
    """Challenge the peer, hear it, decide, and wait until the answer is due."""
    policy = admission.policy

    def facts() -> Facts:
        return peer_facts(peer, policy)

    heard: Heard | None = None
    try:
        with trio.move_on_after(HANDSHAKE_TIMEOUT_S):
            challenge = {"nonce": nonce, "ts": now_ms(), "capabilities": CONNECT_CAPABILITIES}
            if not wire.send_now(text_frame(event_frame("connect.challenge", challenge))):
                await wire.send(b"")
            request = parse_request(await wire.receive())
            decision = admission.decide(Attempt(peer, nonce, request, now_ms()))
            heard = Heard(decision, admission.policy, request.id)
    except NotJson:
        return Heard(refusals.not_json(facts()), admission.policy)
    except MalformedFrame:
        return Heard(refusals.malformed_frame(facts()), admission.policy)
    except WireOverflow:
        return Heard(refusals.too_big(facts()), admission.policy)
    except WireClosed as closed:
        if not closed.by_us:
            return Left(facts(), closed.code)
        breach = refusals.protocol_breach(facts(), Close(closed.code, closed.reason))
        return Heard(breach, admission.policy, is_over=True)
    if heard is None:
        return Heard(refusals.handshake_timeout(facts()), policy)
    return await _held_back(wire, heard) if heard.decision.answer_after_ms else heard


async def _held_back(wire: Wire, heard: Heard) -> Heard:
    try:
        with trio.move_on_after(heard.decision.answer_after_ms / 1000):
            await wire.watch()
    except WireClosed:
        return attrs.evolve(heard, is_over=True)
    except WireOverflow:
        return attrs.evolve(heard, decision=refusals.too_big(heard.decision.facts))
    return heard


def outdated(decision: Admitted | Refused) -> Refused:
    """What is answered instead when the settings have changed since."""
    if isinstance(decision, Refused):
        return refusals.auth_changed(decision.facts, decision.presented)
    return refusals.auth_changed(decision.facts, presented_kinds(decision.params.auth))
