"""The OpenAI models that are offered when OPENAI_API_KEY is all there is, and what each calls its efforts.

A short list of what people choose, newest first, with facts from OpenAI's model pages; it is not fetched,
so that a start asks nobody. Any other id works too when it is named: `agents.defaults.model.primary:
"openai/<id>"`.
"""

import re
from typing import Final

from openclawd.agents.entries import ModelEntry
from openclawd.agents.prices import Prices

PROVIDER: Final = "openai"
BASE_URL: Final = "https://api.openai.com/v1"
# Good enough for daily work, and a fraction of the large one's price: nobody chose it yet.
DEFAULT_MODEL: Final = "gpt-5-mini"


def _model(name: str, window: int, prices: Prices, *, reasoning: bool = True) -> ModelEntry:
    return ModelEntry(
        name.lower().replace(" ", "-"),
        name,
        PROVIDER,
        window,
        reasoning=reasoning,
        input=("text", "image"),
        prices=prices,
    )


MODELS: Final = (
    _model("GPT-5.2", 400_000, Prices(1.75, 14, 0.175)),
    _model("GPT-5.1", 400_000, Prices(1.25, 10, 0.125)),
    _model("GPT-5 mini", 400_000, Prices(0.25, 2, 0.025)),
    _model("GPT-4.1", 1_047_576, Prices(2, 8, 0.50), reasoning=False),
    _model("GPT-4.1 mini", 1_047_576, Prices(0.40, 1.60, 0.10), reasoning=False),
)

# What asks a model to think as little as it can; of the others nobody knows which word they take.
_LEAST_EFFORT: Final = (
    (re.compile(r"(^|/)gpt-5(-mini|-nano)?(-\d{4}-.*)?$"), "minimal"),
    (re.compile(r"(^|/)gpt-(5\.\d|6)(?![.\d])"), "none"),
    (re.compile(r"(^|/)(gpt-6\.\d|o\d)"), "low"),
)
_WITH_XHIGH: Final = re.compile(r"(^|/)gpt-(5\.[2-9]|6)")


def least_effort(model: str) -> str | None:
    """The `reasoning_effort` that turns thinking off, as far as `model` lets it; None where it is unknown."""
    return next((word for pattern, word in _LEAST_EFFORT if pattern.search(model)), None)


def has_xhigh(model: str) -> bool:
    """Whether `model` knows the effort above "high"."""
    return _WITH_XHIGH.search(model) is not None
