"""How hard a model can be asked to think before it answers.

Levels are stock's: off, minimal, low, medium, high, xhigh. A model has those that its provider knows a word
or a budget for; one that always thinks has no "off".
"""

from typing import Final

from openclawd.agents.claude_models import thinking_form
from openclawd.agents.entries import ANTHROPIC_MESSAGES, ModelEntry
from openclawd.agents.openai_models import has_xhigh

OFF: Final = "off"
LEVELS: Final = (OFF, "minimal", "low", "medium", "high", "xhigh")
# For a model that always thinks.
_USUAL: Final = "medium"


def thinking_levels(entry: ModelEntry) -> tuple[str, ...]:
    """What `entry` can be asked for, from the least to the most."""
    if not entry.reasoning:
        return (OFF,)
    if entry.api != ANTHROPIC_MESSAGES:
        return (OFF, "low", "medium", "high", *(["xhigh"] if has_xhigh(entry.id) else []))
    form = thinking_form(entry.id)
    if not form.adaptive:
        return (OFF, "minimal", "low", "medium", "high")
    off = [OFF] if form.off is not None else []
    return (*off, "low", "medium", "high", *(["xhigh"] if form.has_xhigh else []))


def thinking_default(entry: ModelEntry) -> str:
    """The level where nobody chose one."""
    return OFF if OFF in thinking_levels(entry) else _USUAL


def nearest_level(wanted: str, entry: ModelEntry) -> str:
    """The level of `entry` that comes closest to `wanted`; thinking that was asked for is never left out."""
    levels = thinking_levels(entry)
    if wanted in levels or len(levels) == 1:
        return wanted if wanted in levels else levels[0]
    at_most = LEVELS.index(wanted) if wanted in LEVELS else 0
    lower = [level for level in levels if level != OFF and LEVELS.index(level) <= at_most]
    return lower[-1] if lower else next(level for level in levels if level != OFF)
