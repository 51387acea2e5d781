"""From a claimed run to the question for a model: which model, how hard it thinks, what it gets to read.

What a run names goes before what is chosen for its session, and that before the config. Only where the
config decided may its fallbacks answer: a model that somebody chose is not swapped behind their back.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import attrs

from openclawd.agents.entries import ModelEntry, ModelRef
from openclawd.agents.model import ModelError, ModelErrorKind, ModelRequest
from openclawd.agents.offline import PROVIDER as OFFLINE_PROVIDER
from openclawd.agents.roster import DEFAULT_NAME, Roster
from openclawd.agents.thinking import OFF, nearest_level, thinking_default
from openclawd.sessions.budget import Budget, tokens_of
from openclawd.sessions.enclosed import load_files
from openclawd.sessions.keys import agent_of
from openclawd.sessions.prompt import build_messages, compaction_prompt, prompt_tokens, system_prompt
from openclawd.sessions.run import REPLACEABLE, Question
from openclawd.sessions.settings import settings_of
from openclawd.sessions.source import ModelSource
from openclawd.sessions.system_events import SystemEvents, told
from openclawd.sessions.transcript import text_content, text_of
from openclawd.store.conversations import Conversations
from openclawd.store.records import Message, RunKind, RunRecord

_NO_SUMMARY: Final = (
    "The built-in responder is no language model and cannot sum up a conversation. Connect one first; say "
    "“connect” for how."
)

_log = logging.getLogger("openclawd.sessions")


@attrs.define(eq=False, repr=False)
class _Ask:
    """What is asked for in one run, whichever model answers. `events` are taken once, for all of them."""

    run: RunRecord
    agent_id: str
    thinking: str | None
    system: str
    events: str | None = None


class Asking:
    """Prepares the questions of all sessions."""

    def __init__(
        self,
        conversations: Conversations,
        models: ModelSource,
        roster: Roster,
        now_ms: Callable[[], int],
        system_events: SystemEvents,
    ) -> None:
        self._conversations = conversations
        self._models = models
        self._roster = roster
        self._now_ms = now_ms
        self._system_events = system_events

    async def prepare(self, run: RunRecord) -> Question:
        """The question of `run`. Raises ModelError when its model cannot be used."""
        agent_id = agent_of(run.session_key, self._roster.default_id)
        settings = settings_of(await self._conversations.session(run.session_key))
        profile = self._roster.find(agent_id)
        name = (profile.name if profile is not None else None) or DEFAULT_NAME
        system = system_prompt(name, self._now_ms(), run.options.extra_system_prompt)
        ask = _Ask(run, agent_id, run.options.thinking or settings.thinking_level, system)
        if run.kind is RunKind.COMPACTION:
            ask.events = ""
        named = run.options.model or settings.model
        choices = [named] if named else [None, *self._models.fallbacks(agent_id)]
        return await self._first_usable(ask, choices)

    async def _first_usable(self, ask: _Ask, choices: Sequence[str | ModelRef | None]) -> Question:
        first, *others = choices
        fallback = partial(self._first_usable, ask, others) if others else None
        try:
            model = self._models.resolve(first, ask.agent_id)
        except ModelError as error:
            if fallback is None or error.kind not in REPLACEABLE:
                raise
            fields = {"runId": ask.run.run_id, "kind": error.kind, "reason": str(error)}
            _log.warning("model replaced by its fallback", extra={"fields": fields})
            return await fallback()
        if ask.run.kind is RunKind.COMPACTION and model.provider == OFFLINE_PROVIDER:
            raise ModelError(ModelErrorKind.REFUSED, _NO_SUMMARY)
        entry = self._models.find(ModelRef(model.provider, model.id))
        request = await self._request(ask, entry)
        return Question(model, request, entry.prices if entry is not None else None, fallback)

    async def _request(self, ask: _Ask, entry: ModelEntry | None) -> ModelRequest:
        run = ask.run
        sees_images = entry is not None and entry.sees_images
        budget = Budget() if entry is None else Budget(entry.context_window, entry.max_tokens)
        waiting = ask.events
        if waiting is None:
            waiting = await self._system_events.lines(run.session_key, run.seq)
        stored = await self._conversations.context(
            run.session_id,
            run.seq,
            budget.prompt - tokens_of(ask.system) - tokens_of(waiting),
            partial(prompt_tokens, sees_images=sees_images),
        )
        if run.kind is RunKind.COMPACTION:
            stored[-1] = _spelt_out(stored[-1])
        files = await load_files(self._conversations, run.session_id, stored, sees_images=sees_images)
        if ask.events is None:
            ask.events = await self._system_events.take(run.session_key, run.seq)
        messages = told(build_messages(ask.system, stored, files), ask.events)
        return ModelRequest(
            messages, run.session_key, budget.answer(messages), _thinking(ask.thinking, entry)
        )


def _spelt_out(asked: Message) -> Message:
    """What asks for a summary, in words for a model."""
    return {"role": asked["role"], "content": text_content(compaction_prompt(text_of(asked)))}


def _thinking(wanted: str | None, entry: ModelEntry | None) -> str:
    if entry is None:
        return OFF
    return thinking_default(entry) if wanted is None else nearest_level(wanted, entry)
