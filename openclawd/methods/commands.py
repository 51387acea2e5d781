"""`commands.list`: what can be typed behind a slash, from the table that answers it."""

from typing import Literal

from openclawd.auth.scopes import READ
from openclawd.methods.method import Call, MethodTable
from openclawd.methods.params import params
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import invalid_request
from openclawd.sessions.commands import COMMANDS, CommandInfo

COMMANDS_LIST = MethodTable()


@params
class CommandsListParams:
    """`commands.list`. Commands are the same for every agent, session and provider, and all of them text."""

    session_key: NonEmptyStr | None = None
    agent_id: NonEmptyStr | None = None
    provider: NonEmptyStr | None = None
    scope: Literal["text", "native", "both"] = "both"
    include_args: bool = True


@COMMANDS_LIST.add("commands.list", scope=READ, params=CommandsListParams)
def commands_list(call: Call, params: CommandsListParams) -> object:
    """Every command that works. Native ones belong to channels, and there are none."""
    if params.agent_id is not None and call.services.agents.find(params.agent_id) is None:
        raise invalid_request(f'unknown agent id "{params.agent_id}"')
    commands = () if params.scope == "native" else COMMANDS
    return {"commands": [_row(command, with_args=params.include_args) for command in commands]}


def _row(command: CommandInfo, *, with_args: bool) -> dict[str, object]:
    row: dict[str, object] = {
        "name": command.name,
        "textAliases": [f"/{command.name}"],
        "description": command.description,
        "category": command.category,
        "source": "native",
        "scope": "text",
        "acceptsArgs": bool(command.args),
    }
    if not with_args or not command.args:
        return row
    args = [
        {
            "name": argument.name,
            "description": argument.description,
            "type": "string",
            **(
                {"choices": [{"value": word, "label": word} for word in argument.choices]}
                if argument.choices
                else {}
            ),
        }
        for argument in command.args
    ]
    return row | {"args": args}
