"""Being told about sessions: `sessions.subscribe`, `sessions.messages.subscribe` and their opposites.

A connection that has left is forgotten, so a client subscribes again after each hello-ok.
"""

from typing import Final, Literal

from openclawd.auth.scopes import READ
from openclawd.events.subscriptions import MAX_SESSIONS, TooManySubscriptions
from openclawd.methods.method import Call, MethodTable, NoParams
from openclawd.methods.params import params
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import invalid_request

SUBSCRIPTIONS: Final = MethodTable()


@params
class OneSession:
    """Which session; `agent_id` says whose, where the key alone does not."""

    key: NonEmptyStr
    agent_id: NonEmptyStr | None = None


@params
class SessionMessages(OneSession):
    """The same, and whether its approvals are wanted, too."""

    include_approvals: Literal[True] | None = None


@SUBSCRIPTIONS.add("sessions.subscribe", scope=READ, params=NoParams)
def subscribe(call: Call, _params: NoParams) -> dict[str, object]:
    """Hear `sessions.changed` from now on."""
    call.services.subscriptions.sessions(call.caller.connection_id, on=True)
    return {"subscribed": True}


@SUBSCRIPTIONS.add("sessions.unsubscribe", scope=READ, params=NoParams)
def unsubscribe(call: Call, _params: NoParams) -> dict[str, object]:
    """Hear it no longer."""
    call.services.subscriptions.sessions(call.caller.connection_id, on=False)
    return {"subscribed": False}


@SUBSCRIPTIONS.add("sessions.messages.subscribe", scope=READ, params=SessionMessages)
def subscribe_messages(call: Call, params: SessionMessages) -> dict[str, object]:
    """Hear each `session.message` of a session, which need not exist yet; `key` is its canonical key."""
    key = call.services.sessions.canonical(params.key, params.agent_id)
    try:
        call.services.subscriptions.messages(call.caller.connection_id, key, on=True)
    except TooManySubscriptions:
        raise invalid_request(
            f"this connection follows {MAX_SESSIONS} sessions already; end one with"
            " sessions.messages.unsubscribe"
        ) from None
    subscribed: dict[str, object] = {"subscribed": True, "key": key}
    if params.include_approvals:
        # Nothing here waits for an approval.
        now_ms = call.services.now_ms()
        none_waits = {"sessionKey": key, "updatedAtMs": now_ms, "approvals": [], "truncated": False}
        subscribed["approvalReplay"] = none_waits
    return subscribed


@SUBSCRIPTIONS.add("sessions.messages.unsubscribe", scope=READ, params=OneSession)
def unsubscribe_messages(call: Call, params: OneSession) -> dict[str, object]:
    """Hear them no longer; also when they were never subscribed to."""
    key = call.services.sessions.canonical(params.key, params.agent_id)
    call.services.subscriptions.messages(call.caller.connection_id, key, on=False)
    return {"subscribed": False, "key": key}
