"""`agents.files.*`: the notes in an agent's workspace."""

from pathlib import Path
from typing import Final

import trio

from openclawd.agents import workspace
from openclawd.agents.roster import AgentProfile
from openclawd.agents.workspace import FILE_NAMES, FileTooLarge, UnsafeFile, WorkspaceFile
from openclawd.auth.scopes import READ
from openclawd.methods.method import Call, MethodTable
from openclawd.methods.params import params
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import invalid_request, unavailable
from openclawd.protocol.versions import V4

# What v4 shows only where they are.
_OLDER_NAMES: Final = frozenset({"TOOLS.md", "IDENTITY.md", "HEARTBEAT.md"})
# What v4 finds missing, rather than not there yet.
_EXPECTED: Final = frozenset({"AGENTS.md", "BOOTSTRAP.md"})

AGENT_FILES = MethodTable()


@params
class AgentFilesListParams:
    """Whose files."""

    agent_id: NonEmptyStr


@params
class AgentFilesGetParams:
    """Which of them."""

    agent_id: NonEmptyStr
    name: NonEmptyStr


@AGENT_FILES.add("agents.files.list", scope=READ, params=AgentFilesListParams)
async def agents_files_list(call: Call, params: AgentFilesListParams) -> object:
    """Which of the files there are."""
    agent, folder = _workspace(call, params.agent_id)

    def look() -> list[WorkspaceFile]:
        return [workspace.look_at(folder, name) for name in FILE_NAMES]

    try:
        files = await trio.to_thread.run_sync(look)
    except OSError as error:
        raise _unreadable(folder, error) from error
    if call.caller.wire_generation >= V4:
        files = [file for file in files if not file.missing or file.name not in _OLDER_NAMES]
    rows = [_row(call, file) for file in files]
    return {"agentId": agent.agent_id, "workspace": str(folder), "files": rows}


@AGENT_FILES.add("agents.files.get", scope=READ, params=AgentFilesGetParams)
async def agents_files_get(call: Call, params: AgentFilesGetParams) -> object:
    """What one of them says."""
    agent, folder = _workspace(call, params.agent_id)
    name = params.name.strip()
    if name not in FILE_NAMES:
        raise invalid_request(f'unsupported file "{name}"')
    try:
        file = await trio.to_thread.run_sync(workspace.read, folder, name)
    except UnsafeFile:
        raise invalid_request(f'unsafe workspace file "{name}"') from None
    except FileTooLarge:
        raise invalid_request(
            f'workspace file "{name}" is larger than {workspace.MAX_FILE_BYTES} bytes'
        ) from None
    except OSError as error:
        raise _unreadable(folder / name, error) from error
    return {"agentId": agent.agent_id, "workspace": str(folder), "file": _row(call, file)}


def _workspace(call: Call, agent_id: str) -> tuple[AgentProfile, Path]:
    agent = call.services.agents.find(agent_id.strip().lower())
    if agent is None:
        raise invalid_request(f'unknown agent id "{agent_id}"')
    return agent, agent.workspace


def _row(call: Call, file: WorkspaceFile) -> dict[str, object]:
    row = file.to_wire()
    if file.missing and call.caller.wire_generation >= V4:
        row["expectedAbsent"] = file.name not in _EXPECTED
    return row


def _unreadable(path: Path, error: OSError) -> Exception:
    return unavailable(f"{path} cannot be read: {error.strerror or error}")
