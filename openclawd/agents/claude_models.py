"""The Claude models that are offered when ANTHROPIC_API_KEY is all there is, and how each one thinks.

A short list of what people choose, with facts from Anthropic's model pages; it is not fetched, so that a
start asks nobody. Any other id works too when it is named: `agents.defaults.model.primary:
"anthropic/<id>"`. Prices are those of the cache that lasts five minutes, the one that is asked for.
"""

import re
from collections.abc import Mapping
from typing import Final

import attrs

from openclawd.agents.entries import ANTHROPIC_MESSAGES, ModelEntry
from openclawd.agents.prices import Prices

PROVIDER: Final = "anthropic"
BASE_URL: Final = "https://api.anthropic.com"
# Good enough for daily work, and half of the large one's price: nobody chose it yet.
DEFAULT_MODEL: Final = "claude-sonnet-5-5"
# The limit is part of every request; what every model allows, for one that is not in the list.
MAX_TOKENS: Final = 8_192


def _model(name: str, prices: Prices, window: int = 1_000_000, max_tokens: int = 128_000) -> ModelEntry:
    return ModelEntry(
        name.lower().replace(" ", "-").replace(".", "-"),
        name,
        PROVIDER,
        window,
        reasoning=True,
        input=("text", "image"),
        max_tokens=max_tokens,
        prices=prices,
        api=ANTHROPIC_MESSAGES,
    )


MODELS: Final = (
    _model("Claude Opus 5.5", Prices(4, 20, 0.20, 5)),
    _model("Claude Sonnet 5.5", Prices(2, 10, 0.10, 2.50)),
    _model(
        "Claude Haiku 5.5",
        Prices(0.10, 0.50, 0.01, 0.125, long=((100_001, Prices(0.50, 2.50, 0.05, 0.625)),)),
    ),
    _model("Claude Fable 5.1", Prices(10, 50, 0.25, 12.50)),
    _model("Claude Haiku 4.5", Prices(1, 5, 0.10, 1.25), window=200_000, max_tokens=64_000),
)

_VERSION: Final = re.compile(r"claude-([a-z]+)-(\d+)(?:[-.](\d{1,2}))?(?!\d)")
# The first that decide for themselves how much to think, that know the effort xhigh, and that send their
# thinking only when asked to.
_ADAPTIVE: Final = (4, 6)
_WITH_XHIGH: Final = (4, 7)
# The last that are known; a later one is not told to stop thinking, as it may refuse that.
_NEWEST: Final = (5, 5)
_ALWAYS_THINK: Final = frozenset({("opus", (5, 5))})
_OFF_IS_BETWEEN_TOOLS: Final = frozenset({("sonnet", (5, 5))})
_CAN_BE_SILENT: Final = frozenset({"opus", "sonnet", "haiku"})


@attrs.frozen(eq=False, repr=False)
class ThinkingForm:
    """How a model is told to think. Not adaptive: by a budget, and not at all without one."""

    adaptive: bool = False
    has_xhigh: bool = False
    off: Mapping[str, str] | None = None
    """What tells an adaptive model not to; None where nothing does."""


def thinking_form(model: str) -> ThinkingForm:
    """The form that `model` takes, by its name; one that is no known Claude takes a budget."""
    found = _VERSION.search(model.lower())
    if found is None:
        return ThinkingForm()
    family, version = found[1], (int(found[2]), int(found[3] or 0))
    if version < _ADAPTIVE:
        return ThinkingForm()
    off: Mapping[str, str] | None = None
    if (family, version) in _OFF_IS_BETWEEN_TOOLS:
        off = {"type": "between_tools"}
    elif family in _CAN_BE_SILENT and version <= _NEWEST and (family, version) not in _ALWAYS_THINK:
        off = {"type": "disabled"}
    return ThinkingForm(adaptive=True, has_xhigh=version >= _WITH_XHIGH, off=off)
