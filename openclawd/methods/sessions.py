"""Conversations: the list, and the numbers that `status` shows."""

from typing import Final, Literal

import attrs

from openclawd.auth.scopes import ADMIN, READ, allows
from openclawd.methods.method import AnyParams, Call, MethodTable
from openclawd.methods.params import params
from openclawd.protocol.codec import NonEmptyStr, unstructure
from openclawd.protocol.versions import V4
from openclawd.sessions.registry import SessionsQuery

SESSIONS = MethodTable()


# v4's page without a limit; v3 gets everything.
_DEFAULT_LIMIT: Final = 100


@params
class SessionsListParams:
    """`sessions.list`. Nobody owns a session here: what is asked for by owner is not there."""

    limit: int | None = attrs.field(default=None, metadata={"minimum": 1})
    offset: int = attrs.field(default=0, metadata={"minimum": 0})
    active_minutes: int | None = attrs.field(default=None, metadata={"minimum": 1})
    require_last_interaction: bool = False
    sort_by: Literal["updatedAt", "lastInteractionAt"] = "updatedAt"
    include_global: bool = False
    include_unknown: bool = False
    configured_agents_only: bool = False
    include_derived_titles: bool = False
    include_last_message: bool = False
    label: NonEmptyStr | None = attrs.field(default=None, metadata={"max_length": 512})
    board_face: Literal["chat", "dashboard"] = "chat"
    creator_id: NonEmptyStr | None = None
    owner_id: NonEmptyStr | None = None
    owner_first: bool = False
    involving_me: bool = False
    involving_profile_id: NonEmptyStr | None = None
    include_people: bool = False
    spawned_by: NonEmptyStr | None = None
    agent_id: NonEmptyStr | None = None
    search: str | None = None
    archived: Literal[True, False, "all"] = False

    @property
    def nobody(self) -> bool:
        """Whether only sessions are wanted that there cannot be."""
        people = (self.creator_id, self.owner_id, self.involving_profile_id)
        return self.board_face != "chat" or any(person is not None for person in people)


@SESSIONS.add("sessions.list", scope=READ, params=SessionsListParams)
async def sessions_list(call: Call, params: SessionsListParams) -> object:
    """Newest first."""
    generation = call.caller.wire_generation
    limit = params.limit if generation < V4 or params.limit is not None else _DEFAULT_LIMIT
    agents = call.services.agents
    configured = frozenset(agent.agent_id for agent in agents.all)
    page = await call.services.sessions.list(
        SessionsQuery(
            limit=limit,
            offset=params.offset,
            active_minutes=params.active_minutes,
            include_global=params.include_global,
            include_unknown=params.include_unknown,
            include_derived_titles=params.include_derived_titles,
            include_last_message=params.include_last_message,
            label=params.label,
            spawned_by=params.spawned_by,
            agent_id=params.agent_id,
            search=params.search,
            archived=params.archived,
            require_last_interaction=params.require_last_interaction,
            by_interaction=params.sort_by == "lastInteractionAt",
            agents=frozenset() if params.nobody else configured if params.configured_agents_only else None,
        ),
        generation=generation,
    )
    listed: dict[str, object] = {
        "ts": call.services.now_ms(),
        "path": "(multiple)",
        "count": len(page.rows),
    }
    defaults = _defaults(call)
    if generation >= V4:
        listed |= {
            "totalCount": page.total,
            "limitApplied": limit,
            "offset": page.offset,
            "nextOffset": page.next_offset,
            "hasMore": page.next_offset is not None,
            "owners": [],
        }
        defaults |= call.services.sessions.chosen(agents.main_session_key, None).thinking()
    return listed | {"defaults": defaults, "sessions": page.rows}


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
        "queuedSystemEvents": await call.services.sessions.system_events.texts(
            call.services.agents.main_session_key
        ),
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
