"""A catalog of two models: one that thinks and has a price, one that does neither."""

from collections.abc import Sequence

from openclawd.agents.entries import ModelEntry, ModelRef
from openclawd.agents.model import Model, ModelError, ModelErrorKind
from openclawd.agents.prices import Prices
from tests.sessions.stage import Script, ScriptedModel, echo

PLAIN = ModelEntry("plain", "Plain", "scripted", 8_000, reasoning=False)
CLEVER = ModelEntry("clever", "Clever", "scripted", 8_000, reasoning=True, prices=Prices(3.0, 15.0, 0.3))


class Shelf:
    """Both models, of which `plain` is the default."""

    def __init__(self, script: Script = echo) -> None:
        self.models = {str(entry.ref): _model(entry, script) for entry in (PLAIN, CLEVER)}

    def default(self, agent_id: str | None = None) -> ModelRef:
        return PLAIN.ref

    def fallbacks(self, agent_id: str | None = None) -> Sequence[ModelRef]:
        return []

    def entries(self) -> Sequence[ModelEntry]:
        return [PLAIN, CLEVER]

    def find(self, ref: str | ModelRef) -> ModelEntry | None:
        return next((entry for entry in self.entries() if str(entry.ref) == str(ref)), None)

    def resolve(self, ref: str | ModelRef | None, agent_id: str | None = None) -> Model:
        wanted = str(PLAIN.ref if ref is None else ref)
        name = wanted if "/" in wanted else f"scripted/{wanted}"
        if name not in self.models:
            raise ModelError(ModelErrorKind.UNKNOWN_MODEL, f"There is no model {wanted}.")
        return self.models[name]


def _model(entry: ModelEntry, script: Script) -> ScriptedModel:
    model = ScriptedModel(script)
    model.id = entry.id
    return model
