"""Where models come from, as far as sessions need to know; the catalog of `agents` is one."""

from collections.abc import Sequence
from typing import Protocol

from openclawd.agents.entries import ModelEntry, ModelRef
from openclawd.agents.model import Model


class ModelSource(Protocol):
    """The models that can be asked now; they may change between two runs."""

    def default(self, agent_id: str | None = None) -> ModelRef:
        """The model of an agent, or of agents that have none of their own."""
        ...

    def entries(self) -> Sequence[ModelEntry]:
        """All models."""
        ...

    def resolve(self, ref: str | None, agent_id: str | None = None) -> Model:
        """The model of that name, None for the agent's default. Raises ModelError."""
        ...


def entry_of(source: ModelSource, provider: str, model: str) -> ModelEntry | None:
    """What is known about a model."""
    return next((e for e in source.entries() if e.provider == provider and e.id == model), None)


def window_of(source: ModelSource, provider: str, model: str) -> int | None:
    """The context window of a model in tokens, if it is known."""
    entry = entry_of(source, provider, model)
    return entry.context_window if entry is not None else None
