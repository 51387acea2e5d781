"""A catalog of scripted models, for tests of which one is asked and what it is told."""

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from openclawd.agents.entries import ModelEntry, ModelRef
from openclawd.agents.model import Completion, Emit, Model, ModelError, ModelErrorKind
from tests.sessions.stage import Script, ScriptedModel, echo


def entry(name: str, **more: Any) -> ModelEntry:
    """`provider/id`."""
    provider, _, model = name.partition("/")
    return attrs.evolve(ModelEntry(model, model, provider, 32_000), **more)


class NamedModel(ScriptedModel):
    """A scripted model with a name of its own."""

    def __init__(self, ref: ModelRef, script: Script) -> None:
        super().__init__(script)
        self.provider = ref.provider
        self.id = ref.model


@attrs.define
class Models:
    """The first of `listed` is the default one. What is in `refusing` cannot even be asked."""

    listed: Sequence[ModelEntry]
    named: Sequence[str] = ()
    scripts: dict[str, Script] = attrs.field(factory=dict)
    refusing: dict[str, ModelError] = attrs.field(factory=dict)
    asked: dict[str, NamedModel] = attrs.field(factory=dict)

    def default(self, agent_id: str | None = None) -> ModelRef:
        return self.listed[0].ref

    def entries(self) -> Sequence[ModelEntry]:
        return self.listed

    def find(self, ref: str | ModelRef) -> ModelEntry | None:
        return next((each for each in self.listed if str(each.ref) == str(ref)), None)

    def fallbacks(self, agent_id: str | None = None) -> Sequence[ModelRef]:
        return [found.ref for name in self.named if (found := self.find(name))]

    def resolve(self, ref: str | ModelRef | None, agent_id: str | None = None) -> Model:
        name = str(self.default(agent_id) if ref is None else ref)
        if name in self.refusing:
            raise self.refusing[name]
        found = self.find(name)
        if found is None:
            raise ModelError(ModelErrorKind.UNKNOWN_MODEL, f"no model {name}.")
        return self.asked.setdefault(name, NamedModel(found.ref, self.scripts.get(name, echo)))


def failing(kind: ModelErrorKind, say: Callable[[Emit], None] = lambda _: None) -> Script:
    """A script that fails, perhaps after some words."""

    async def script(_: str, emit: Emit) -> Completion:
        say(emit)
        raise ModelError(kind, f"{kind}.")

    return script
