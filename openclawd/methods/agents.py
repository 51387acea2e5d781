"""Agents and their tools: who there is to talk to."""

from openclawd.agents.catalog import Catalog
from openclawd.agents.roster import AgentProfile
from openclawd.agents.thinking import thinking_default, thinking_levels
from openclawd.auth.scopes import READ
from openclawd.methods.method import Call, MethodTable, NoParams
from openclawd.methods.params import params
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import invalid_request
from openclawd.protocol.versions import V4

AGENTS = MethodTable()


@params
class AgentIdentityParams:
    """By agent, or by a session of it; the default agent without either."""

    agent_id: NonEmptyStr | None = None
    session_key: str | None = None


@params
class ToolsCatalogParams:
    """`tools.catalog`."""

    agent_id: NonEmptyStr | None = None
    include_plugins: bool = True


@AGENTS.add("agents.list", scope=READ, params=NoParams)
def agents_list(call: Call, _params: NoParams) -> object:
    """Every agent of the config, the default one first; v4 is told more about each."""
    agents = call.services.agents
    answer: dict[str, object] = {
        "defaultId": agents.default_id,
        "mainKey": agents.main_key,
        "scope": agents.scope,
        "agents": [agent.to_wire() for agent in agents.all],
    }
    if call.caller.wire_generation < V4:
        return answer
    more = {"ownership": "sole", "selectionRequired": False}
    return answer | more | {"agents": [_row_v4(call.services.catalog, agent) for agent in agents.all]}


@AGENTS.add("agent.identity.get", scope=READ, params=AgentIdentityParams)
def agent_identity_get(call: Call, params: AgentIdentityParams) -> object:
    """Name and avatar of one agent."""
    agents = call.services.agents
    agent_id = params.agent_id or agents.of_session(params.session_key or "")
    agent = agents.find(agent_id)
    if agent is None:
        raise invalid_request(f'unknown agent id "{agent_id}"')
    return agent.identity_to_wire()


@AGENTS.add("tools.catalog", scope=READ, params=ToolsCatalogParams)
def tools_catalog(call: Call, params: ToolsCatalogParams) -> object:
    """No agent has tools yet: no profiles, no groups."""
    agents = call.services.agents
    agent_id = params.agent_id or agents.default_id
    if agents.find(agent_id) is None:
        raise invalid_request(f'unknown agent id "{agent_id}"')
    return {"agentId": agent_id, "profiles": [], "groups": []}


def _row_v4(catalog: Catalog, agent: AgentProfile) -> dict[str, object]:
    model = catalog.default(agent.agent_id)
    row = agent.to_wire() | {"workspace": str(agent.workspace), "model": {"primary": str(model)}}
    entry = catalog.find(model)
    if entry is None:
        return row
    levels = thinking_levels(entry)
    return row | {
        "thinkingLevels": [{"id": level, "label": level} for level in levels],
        "thinkingOptions": list(levels),
        "thinkingDefault": thinking_default(entry),
    }
