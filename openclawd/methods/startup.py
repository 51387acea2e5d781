"""What a v4 page asks for when it opens a conversation: the same answers as one by one, in one."""

from typing import Final, cast

from openclawd.auth.scopes import READ
from openclawd.methods.agents import agents_list
from openclawd.methods.commands import CommandsListParams, commands_list
from openclawd.methods.method import Call, MethodTable, NoParams
from openclawd.methods.models import ModelsListParams, models_list
from openclawd.methods.params import params
from openclawd.methods.reading import ChatHistoryParams, chat_history
from openclawd.protocol.codec import NonEmptyStr

STARTUP: Final = MethodTable()


@params
class ChatMetadataParams:
    """`chat.metadata`: for an agent, or the one of a session."""

    agent_id: NonEmptyStr | None = None
    session_key: NonEmptyStr | None = None


@STARTUP.add("chat.metadata", scope=READ, params=ChatMetadataParams)
async def chat_metadata(call: Call, params: ChatMetadataParams) -> dict[str, object]:
    """What can be typed behind a slash, and which models can be chosen."""
    agent_id = params.agent_id
    if agent_id is None and params.session_key is not None:
        sessions = call.services.sessions
        agent = call.services.agents.find(sessions.agent_of(sessions.canonical(params.session_key)))
        # A conversation can still be read when its agent is configured no longer.
        agent_id = NonEmptyStr(agent.agent_id) if agent is not None else None
    commands = cast("dict[str, object]", commands_list(call, CommandsListParams(agent_id=agent_id)))
    # What is known now: a page that opens does not wait for a server that may not answer.
    models = await models_list(call, ModelsListParams(agent_id=agent_id, prepared_only=True))
    return commands | cast("dict[str, object]", models)


@STARTUP.add("chat.startup", scope=READ, params=ChatHistoryParams)
async def chat_startup(call: Call, params: ChatHistoryParams) -> object:
    """`chat.history`, and beside it the agents and `chat.metadata`."""
    told = await chat_history(call, params)
    if told.get("kind") == "reset":
        return told
    metadata = await chat_metadata(call, ChatMetadataParams(params.agent_id, params.session_key))
    return told | {"agentsList": agents_list(call, NoParams()), "metadata": metadata}
