"""The events for those who subscribed: `sessions.changed` and `session.message` (protocol.md 7.8).

They go to the connections that asked for them, who must still be allowed to read.
"""

from collections.abc import Mapping

from openclawd.auth.scopes import READ
from openclawd.events.event import Event


def session_changed(
    key: str,
    reason: str,
    *,
    agent_id: str,
    row: Mapping[str, object] | None,
    now_ms: int,
    listeners: frozenset[str],
) -> Event:
    """A session is another than before; `row` as `sessions.list` has it, None when it is gone.

    The row stands in the event twice, as in stock: whole under `session`, and its members beside it.
    """
    payload: dict[str, object] = {"sessionKey": key, "agentId": agent_id, "reason": reason, "ts": now_ms}
    if row is not None:
        payload = {name: value for name, value in row.items() if name != "key"} | payload | {"session": row}
    return Event("sessions.changed", payload, scope=READ, connections=listeners)


def session_message(
    key: str,
    *,
    agent_id: str,
    run_id: str | None,
    message_id: str,
    message_seq: int,
    form_v3: Mapping[str, object],
    form_v4: Mapping[str, object],
    listeners: frozenset[str],
) -> Event:
    """The transcript of a session has one message more, in the forms in which `chat.history` has it."""
    facts: dict[str, object] = {
        "sessionKey": key,
        "agentId": agent_id,
        "messageId": message_id,
        "messageSeq": message_seq,
    }
    if run_id is not None:
        facts["runId"] = run_id
    return Event(
        "session.message",
        facts | {"message": form_v3},
        facts | {"message": form_v4},
        scope=READ,
        connections=listeners,
    )
