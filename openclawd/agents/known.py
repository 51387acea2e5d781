"""The providers of one configuration and environment, before anybody was asked anything.

Those of the file come first, in its order; then Anthropic and OpenAI where the environment has their keys,
then the Ollama of this machine. A name that the file has is the file's alone.
"""

from collections.abc import Mapping
from typing import Final, Literal

import attrs

from openclawd.agents import claude_models, openai_models
from openclawd.agents.endpoint import Endpoint
from openclawd.agents.endpoints import (
    ANTHROPIC,
    OLLAMA,
    OPENAI,
    anthropic_endpoint,
    configured_endpoint,
    key_variable,
    ollama_endpoint,
    openai_endpoint,
)
from openclawd.agents.entries import ANTHROPIC_MESSAGES, OPENAI_COMPLETIONS, ModelEntry
from openclawd.agents.prices import FREE, Prices
from openclawd.config.model import Config, Cost, Provider
from openclawd.config.model import ModelEntry as ConfiguredModel

_WANT_KEYS: Final = ("https://api.openai.com/", "https://api.anthropic.com")
SPOKEN: Final = (OPENAI_COMPLETIONS, ANTHROPIC_MESSAGES)
# What is offered of those that the environment names, and which of it nobody has to choose.
BUILT_IN: Final = {ANTHROPIC: claude_models.MODELS, OPENAI: openai_models.MODELS}
PREFERRED: Final = {ANTHROPIC: claude_models.DEFAULT_MODEL, OPENAI: openai_models.DEFAULT_MODEL}


@attrs.frozen(eq=False, repr=False)
class KnownProvider:
    """One provider. `unspoken` names the api of one that cannot be asked; such a one has no models."""

    endpoint: Endpoint
    models: tuple[ModelEntry, ...] = ()
    configured: bool = False
    key_from: Literal["config", "env"] | None = None
    unspoken: str | None = None

    @property
    def name(self) -> str:
        """As in `provider/model`."""
        return self.endpoint.provider

    @property
    def lacks_key(self) -> bool:
        """Whether it has no key though it is one that answers nobody without."""
        return self.key_from is None and self.endpoint.address.startswith(_WANT_KEYS)


@attrs.frozen(eq=False, repr=False)
class ProviderStatus:
    """A provider as `models.authStatus` shows it."""

    name: str
    key_from: Literal["config", "env"] | None
    key_variable: str
    lacks_key: bool


def known_providers(config: Config, environ: Mapping[str, str], *, offered: bool) -> dict[str, KnownProvider]:
    """All of them by name. `offered`: those that the environment names bring their built-in models."""
    known = {
        (one := _configured(name, provider, environ)).name: one
        for name, provider in config.models.providers.items()
    }
    by_key = ((ANTHROPIC, anthropic_endpoint), (OPENAI, openai_endpoint))
    for name, endpoint in by_key:
        if name not in known and environ.get(key_variable(name)):
            models = BUILT_IN[name] if offered else ()
            known[name] = KnownProvider(endpoint(environ), models, key_from="env")
    if OLLAMA not in known:
        known[OLLAMA] = KnownProvider(ollama_endpoint(environ))
    return known


def _configured(name: str, provider: Provider, environ: Mapping[str, str]) -> KnownProvider:
    endpoint = configured_endpoint(name, provider, environ)
    if endpoint.api not in SPOKEN:
        return KnownProvider(endpoint, configured=True, unspoken=endpoint.api)
    return KnownProvider(
        endpoint,
        tuple(_entry(endpoint, model) for model in provider.models),
        configured=True,
        key_from=None if not endpoint.api_key else "config" if provider.api_key else "env",
    )


def _entry(endpoint: Endpoint, model: ConfiguredModel) -> ModelEntry:
    return ModelEntry(
        model.id,
        model.name,
        endpoint.provider,
        model.context_window,
        reasoning=model.reasoning,
        input=model.input,
        max_tokens=model.max_tokens,
        prices=_prices(model.cost, FREE if endpoint.provider == OLLAMA else None),
        api=endpoint.api,
    )


def _prices(cost: Cost | None, otherwise: Prices | None) -> Prices | None:
    if cost is None or cost.input is None or cost.output is None:
        return otherwise
    tiers = tuple(
        (int(tier.range[0]), Prices(tier.input, tier.output, tier.cache_read, tier.cache_write))
        for tier in cost.tiered_pricing
        if tier.range
    )
    return Prices(cost.input, cost.output, cost.cache_read, cost.cache_write, tiers)
