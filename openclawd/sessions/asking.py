"""From a claimed run to the question for a model: which model, and what it gets to read."""

from collections.abc import Callable

from openclawd.agents.model import ModelRequest
from openclawd.agents.roster import DEFAULT_NAME, Roster
from openclawd.sessions.budget import Budget, tokens_of
from openclawd.sessions.keys import agent_of
from openclawd.sessions.prompt import build_messages, prompt_tokens, system_prompt
from openclawd.sessions.run import Question
from openclawd.sessions.source import ModelSource, entry_of
from openclawd.store.conversations import Conversations
from openclawd.store.records import RunRecord


class Asking:
    """Prepares the questions of all sessions."""

    def __init__(
        self,
        conversations: Conversations,
        models: ModelSource,
        roster: Roster,
        now_ms: Callable[[], int],
    ) -> None:
        self._conversations = conversations
        self._models = models
        self._roster = roster
        self._now_ms = now_ms

    async def prepare(self, run: RunRecord) -> Question:
        """The question of `run`. Raises ModelError when its model cannot be used."""
        agent_id = agent_of(run.session_key, self._roster.default_id)
        model = self._models.resolve(None, agent_id)
        entry = entry_of(self._models, model.provider, model.id)
        budget = Budget() if entry is None else Budget(entry.context_window, entry.max_tokens)
        profile = self._roster.find(agent_id)
        name = (profile.name if profile is not None else None) or DEFAULT_NAME
        system = system_prompt(name, self._now_ms())
        stored = await self._conversations.context(
            run.session_id, run.seq, budget.prompt - tokens_of(system), prompt_tokens
        )
        messages = build_messages(system, stored)
        return Question(model, ModelRequest(messages, run.session_key, budget.answer(messages)))
