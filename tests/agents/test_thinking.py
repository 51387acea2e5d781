"""How hard each model can be asked to think."""

import pytest

from openclawd.agents.claude_models import MODELS, thinking_form
from openclawd.agents.entries import ANTHROPIC_MESSAGES, OPENAI_COMPLETIONS, ModelEntry
from openclawd.agents.thinking import nearest_level, thinking_default, thinking_levels


def entry(model: str, api: str = ANTHROPIC_MESSAGES, *, reasoning: bool | None = True) -> ModelEntry:
    return ModelEntry(model, model, "p", reasoning=reasoning, api=api)


@pytest.mark.parametrize(
    ("model", "levels"),
    [
        (entry("x", reasoning=None), "off"),
        (entry("gpt-4.1", OPENAI_COMPLETIONS, reasoning=False), "off"),
        (entry("qwen3", OPENAI_COMPLETIONS), "off low medium high"),
        (entry("gpt-5.2", OPENAI_COMPLETIONS), "off low medium high xhigh"),
        (entry("claude-haiku-4-5"), "off minimal low medium high"),
        (entry("claude-opus-4-20250514"), "off minimal low medium high"),
        (entry("claude-3-7-sonnet-20250219"), "off minimal low medium high"),
        (entry("kimi-k2-thinking"), "off minimal low medium high"),
        (entry("claude-opus-4-6"), "off low medium high"),
        (entry("anthropic/claude-opus-4.8"), "off low medium high xhigh"),
        (entry("claude-sonnet-5"), "off low medium high xhigh"),
        (entry("claude-opus-5-5"), "low medium high xhigh"),
        (entry("claude-fable-5-1"), "low medium high xhigh"),
        (entry("claude-sonnet-6"), "low medium high xhigh"),
    ],
    ids=lambda value: value.id if isinstance(value, ModelEntry) else "",
)
def test_a_model_has_the_levels_that_its_provider_knows(model: ModelEntry, levels: str) -> None:
    assert " ".join(thinking_levels(model)) == levels


def test_a_date_is_no_version() -> None:
    assert not thinking_form("claude-sonnet-4-20250514").adaptive
    assert thinking_form("claude-sonnet-4-6-20260101").adaptive


def test_nobody_thinks_who_was_not_asked_to_unless_it_always_does() -> None:
    assert thinking_default(entry("claude-sonnet-5-5")) == "off"
    assert thinking_default(entry("claude-opus-5-5")) == "medium"


@pytest.mark.parametrize(
    ("wanted", "model", "level"),
    [
        ("high", entry("qwen3", OPENAI_COMPLETIONS), "high"),
        ("xhigh", entry("qwen3", OPENAI_COMPLETIONS), "high"),
        ("minimal", entry("qwen3", OPENAI_COMPLETIONS), "low"),
        ("off", entry("claude-opus-5-5"), "low"),
        ("high", entry("x", reasoning=False), "off"),
        ("nonsense", entry("claude-opus-5-5"), "low"),
    ],
)
def test_a_level_that_a_model_lacks_becomes_the_nearest(wanted: str, model: ModelEntry, level: str) -> None:
    assert nearest_level(wanted, model) == level


def test_every_built_in_claude_is_complete() -> None:
    for model in MODELS:
        assert model.prices is not None
        assert model.max_tokens is not None
        assert model.sees_images
        assert model.id.startswith("claude-")
        assert "." not in model.id
