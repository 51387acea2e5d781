"""Conversations: the list, and the numbers that `status` shows."""

import attrs

from openclawd.auth.scopes import ADMIN, READ, allows
from openclawd.methods.method import AnyParams, Call, MethodTable
from openclawd.protocol.codec import NonEmptyStr, unstructure
from openclawd.sessions.registry import SessionsQuery

SESSIONS = MethodTable()


@attrs.frozen
class SessionsListParams:
    """`sessions.list`."""

    limit: int | None = attrs.field(default=None, metadata={"minimum": 1})
    active_minutes: int | None = attrs.field(default=None, metadata={"minimum": 1})
    include_global: bool = False
    include_unknown: bool = False
    include_derived_titles: bool = False
    include_last_message: bool = False
    label: NonEmptyStr | None = None
    spawned_by: NonEmptyStr | None = None
    agent_id: NonEmptyStr | None = None
    search: str | None = None


@SESSIONS.add("sessions.list", scope=READ, params=SessionsListParams)
async def sessions_list(call: Call, params: SessionsListParams) -> object:
    """Newest first."""
    rows = await call.services.sessions.list(
        SessionsQuery(
            limit=params.limit,
            active_minutes=params.active_minutes,
            include_global=params.include_global,
            include_unknown=params.include_unknown,
            include_derived_titles=params.include_derived_titles,
            include_last_message=params.include_last_message,
            label=params.label,
            spawned_by=params.spawned_by,
            agent_id=params.agent_id,
            search=params.search,
        )
    )
    return {
        "ts": call.services.now_ms(),
        "path": "(multiple)",
        "count": len(rows),
        "defaults": _defaults(call),
        "sessions": rows,
    }


@SESSIONS.add("status", scope=READ, params=AnyParams)
async def status(call: Call, _params: AnyParams) -> object:
    """The overview; where things are stored, and the conversations' keys, are for administrators."""
    everything = allows(call.caller.scopes, ADMIN)
    path = str(call.services.loaded.paths.database) if everything else ""
    by_agent: list[dict[str, object]] = []
    for agent in call.services.agents.all:
        summary = await call.services.sessions.status(agent.agent_id)
        recent = list(summary.recent) if everything else []
        by_agent.append({"agentId": agent.agent_id, "path": path, "count": summary.count, "recent": recent})
    default = next(row for row in by_agent if row["agentId"] == call.services.agents.default_id)
    result: dict[str, object] = {
        "heartbeat": {
            "defaultAgentId": call.services.agents.default_id,
            "agents": [
                {"agentId": agent.agent_id, "enabled": False, "every": "0m", "everyMs": None}
                for agent in call.services.agents.all
            ],
        },
        "channelSummary": [],
        "queuedSystemEvents": [],
        "sessions": {
            "paths": [path] if everything else [],
            "count": sum(int(str(row["count"])) for row in by_agent),
            "defaults": {
                key: value for key, value in _defaults(call).items() if key in {"model", "contextTokens"}
            },
            "recent": default["recent"],
            "byAgent": by_agent,
        },
    }
    if everything:
        running = {**unstructure(call.services.running()), "model": str(call.services.catalog.default())}
        result["openclawd"] = running
    return result


def _defaults(call: Call) -> dict[str, object]:
    reference = call.services.catalog.default()
    entry = next(
        (
            e
            for e in call.services.catalog.entries()
            if (e.provider, e.id) == (reference.provider, reference.model)
        ),
        None,
    )
    return {
        "modelProvider": reference.provider,
        "model": reference.model,
        "contextTokens": entry.context_window if entry else None,
    }
