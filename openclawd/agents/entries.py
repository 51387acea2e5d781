"""How models are named and listed."""

import attrs


@attrs.frozen
class ModelRef:
    """`provider/model`, split at the first slash: a model's id may hold more of them."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


@attrs.frozen
class ModelEntry:
    """One row of `models.list`. What is not known is None and left out on the wire."""

    id: str
    name: str
    provider: str
    context_window: int | None = None
    reasoning: bool | None = attrs.field(default=None, kw_only=True)
    input: tuple[str, ...] | None = attrs.field(default=None, kw_only=True)
    max_tokens: int | None = attrs.field(default=None, kw_only=True)

    @property
    def ref(self) -> ModelRef:
        """The name under which it is chosen."""
        return ModelRef(self.provider, self.id)

    def to_wire(self) -> dict[str, object]:
        """As in `models.list` (protocol.md 6.1)."""
        row: dict[str, object] = {"id": self.id, "name": self.name, "provider": self.provider}
        if self.context_window is not None:
            row["contextWindow"] = self.context_window
        if self.reasoning is not None:
            row["reasoning"] = self.reasoning
        if self.input is not None:
            row["input"] = list(self.input)
        return row
