"""Which models there are, which one is the default, and how a name becomes a model that can be asked.

The default is the first there is of: the agent's own (`agents.list[].model`),
`agents.defaults.model.primary`, the first model of a configured provider, OpenAI (OPENAI_API_KEY), an
Ollama that answers, the built-in model. A name that was configured is never swapped for another: if it
cannot be used, asking it says why.

Finding models costs network, so it never happens on the way to an answer: `discover` is run in the
background and may be called as often as one likes.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

import attrs
import trio

from openclawd.agents import ollama, openai_models
from openclawd.agents.discovery import listed_models, ollama_models
from openclawd.agents.endpoint import API, Endpoint, Patience
from openclawd.agents.endpoints import (
    MODEL_HINT,
    OLLAMA,
    OPENAI,
    configured_endpoint,
    ollama_endpoint,
    openai_endpoint,
)
from openclawd.agents.entries import ModelEntry, ModelRef
from openclawd.agents.facts import GatewayFacts
from openclawd.agents.model import Model, ModelError, ModelErrorKind
from openclawd.agents.offline import MODEL_ID as OFFLINE_ID
from openclawd.agents.offline import PROVIDER as OFFLINE_PROVIDER
from openclawd.agents.offline import OfflineModel
from openclawd.config.model import Config

if TYPE_CHECKING:
    from openclawd.agents.openai_completions import CompletionsProvider

# An Ollama that is started later is found within this time.
DISCOVERY_CACHE_S: Final = 30.0

_log = logging.getLogger("openclawd.agents")


@attrs.define
class Catalog:
    """The models of one configuration. Close it to close the connections of all its providers."""

    _config: Config
    _environ: Mapping[str, str]
    _facts: Callable[[], GatewayFacts]
    _patience: Patience = attrs.field(factory=Patience)
    _endpoints: dict[str, Endpoint] = attrs.field(factory=dict, init=False)
    _providers: "dict[str, CompletionsProvider]" = attrs.field(factory=dict, init=False)
    _configured: dict[str, tuple[ModelEntry, ...]] = attrs.field(factory=dict, init=False)
    _unspoken: dict[str, str] = attrs.field(factory=dict, init=False)
    _found: dict[str, tuple[ModelEntry, ...]] = attrs.field(factory=dict, init=False)
    _discovery_due: float = attrs.field(default=float("-inf"), init=False)
    _discovering: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _offline: OfflineModel = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        own = {name: value.reveal() for name, value in self._config.env.variables.items()}
        self._environ = {**own, **{name: value for name, value in self._environ.items() if value}}
        self._offline = OfflineModel(self._facts)
        for name, provider in self._config.models.providers.items():
            key = name.lower()
            if provider.api not in {None, API}:
                self._unspoken[key] = provider.api
                continue
            self._configured[key] = tuple(
                ModelEntry(
                    model.id,
                    model.name,
                    key,
                    model.context_window,
                    reasoning=model.reasoning,
                    input=model.input,
                    max_tokens=model.max_tokens,
                )
                for model in provider.models
            )
            self._add(configured_endpoint(name, provider, self._environ))
        taken = {*self._configured, *self._unspoken}
        if OPENAI not in taken and self._environ.get("OPENAI_API_KEY"):
            self._add(openai_endpoint(self._environ))
            if self._discovers:
                self._found[OPENAI] = openai_models.MODELS
        if OLLAMA not in taken:
            self._add(ollama_endpoint(self._environ))

    @property
    def _discovers(self) -> bool:
        # models.mode "replace" means: what is configured, and nothing beside it.
        return self._config.models.mode == "merge"

    def entries(self) -> list[ModelEntry]:
        """Every model that can be chosen now: configured, then found, the built-in one last."""
        last = ModelEntry(
            OFFLINE_ID, "Built-in responder", OFFLINE_PROVIDER, reasoning=False, input=("text",)
        )
        return [*self._listed(), last]

    def default(self, agent_id: str | None = None) -> ModelRef:
        """The model that answers `agent_id` (or an agent without a model of its own) when none was named."""
        chosen = next(
            (a.model.primary for a in self._config.agents.roster if agent_id and a.id == agent_id), None
        )
        chosen = chosen or self._config.agents.defaults.model.primary
        if chosen:
            return self._parse(chosen)
        for entry in self._listed():
            if entry.provider == OPENAI and entry.provider not in self._configured:
                return ModelRef(entry.provider, _preferred_openai(self._found[entry.provider]))
            return entry.ref
        return ModelRef(OFFLINE_PROVIDER, OFFLINE_ID)

    def resolve(self, ref: str | None, agent_id: str | None = None) -> Model:
        """The model called `ref` ("provider/model", or an id that only one provider has), or the default.

        Raises ModelError for a name that cannot be used, saying which can.
        """
        wanted = self.default(agent_id) if ref is None else self._parse(ref)
        if wanted == ModelRef(OFFLINE_PROVIDER, OFFLINE_ID):
            return self._offline
        if wanted.provider not in self._endpoints:
            raise self._unusable(wanted)
        entry = next((entry for entry in self._listed() if entry.ref == wanted), None)
        from openclawd.agents.openai_completions import CompletionsModel

        return CompletionsModel(
            self._provider(wanted.provider), wanted.model, entry.max_tokens if entry else None
        )

    async def discover(self) -> None:
        """Look for models beside the configured ones. Cheap when called again within `DISCOVERY_CACHE_S`."""
        async with self._discovering:
            if not self._discovers or trio.current_time() < self._discovery_due:
                return
            async with trio.open_nursery() as nursery:
                if OLLAMA not in self._configured and OLLAMA not in self._unspoken:
                    nursery.start_soon(self._discover_ollama)
                if self._environ.get("OPENAI_BASE_URL") and OPENAI in self._found:
                    nursery.start_soon(self._discover_openai)
            self._discovery_due = trio.current_time() + DISCOVERY_CACHE_S

    async def aclose(self) -> None:
        """Close every connection that is kept open."""
        for provider in self._providers.values():
            await provider.aclose()

    async def _discover_ollama(self) -> None:
        endpoint = self._endpoints[OLLAMA]
        entries = await ollama_models(
            endpoint, lambda: self._provider(OLLAMA), ollama.base_url(self._environ)
        )
        if entries is not None:
            self._set_found(OLLAMA, entries)

    async def _discover_openai(self) -> None:
        # Once is enough; an Ollama pulls models all the time, other servers rarely.
        if self._found[OPENAI] is openai_models.MODELS and (
            entries := await listed_models(self._provider(OPENAI))
        ):
            self._set_found(OPENAI, entries)

    def _set_found(self, provider: str, entries: tuple[ModelEntry, ...]) -> None:
        if entries != self._found.get(provider, ()):
            _log.info("models found", extra={"fields": {"provider": provider, "count": len(entries)}})
        self._found[provider] = entries

    def _listed(self) -> Iterator[ModelEntry]:
        for entries in self._configured.values():
            yield from entries
        for name in (OPENAI, OLLAMA):
            yield from self._found.get(name, ())

    def _parse(self, text: str) -> ModelRef:
        text = text.strip()
        provider, slash, model = text.partition("/")
        known = ModelRef(provider.lower(), model)
        if slash and (known.provider in {*self._endpoints, *self._unspoken, OFFLINE_PROVIDER}):
            return known
        same_id = [entry.ref for entry in self._listed() if entry.id == text]
        return same_id[0] if len(same_id) == 1 else known

    def _unusable(self, wanted: ModelRef) -> ModelError:
        usable = ", ".join(str(entry.ref) for entry in self.entries()[:6])
        works = f"These work now: {usable}. {MODEL_HINT}"
        if api := self._unspoken.get(wanted.provider):
            what = (
                f"{wanted.provider} is configured with the api {api!r}; openclawd speaks {API!r} only so far."
            )
        elif wanted.provider == OPENAI:
            what = f"There is no API key for {wanted}. Set OPENAI_API_KEY in the gateway's environment."
            return ModelError(ModelErrorKind.BAD_KEY, f"{what} {works}")
        elif not wanted.model:
            what = f"No provider has a model {wanted.provider!r}; a model is named provider/model."
        else:
            what = f"There is no provider {wanted.provider!r} in models.providers, which {wanted} needs."
        return ModelError(ModelErrorKind.UNKNOWN_MODEL, f"{what} {works}")

    def _add(self, endpoint: Endpoint) -> None:
        self._endpoints[endpoint.provider] = endpoint

    def _provider(self, name: str) -> "CompletionsProvider":
        """The provider, made when it is first asked: a start does not need what talks to it."""
        from openclawd.agents.openai_completions import CompletionsProvider

        if name not in self._providers:
            self._providers[name] = CompletionsProvider(self._endpoints[name], self._patience)
        return self._providers[name]


def _preferred_openai(entries: tuple[ModelEntry, ...]) -> str:
    names = [entry.id for entry in entries]
    return openai_models.DEFAULT_MODEL if openai_models.DEFAULT_MODEL in names else names[0]
