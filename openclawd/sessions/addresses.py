"""Which session a client means: its key, in whatever spelling, and the agent that it may name beside it."""

from typing import Final

from openclawd.agents.roster import Roster
from openclawd.protocol.errors import invalid_request
from openclawd.sessions.keys import GLOBAL, MAIN, UNKNOWN, MalformedKey, Scope, agent_of, canonical

# What a new conversation is called that nobody named, as in stock.
_NEW: Final = "dashboard"


class Addresses:
    """Reads session keys against the agents that there are. Every method raises RequestError."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._scope: Scope = "global" if roster.scope == "global" else "per-sender"

    def key(self, session_key: str, agent_id: str | None = None) -> str:
        """The one key that `session_key` means, `agent_id` being whose it is where the key does not say."""
        text = session_key.strip().lower()
        agent = (agent_id or "").strip().lower()
        if agent and not text.startswith("agent:") and text not in {GLOBAL, UNKNOWN}:
            main = text in {MAIN, self._roster.main_key}
            return self._canonical(f"agent:{agent}:{self._roster.main_key if main else text}")
        key = self._canonical(session_key)
        if agent and self.agent_of(key) != agent:
            raise invalid_request(f'agentId "{agent_id}" does not match sessionKey {session_key}')
        return key

    def known_key(self, session_key: str, agent_id: str | None = None) -> str:
        """The same for what somebody is to answer in: its agent is one of the config's."""
        key = self.key(session_key, agent_id)
        self._known(self.agent_of(key))
        return key

    def main_key(self, agent_id: str | None = None) -> str:
        """The main session of an agent, the default one's without."""
        return self.known_key(MAIN, agent_id)

    def new_key(self, unique: str, agent_id: str | None = None) -> str:
        """A key for a new conversation with an agent, the default one without."""
        agent = (agent_id or self._roster.default_id).strip().lower()
        self._known(agent)
        return self._canonical(f"agent:{agent}:{_NEW}:{unique}")

    def agent_of(self, key: str) -> str:
        """The agent that a canonical key belongs to."""
        return agent_of(key, self._roster.default_id)

    def _known(self, agent_id: str) -> None:
        if self._roster.find(agent_id) is None:
            raise invalid_request(f'unknown agent id "{agent_id}"')

    def _canonical(self, session_key: str) -> str:
        roster = self._roster
        try:
            return canonical(
                session_key, default_agent=roster.default_id, main_key=roster.main_key, scope=self._scope
            )
        except MalformedKey as error:
            raise invalid_request(str(error)) from error
