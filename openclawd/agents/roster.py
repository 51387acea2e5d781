"""The agents of the config: who there is to talk to, and by what name and face."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from openclawd.config.model import Agent, Config

# Stock's, for an agent that was given neither.
DEFAULT_AGENT_ID: Final = "main"
DEFAULT_NAME: Final = "Assistant"
DEFAULT_AVATAR: Final = "A"
_IMAGES: Final = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg"}


@attrs.frozen(eq=False, repr=False)
class AgentProfile:
    """One agent, ready to be shown."""

    agent_id: str
    workspace: Path
    name: str | None = None
    theme: str | None = None
    emoji: str | None = None
    avatar: str | None = None

    def to_wire(self) -> dict[str, object]:
        """A row of `agents.list`."""
        row: dict[str, object] = {"id": self.agent_id}
        if self.name is not None:
            row["name"] = self.name
        identity = {
            key: value
            for key, value in (("theme", self.theme), ("emoji", self.emoji), ("avatar", self.avatar))
            if value is not None
        }
        if identity:
            row["identity"] = identity | ({"name": self.name} if self.name is not None else {})
        return row

    def identity_to_wire(self) -> dict[str, object]:
        """The answer of `agent.identity.get`."""
        identity: dict[str, object] = {
            "agentId": self.agent_id,
            "name": self.name or DEFAULT_NAME,
            "avatar": self.avatar or self.emoji or DEFAULT_AVATAR,
        }
        return identity | ({"emoji": self.emoji} if self.emoji is not None else {})

    def avatar_file(self) -> Path | None:
        """The picture in the agent's workspace, when its avatar is one; never a file outside of it."""
        if self.avatar is None:
            return None
        root = self.workspace.resolve()
        file = (root / self.avatar).resolve()
        if file.suffix.lower() not in _IMAGES or not file.is_relative_to(root) or not file.is_file():
            return None
        return file


@attrs.define(eq=False, repr=False)
class Roster:
    """Every agent, the default one first; never empty. Another config may bring other agents, but for the
    default one's id.
    """

    all: Sequence[AgentProfile]
    main_key: str
    scope: str

    @property
    def default_id(self) -> str:
        return self.all[0].agent_id

    @property
    def main_session_key(self) -> str:
        """Where a client lands that names no session."""
        return "global" if self.scope == "global" else f"agent:{self.default_id}:{self.main_key}"

    def find(self, agent_id: str) -> AgentProfile | None:
        """The agent called `agent_id`."""
        return next((agent for agent in self.all if agent.agent_id == agent_id), None)

    def of_session(self, session_key: str) -> str:
        """The id of the agent that a session key names; the default one's when it names none."""
        parts = session_key.lower().split(":")
        return parts[1] if len(parts) > 2 and parts[0] == "agent" else self.default_id


def roster(config: Config, state_dir: Path) -> Roster:
    """The roster of `config`; without any agent in it, the one that stock assumes."""
    # Of two that are called the same, the first one counts, as in stock.
    configured: dict[str, Agent] = {}
    agents = config.agents.roster or (Agent(),)
    for agent in agents:
        configured.setdefault(_id(agent), agent)
    default_id = next((_id(agent) for agent in agents if agent.default), next(iter(configured)))
    profiles = [
        _profile(
            name, agent, config, _workspace(name, agent, config, state_dir, is_default=name == default_id)
        )
        for name, agent in configured.items()
    ]
    first = [profile for profile in profiles if profile.agent_id == default_id]
    others = [profile for profile in profiles if profile.agent_id != default_id]
    return Roster((*first, *others), config.session.main_key.lower(), config.session.scope)


def _id(agent: Agent) -> str:
    return (agent.id or DEFAULT_AGENT_ID).lower()


def _workspace(name: str, agent: Agent, config: Config, state_dir: Path, *, is_default: bool) -> Path:
    """Where stock has it: the defaults' folder is the default agent's, and nobody shares it."""
    if folder := agent.workspace or (config.agents.defaults.workspace if is_default else None):
        # Of a user that this system does not know, `~name` stays as it is.
        return Path(os.path.expanduser(folder)).absolute()  # noqa: PTH111
    return state_dir / ("workspace" if is_default else f"workspace-{name}")


def _profile(agent_id: str, agent: Agent, config: Config, workspace: Path) -> AgentProfile:
    return AgentProfile(
        agent_id=agent_id,
        workspace=workspace,
        name=agent.identity.name or agent.name or config.ui.assistant.name,
        theme=agent.identity.theme,
        emoji=agent.identity.emoji,
        avatar=agent.identity.avatar or config.ui.assistant.avatar,
    )
