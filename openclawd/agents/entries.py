"""How models are named and listed."""

from typing import Final

import attrs

from openclawd.agents.prices import Prices

# The wires that are spoken; stock's names for them.
OPENAI_COMPLETIONS: Final = "openai-completions"
ANTHROPIC_MESSAGES: Final = "anthropic-messages"


@attrs.frozen
class ModelRef:
    """`provider/model`, split at the first slash: a model's id may hold more of them."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


@attrs.frozen(repr=False)
class ModelEntry:
    """One row of `models.list`. What is not known is None and left out on the wire."""

    id: str
    name: str
    provider: str
    context_window: int | None = None
    reasoning: bool | None = attrs.field(default=None, kw_only=True)
    input: tuple[str, ...] | None = attrs.field(default=None, kw_only=True)
    max_tokens: int | None = attrs.field(default=None, kw_only=True)
    prices: Prices | None = attrs.field(default=None, kw_only=True)
    api: str = attrs.field(default=OPENAI_COMPLETIONS, kw_only=True)

    @property
    def ref(self) -> ModelRef:
        """The name under which it is chosen."""
        return ModelRef(self.provider, self.id)

    @property
    def sees_images(self) -> bool:
        """Whether pictures may be sent to it."""
        return self.input is not None and "image" in self.input

    def to_wire(self) -> dict[str, object]:
        """As in `models.list` of v3 (protocol.md 6.1)."""
        row: dict[str, object] = {"id": self.id, "name": self.name, "provider": self.provider}
        if self.context_window is not None:
            row["contextWindow"] = self.context_window
        if self.reasoning is not None:
            row["reasoning"] = self.reasoning
        if self.input is not None:
            row["input"] = list(self.input)
        return row
