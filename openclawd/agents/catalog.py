"""Which models there are, which one is the default, and how a name becomes a model that can be asked.

The default is the first there is of: the agent's own (`agents.list[].model`),
`agents.defaults.model.primary`, the first model of a configured provider, Anthropic (ANTHROPIC_API_KEY),
OpenAI (OPENAI_API_KEY), an Ollama that answers, the built-in model. A name that was configured is never
swapped for another, unless the config names those that may answer in its place (`fallbacks`): if it cannot
be used, asking it says why.

Finding models costs network, so it never happens on the way to an answer: `discover` is run in the
background and may be called as often as one likes.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, Literal

import attrs
import trio

from openclawd.agents import ollama
from openclawd.agents.discovery import listed_models, ollama_models
from openclawd.agents.endpoint import Patience
from openclawd.agents.endpoints import MODEL_HINT, OLLAMA, OPENAI, key_variable
from openclawd.agents.entries import ANTHROPIC_MESSAGES, ModelEntry, ModelRef
from openclawd.agents.facts import GatewayFacts
from openclawd.agents.known import BUILT_IN, PREFERRED, SPOKEN, KnownProvider, ProviderStatus, known_providers
from openclawd.agents.model import Model, ModelError, ModelErrorKind
from openclawd.agents.offline import MODEL_ID as OFFLINE_ID
from openclawd.agents.offline import PROVIDER as OFFLINE_PROVIDER
from openclawd.agents.offline import OfflineModel
from openclawd.agents.prices import FREE
from openclawd.agents.roster import DEFAULT_AGENT_ID
from openclawd.config.model import Config, ModelChoice

if TYPE_CHECKING:
    from openclawd.agents.provider import Provider

# An Ollama that is started later is found within this time.
DISCOVERY_CACHE_S: Final = 30.0

_log = logging.getLogger("openclawd.agents")


@attrs.frozen
class Unavailable:
    """Why a provider does not answer now (`models.list`), and until when, where it said so."""

    reason: Literal["missing-auth", "auth-failed", "cooldown"]
    until_ms: int | None = None


@attrs.define(eq=False, repr=False)
class Catalog:
    """The models of one configuration. Close it to close the connections of all its providers."""

    _config: Config
    _environ: Mapping[str, str]
    _facts: Callable[[], GatewayFacts]
    _patience: Patience = attrs.field(factory=Patience)
    _known: dict[str, KnownProvider] = attrs.field(init=False)
    _providers: "dict[str, Provider]" = attrs.field(factory=dict, init=False)
    _found: dict[str, tuple[ModelEntry, ...]] = attrs.field(factory=dict, init=False)
    _discovery_due: float = attrs.field(default=float("-inf"), init=False)
    _discovering: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _offline: OfflineModel = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._offline = OfflineModel(self._facts)
        self._know()

    def _know(self) -> None:
        own = {name: value.reveal() for name, value in self._config.env.variables.items()}
        self._environ = {**own, **{name: value for name, value in self._environ.items() if value}}
        self._known = known_providers(self._config, self._environ, offered=self._discovers)

    async def change(self, config: Config, environ: Mapping[str, str]) -> None:
        """Go by another configuration. Answers under way come to their end as they began; providers that are
        as they were keep their connections.
        """
        before, found = self._known, self._found
        self._config, self._environ = config, environ
        self._know()
        same = {
            name
            for name, known in self._known.items()
            if name in before and known.endpoint.same_as(before[name].endpoint)
        }
        self._found = {name: entries for name, entries in found.items() if name in same and self._discovers}
        # A new server is looked for at once.
        self._discovery_due = float("-inf")
        retired = [self._providers.pop(name) for name in [*self._providers] if name not in same]
        for provider in retired:
            await provider.retire()

    @property
    def _discovers(self) -> bool:
        # models.mode "replace" means: what is configured, and nothing beside it.
        return self._config.models.mode == "merge"

    def entries(self) -> list[ModelEntry]:
        """Every model that can be chosen now: configured, then found, the built-in one last."""
        last = ModelEntry(
            OFFLINE_ID,
            "Built-in responder",
            OFFLINE_PROVIDER,
            reasoning=False,
            input=("text",),
            prices=FREE,
            api=self._offline.api,
        )
        return [*self._listed(), last]

    def default(self, agent_id: str | None = None) -> ModelRef:
        """The model that answers `agent_id` (or an agent without a model of its own) when none was named."""
        chosen = self._choice(agent_id).primary or self._config.agents.defaults.model.primary
        if chosen:
            return self._parse(chosen)
        for entry in self._listed():
            known = self._known[entry.provider]
            preferred = None if known.configured else PREFERRED.get(known.name)
            names = [each.id for each in self._models(known)]
            return ModelRef(known.name, preferred) if preferred in names else entry.ref
        return ModelRef(OFFLINE_PROVIDER, OFFLINE_ID)

    def fallbacks(self, agent_id: str | None = None) -> list[ModelRef]:
        """Which models the config lets answer in the place of the default, in their order."""
        named = self._choice(agent_id).fallbacks
        named = self._config.agents.defaults.model.fallbacks if named is None else named
        refs = dict.fromkeys(self._parse(name) for name in named or ())
        return [ref for ref in refs if ref != self.default(agent_id)]

    def resolve(self, ref: str | ModelRef | None, agent_id: str | None = None) -> Model:
        """The model called `ref` ("provider/model", or an id that only one provider has), or the default.

        Raises ModelError for a name that cannot be used, saying which can.
        """
        wanted = self.default(agent_id) if ref is None else self._parse(str(ref))
        if wanted == ModelRef(OFFLINE_PROVIDER, OFFLINE_ID):
            return self._offline
        known = self._known.get(wanted.provider)
        if known is None or known.unspoken or not wanted.model:
            raise self._unusable(wanted)
        entry = self.find(wanted)
        limit, reasons = (entry.max_tokens, bool(entry.reasoning)) if entry else (None, False)
        if known.endpoint.api == ANTHROPIC_MESSAGES:
            from openclawd.agents.anthropic_messages import MessagesModel

            return MessagesModel(self._provider(wanted.provider), wanted.model, limit, reasons)
        from openclawd.agents.openai_completions import CompletionsModel

        return CompletionsModel(self._provider(wanted.provider), wanted.model, limit, reasons)

    def find(self, ref: str | ModelRef) -> ModelEntry | None:
        """What is known about the model of that name; None for one that is in no list."""
        wanted = self._parse(ref) if isinstance(ref, str) else ref
        return next((entry for entry in self.entries() if entry.ref == wanted), None)

    def providers(self) -> list[ProviderStatus]:
        """Every provider that can be asked, as far as keys are concerned."""
        return [
            ProviderStatus(known.name, known.key_from, key_variable(known.name), known.lacks_key)
            for known in self._known.values()
            if not known.unspoken
        ]

    def is_local(self, provider: str) -> bool:
        """Whether asking it stays on this machine."""
        known = self._known.get(provider)
        return known is None or known.endpoint.is_loopback()

    def unavailable(self, provider: str, now_ms: int) -> Unavailable | None:
        """Why asking a listed provider would be in vain, as far as that is known."""
        known, asked = self._known.get(provider), self._providers.get(provider)
        if known is not None and known.lacks_key:
            return Unavailable("missing-auth")
        if asked is None or asked.last_failure is None:
            return None
        if asked.last_failure is ModelErrorKind.BAD_KEY:
            return Unavailable("auth-failed")
        until_ms = int(asked.rests_until_s * 1000)
        return Unavailable("cooldown", until_ms) if until_ms > now_ms else None

    async def discover(self) -> None:
        """Look for models beside the configured ones. Cheap when called again within `DISCOVERY_CACHE_S`."""
        async with self._discovering:
            if not self._discovers or trio.current_time() < self._discovery_due:
                return
            async with trio.open_nursery() as nursery:
                if not self._known[OLLAMA].configured:
                    nursery.start_soon(self._discover_ollama)
                openai = self._known.get(OPENAI)
                if self._environ.get("OPENAI_BASE_URL") and openai and not openai.configured:
                    nursery.start_soon(self._discover_openai)
            self._discovery_due = trio.current_time() + DISCOVERY_CACHE_S

    async def aclose(self) -> None:
        """Close every connection that is kept open."""
        for provider in self._providers.values():
            await provider.aclose()

    async def _discover_ollama(self) -> None:
        endpoint = self._known[OLLAMA].endpoint
        entries = await ollama_models(
            endpoint, lambda: self._provider(OLLAMA), ollama.base_url(self._environ)
        )
        if entries is not None:
            self._set_found(OLLAMA, entries)

    async def _discover_openai(self) -> None:
        # Once is enough; an Ollama pulls models all the time, other servers rarely.
        if OPENAI not in self._found and (entries := await listed_models(self._provider(OPENAI))):
            self._set_found(OPENAI, entries)

    def _set_found(self, provider: str, entries: tuple[ModelEntry, ...]) -> None:
        if entries != self._found.get(provider, ()):
            _log.info("models found", extra={"fields": {"provider": provider, "count": len(entries)}})
        self._found[provider] = entries

    def _listed(self) -> Iterator[ModelEntry]:
        for known in self._known.values():
            yield from self._models(known)

    def _models(self, known: KnownProvider) -> tuple[ModelEntry, ...]:
        return self._found.get(known.name, known.models)

    def _choice(self, agent_id: str | None) -> ModelChoice:
        roster = self._config.agents.roster
        found = (agent.model for agent in roster if (agent.id or DEFAULT_AGENT_ID) == agent_id)
        return next(found, ModelChoice())

    def _parse(self, text: str) -> ModelRef:
        text = text.strip()
        provider, slash, model = text.partition("/")
        named = ModelRef(provider.lower(), model)
        if slash and (named.provider in self._known or named.provider == OFFLINE_PROVIDER):
            return named
        same_id = [entry.ref for entry in self._listed() if entry.id == text]
        return same_id[0] if len(same_id) == 1 else named

    def _unusable(self, wanted: ModelRef) -> ModelError:
        usable = ", ".join(str(entry.ref) for entry in self.entries()[:6])
        works = f"These work now: {usable}. {MODEL_HINT}"
        known = self._known.get(wanted.provider)
        if known is not None and known.unspoken:
            what = (
                f"{wanted.provider} is configured with the api {known.unspoken!r}; "
                f"openclawd speaks {' and '.join(SPOKEN)}."
            )
        elif known is None and wanted.provider in BUILT_IN:
            variable = key_variable(wanted.provider)
            what = f"There is no API key for {wanted}. Set {variable} in the gateway's environment."
            return ModelError(ModelErrorKind.BAD_KEY, f"{what} {works}")
        elif not wanted.model:
            what = f"No provider has a model {wanted.provider!r}; a model is named provider/model."
        else:
            what = f"There is no provider {wanted.provider!r} in models.providers, which {wanted} needs."
        return ModelError(ModelErrorKind.UNKNOWN_MODEL, f"{what} {works}")

    def _provider(self, name: str) -> "Provider":
        """The provider, made when it is first asked: a start does not need what talks to it."""
        from openclawd.agents.provider import Provider

        if name not in self._providers:
            self._providers[name] = Provider(self._known[name].endpoint, self._patience)
        return self._providers[name]
