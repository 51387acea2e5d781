"""Who writes a message, for the sessions floor, which knows no connections."""

from openclawd.methods.method import Caller
from openclawd.sessions.answers import Sender


def sender_of(caller: Caller) -> Sender:
    """The client behind a request."""
    return Sender(caller.role, caller.scopes, caller.wire_generation, caller.connection_id, caller.device_id)
