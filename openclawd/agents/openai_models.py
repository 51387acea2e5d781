"""The OpenAI models that are offered when OPENAI_API_KEY is all there is.

A short list of what people choose, newest first, with facts from OpenAI's model pages; it is not fetched,
so that a start asks nobody. Any other id works too when it is named: `agents.defaults.model.primary:
"openai/<id>"`.
"""

from typing import Final

from openclawd.agents.entries import ModelEntry

PROVIDER: Final = "openai"
BASE_URL: Final = "https://api.openai.com/v1"
# Good enough for daily work, and a fraction of the large one's price: nobody chose it yet.
DEFAULT_MODEL: Final = "gpt-5-mini"

_TEXT_AND_IMAGES: Final = ("text", "image")

MODELS: Final = (
    ModelEntry("gpt-5.2", "GPT-5.2", PROVIDER, 400_000, reasoning=True, input=_TEXT_AND_IMAGES),
    ModelEntry("gpt-5.1", "GPT-5.1", PROVIDER, 400_000, reasoning=True, input=_TEXT_AND_IMAGES),
    ModelEntry("gpt-5-mini", "GPT-5 mini", PROVIDER, 400_000, reasoning=True, input=_TEXT_AND_IMAGES),
    ModelEntry("gpt-4.1", "GPT-4.1", PROVIDER, 1_047_576, reasoning=False, input=_TEXT_AND_IMAGES),
    ModelEntry("gpt-4.1-mini", "GPT-4.1 mini", PROVIDER, 1_047_576, reasoning=False, input=_TEXT_AND_IMAGES),
)
