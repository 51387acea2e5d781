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

    def find(self, ref: str | ModelRef) -> ModelEntry | None:
        """What is known about the model of that name."""
        ...

    def fallbacks(self, agent_id: str | None = None) -> Sequence[ModelRef]:
        """The models that may answer in the place of the default one."""
        ...

    def resolve(self, ref: str | ModelRef | None, agent_id: str | None = None) -> Model:
        """The model of that name, None for the agent's default. Raises ModelError."""
        ...
