"""Which model answers: what was configured, else what is found, else the built-in one."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
import trio

from openclawd.agents import entries
from openclawd.agents.catalog import Catalog, Unavailable
from openclawd.agents.entries import ModelRef
from openclawd.agents.model import Model, ModelError, ModelErrorKind
from openclawd.agents.openai_models import DEFAULT_MODEL
from openclawd.agents.prices import Prices
from openclawd.config.model import (
    Agent,
    AgentDefaults,
    AgentId,
    Agents,
    Amount,
    Config,
    Cost,
    Env,
    HttpUrl,
    ModelChoice,
    ModelEntry,
    Models,
    PriceTier,
    Provider,
    Text,
)
from openclawd.config.secret import Secret
from tests.agents.asking import Heard, question
from tests.agents.test_offline import FACTS
from tests.fake_provider import open_fake_provider

OFFLINE = ModelRef("openclawd", "offline")
# Port 1 is nobody's: an Ollama of the machine that runs the tests must not be found.
NOBODY = "http://127.0.0.1:1/v1"
NO_OLLAMA = {"OLLAMA_HOST": "127.0.0.1:1"}


def catalog(config: Config | None = None, **environ: str) -> Catalog:
    return Catalog(config or Config(), NO_OLLAMA | environ, lambda: FACTS)


def configured(primary: str | None = None, **providers: Provider) -> Config:
    defaults = AgentDefaults(model=ModelChoice(Text(primary) if primary else None))
    return Config(agents=Agents(defaults=defaults), models=Models(providers=providers))


def provider_at(base_url: str, *models: str, **more: Any) -> Provider:
    return Provider(HttpUrl(base_url), models=tuple(ModelEntry(Text(name)) for name in models), **more)


async def said(model: Model, text: str = "hello") -> str:
    heard = Heard()
    await model.complete(question(text), heard.deltas.append)
    return heard.text


async def test_with_nothing_at_all_the_built_in_model_answers() -> None:
    models = catalog()
    await models.discover()
    assert models.default() == OFFLINE
    assert [str(entry.ref) for entry in models.entries()] == ["openclawd/offline"]
    assert "not a language model" in await said(models.resolve(None))


async def test_an_openai_key_in_the_environment_is_enough() -> None:
    models = catalog(OPENAI_API_KEY="sk-1")
    assert models.default() == ModelRef("openai", DEFAULT_MODEL)
    assert models.resolve(None).provider == "openai"
    assert models.entries()[0].to_wire() == {
        "id": "gpt-5.2",
        "name": "GPT-5.2",
        "provider": "openai",
        "contextWindow": 400_000,
        "reasoning": True,
        "input": ["text", "image"],
    }
    assert models.entries()[-1].ref == OFFLINE


async def test_an_openai_key_in_the_configs_env_is_enough_too() -> None:
    config = Config(env=Env({"OPENAI_API_KEY": Secret("sk-1")}))
    assert catalog(config).default() == ModelRef("openai", DEFAULT_MODEL)


async def test_an_empty_key_is_no_key() -> None:
    assert catalog(OPENAI_API_KEY="").default() == OFFLINE


async def test_another_server_behind_openai_base_url_is_asked_what_it_has() -> None:
    async with open_fake_provider(key="sk-1") as provider:
        models = catalog(OPENAI_API_KEY="sk-1", OPENAI_BASE_URL=provider.base_url)
        await models.discover()
        assert models.default() == ModelRef("openai", "fake-model")
        assert [entry.id for entry in models.entries()] == ["fake-model", "vendor/fake-large", "offline"]
        assert await said(models.resolve(None)) == "You said: hello"
        await models.aclose()


@pytest.mark.parametrize("address", ["a b", "http://[", "http://127.0.0.1:99999", "tcp://x"])
async def test_an_address_that_is_none_is_no_error_before_it_is_asked(address: str) -> None:
    models = catalog(
        OPENAI_API_KEY="k",
        OPENAI_BASE_URL=address,
        ANTHROPIC_API_KEY="k",
        ANTHROPIC_BASE_URL=address,
        OLLAMA_HOST=NOBODY,
    )
    await models.discover()
    assert not models.is_local("openai")
    assert not models.is_local("anthropic")
    with pytest.raises(ModelError, match="OPENAI_BASE_URL"):
        await said(models.resolve("openai/gpt-5-mini"))
    await models.aclose()


async def test_an_ollama_is_found_with_its_first_chat_model() -> None:
    async with open_fake_provider() as provider:
        models = catalog(OLLAMA_HOST=f"127.0.0.1:{provider.port}")
        assert models.default() == OFFLINE
        await models.discover()
        assert models.default() == ModelRef("ollama", "llama3.2:latest")
        assert await said(models.resolve(None)) == "You said: hello"
        assert [request.path for request in provider.requests] == ["/api/tags", "/v1/chat/completions"]
        assert "authorization" not in provider.requests[1].headers
        await models.aclose()


async def test_looking_again_within_half_a_minute_asks_nobody() -> None:
    async with open_fake_provider() as provider:
        models = catalog(OLLAMA_HOST=f"127.0.0.1:{provider.port}")
        for _ in range(5):
            await models.discover()
        assert len(provider.requests) == 1
        await models.aclose()


def test_what_is_found_again_is_the_same() -> None:
    """Else every look for models would be news in the log."""
    once, again = (entries.ModelEntry("id", "Name", "ollama", input=("text",)) for _ in range(2))
    assert once == again


async def test_an_ollama_without_chat_models_is_passed_by() -> None:
    async with open_fake_provider(ollama_models=("nomic-embed-text",)) as provider:
        models = catalog(OLLAMA_HOST=f"127.0.0.1:{provider.port}")
        await models.discover()
        assert models.default() == OFFLINE
        await models.aclose()


async def test_openai_comes_before_ollama() -> None:
    async with open_fake_provider() as provider:
        models = catalog(OPENAI_API_KEY="sk-1", OLLAMA_HOST=f"127.0.0.1:{provider.port}")
        await models.discover()
        assert models.default().provider == "openai"
        assert "llama3.2:latest" in [entry.id for entry in models.entries()]
        await models.aclose()


async def test_a_server_that_is_no_ollama_is_no_error() -> None:
    async with open_fake_provider() as provider:
        models = catalog(OLLAMA_HOST=f"http://127.0.0.1:{provider.port}/elsewhere")
        await models.discover()
        assert models.default() == OFFLINE
        await models.aclose()


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def test_the_configured_primary_comes_first() -> None:
    async with open_fake_provider(key="sk-mine") as provider:
        server = provider_at(provider.base_url, "a", "vendor/fake-large", api_key=Secret("sk-mine"))
        models = catalog(configured("mine/vendor/fake-large", mine=server), OPENAI_API_KEY="sk-1")
        assert models.default() == ModelRef("mine", "vendor/fake-large")
        assert await said(models.resolve(None)) == "You said: hello"
        assert provider.requests[0].body["model"] == "vendor/fake-large"
        await models.aclose()


def test_a_configured_provider_without_a_primary_comes_before_what_is_found() -> None:
    config = configured(mine=provider_at(NOBODY, "a", "b"))
    assert catalog(config, OPENAI_API_KEY="sk-1").default() == ModelRef("mine", "a")


def test_an_agents_own_model_comes_before_the_default() -> None:
    agents = Agents(
        defaults=AgentDefaults(model=ModelChoice(Text("mine/a"))),
        list=(Agent(id=AgentId("main")), Agent(id=AgentId("work"), model=ModelChoice(Text("mine/b")))),
    )
    config = Config(agents=agents, models=Models(providers={"mine": provider_at(NOBODY)}))
    models = catalog(config)
    assert (models.default().model, models.default("main").model, models.default("work").model) == (
        "a",
        "a",
        "b",
    )
    assert models.resolve(None, "work").id == "b"


def test_an_agent_without_an_id_is_the_one_that_is_called_main() -> None:
    agents = Agents(
        defaults=AgentDefaults(model=ModelChoice(Text("mine/a"))),
        list=(Agent(model=ModelChoice(Text("mine/b"), (Text("mine/c"),))),),
    )
    models = catalog(Config(agents=agents, models=Models(providers={"mine": provider_at(NOBODY)})))
    assert models.default("main") == ModelRef("mine", "b")
    assert models.fallbacks("main") == [ModelRef("mine", "c")]


def test_mode_replace_finds_nothing_beside_the_config() -> None:
    config = Config(models=Models(mode="replace", providers={"mine": provider_at(NOBODY, "a")}))
    models = catalog(config, OPENAI_API_KEY="sk-1")
    assert [str(entry.ref) for entry in models.entries()] == ["mine/a", "openclawd/offline"]
    assert models.resolve("openai/gpt-5.1").provider == "openai"


def test_a_model_that_is_not_listed_can_be_named() -> None:
    models = catalog(configured(mine=provider_at(NOBODY, "a")))
    assert models.resolve("mine/something/else").id == "something/else"
    assert models.resolve("MINE/Something").id == "Something"


def test_an_id_that_one_provider_has_needs_no_provider() -> None:
    config = configured(
        mine=provider_at(NOBODY, "a", "vendor/large"),
        other=provider_at(NOBODY, "a"),
    )
    models = catalog(config)
    assert models.resolve("vendor/large").provider == "mine"
    with pytest.raises(ModelError, match="a model is named provider/model"):
        models.resolve("a")


def test_what_is_configured_of_a_model_is_listed() -> None:
    entry = ModelEntry(Text("a"), "Model A", reasoning=True, input=("text", "image"))
    config = configured(mine=Provider(HttpUrl(NOBODY), models=(entry,)))
    assert catalog(config).entries()[0].to_wire() == {
        "id": "a",
        "name": "Model A",
        "provider": "mine",
        "reasoning": True,
        "input": ["text", "image"],
    }


@pytest.mark.parametrize(
    ("primary", "kind", "words"),
    [
        ("other/model", ModelErrorKind.UNKNOWN_MODEL, "There is no provider 'other' in models.providers"),
        (
            "gemini/pro",
            ModelErrorKind.UNKNOWN_MODEL,
            "api 'google-generative-ai'; openclawd speaks openai-completions and anthropic-messages.",
        ),
        ("anthropic/claude", ModelErrorKind.BAD_KEY, "Set ANTHROPIC_API_KEY in the gateway's environment"),
        ("openai/gpt-5.1", ModelErrorKind.BAD_KEY, "Set OPENAI_API_KEY in the gateway's environment"),
        ("nonsense", ModelErrorKind.UNKNOWN_MODEL, "a model is named provider/model"),
    ],
)
def test_a_primary_that_cannot_be_used_is_not_swapped_for_another(
    primary: str, kind: ModelErrorKind, words: str
) -> None:
    gemini = provider_at(NOBODY, "pro", api=Text("google-generative-ai"))
    config = configured(primary, gemini=gemini, mine=provider_at(NOBODY, "a"))
    models = catalog(config)
    with pytest.raises(ModelError) as caught:
        models.resolve(None)
    assert caught.value.kind is kind
    assert words in str(caught.value)
    assert "These work now: mine/a, openclawd/offline." in str(caught.value)
    assert "gemini/pro" not in [str(entry.ref) for entry in models.entries()]


async def test_a_configured_openai_takes_its_key_from_the_environment() -> None:
    async with open_fake_provider(key="sk-1") as provider:
        models = catalog(configured("openai/x", openai=provider_at(provider.base_url)), OPENAI_API_KEY="sk-1")
        assert await said(models.resolve(None)) == "You said: hello"
        await models.aclose()


async def test_a_deaf_server_where_ollama_should_be_delays_nothing_for_long(deaf_port: int) -> None:
    models = catalog(OLLAMA_HOST=f"127.0.0.1:{deaf_port}")
    await models.discover()
    assert models.default() == OFFLINE
    await models.aclose()


# --- Anthropic, several providers, prices, what may take the place of what


async def test_an_anthropic_key_in_the_environment_is_enough() -> None:
    async with open_fake_provider(key="sk-ant-1") as provider:
        models = catalog(ANTHROPIC_API_KEY="sk-ant-1", ANTHROPIC_BASE_URL=provider.url)
        assert str(models.default()) == "anthropic/claude-sonnet-5-5"
        model = models.resolve(None)
        assert model.api == "anthropic-messages"
        assert await said(model) == "You said: hello"
        assert provider.requests[0].body["max_tokens"] == 128_000
        await models.aclose()


def test_anthropic_comes_before_openai() -> None:
    models = catalog(ANTHROPIC_API_KEY="sk-ant-1", OPENAI_API_KEY="sk-1")
    assert models.default().provider == "anthropic"
    assert {entry.provider for entry in models.entries()} == {"anthropic", "openai", "openclawd"}


def test_with_mode_replace_a_key_offers_nothing_but_can_be_named() -> None:
    config = Config(models=Models(mode="replace"))
    models = catalog(config, ANTHROPIC_API_KEY="sk-ant-1")
    assert models.default() == OFFLINE
    assert models.resolve("anthropic/claude-opus-5").provider == "anthropic"


def test_a_configured_anthropic_speaks_its_own_api_and_the_list_is_the_files() -> None:
    config = configured(anthropic=provider_at("https://api.anthropic.com", "claude-opus-5-5"))
    models = catalog(config, ANTHROPIC_API_KEY="sk-ant-1")
    assert [str(entry.ref) for entry in models.entries()] == ["anthropic/claude-opus-5-5", str(OFFLINE)]
    assert models.resolve(None).api == "anthropic-messages"


async def test_each_provider_has_its_own_key_and_wire() -> None:
    async with open_fake_provider(key="one") as first, open_fake_provider(key="two") as second:
        models = catalog(
            configured(
                a=provider_at(first.base_url, "x", api_key=Secret("one")),
                b=provider_at(second.url, "x", api_key=Secret("two"), api=Text("anthropic-messages")),
            )
        )
        assert await said(models.resolve("a/x")) == "You said: hello"
        assert await said(models.resolve("b/x")) == "You said: hello"
        assert [request.path for request in (*first.requests, *second.requests)] == [
            "/v1/chat/completions",
            "/v1/messages",
        ]
        await models.aclose()


async def test_a_provider_without_a_key_in_the_file_takes_the_variable_that_is_named_after_it() -> None:
    async with open_fake_provider(key="from-outside") as provider:
        config = Config(models=Models(providers={"my-server": provider_at(provider.base_url, "x")}))
        models = catalog(config, MY_SERVER_API_KEY="from-outside")
        assert await said(models.resolve(None)) == "You said: hello"
        assert ("my-server", "env") in [(status.name, status.key_from) for status in models.providers()]
        await models.aclose()


def test_where_keys_come_from_is_told() -> None:
    models = catalog(
        configured(
            mine=provider_at(NOBODY, "x", api_key=Secret("1")),
            openai=provider_at("https://api.openai.com/v1", "gpt-5.2"),
            spoken=provider_at(NOBODY, "x", api=Text("google-generative-ai")),
        ),
        ANTHROPIC_API_KEY="sk-ant-1",
    )
    assert {status.name: (status.key_from, status.lacks_key) for status in models.providers()} == {
        "mine": ("config", False),
        "openai": (None, True),
        "anthropic": ("env", False),
        "ollama": (None, False),
    }
    assert models.unavailable("openai", 0) == Unavailable("missing-auth")
    assert models.unavailable("mine", 0) is None


async def test_a_key_that_was_refused_makes_its_provider_unavailable_until_it_is_taken() -> None:
    async with open_fake_provider(key="right") as provider:
        models = catalog(configured(a=provider_at(provider.base_url, "x", api_key=Secret("wrong"))))
        with pytest.raises(ModelError):
            await said(models.resolve("a/x"))
        assert models.unavailable("a", 0) == Unavailable("auth-failed")
        provider.key = "wrong"
        await said(models.resolve("a/x"))
        assert models.unavailable("a", 0) is None
        await models.aclose()


async def test_a_provider_that_wants_a_pause_is_unavailable_until_then() -> None:
    async with open_fake_provider() as provider:
        models = catalog(configured(a=provider_at(provider.base_url, "x")))
        before_ms = int(time.time() * 1000)
        with pytest.raises(ModelError):
            await said(models.resolve("a/x"), "RATE_LIMIT_ALWAYS=300")
        resting = models.unavailable("a", before_ms)
        assert resting is not None
        assert resting.reason == "cooldown"
        assert resting.until_ms is not None
        assert resting.until_ms >= before_ms + 300_000
        assert models.unavailable("a", resting.until_ms) is None
        await models.aclose()


def test_prices_are_read_with_their_tiers() -> None:
    tier = PriceTier(Amount(6.0), Amount(22.5), (Amount(200_000.0),), Amount(0.6), Amount(7.5))
    cost = Cost(Amount(3.0), Amount(15.0), Amount(0.3), Amount(3.75), (tier,))
    entry = ModelEntry(Text("a"), cost=cost)
    models = catalog(configured(mine=Provider(HttpUrl(NOBODY), models=(entry, ModelEntry(Text("b"))))))
    found = models.find("mine/a")
    assert found is not None
    assert found.prices == Prices(3, 15, 0.3, 3.75, long=((200_000, Prices(6, 22.5, 0.6, 7.5)),))
    unknown = models.find("mine/b")
    assert unknown is not None
    assert unknown.prices is None
    assert models.find("mine/c") is None


def test_an_agents_own_fallbacks_take_the_place_of_the_defaults() -> None:
    def choice(primary: str | None, *fallbacks: str) -> ModelChoice:
        named = tuple(Text(name) for name in fallbacks)
        return ModelChoice(Text(primary) if primary else None, named if fallbacks else None)

    config = Config(
        agents=Agents(
            defaults=AgentDefaults(model=choice("mine/a", "mine/b", "mine/a", "mine/b")),
            list=(
                Agent(id=AgentId("own"), model=choice("mine/b", "mine/c")),
                Agent(id=AgentId("alone"), model=attrs.evolve(choice("mine/c"), fallbacks=())),
                Agent(id=AgentId("plain"), model=choice("mine/c")),
            ),
        ),
        models=Models(providers={"mine": provider_at(NOBODY, "a", "b", "c")}),
    )
    models = catalog(config)
    fallbacks = {
        name: [str(ref) for ref in models.fallbacks(name)] for name in (None, "own", "alone", "plain")
    }
    assert fallbacks == {
        None: ["mine/b"],
        "own": ["mine/c"],
        "alone": [],
        "plain": ["mine/b", "mine/a"],
    }


# --- another config while the gateway runs


async def test_an_answer_that_is_under_way_comes_to_its_end_when_its_provider_changes() -> None:
    async with (
        open_fake_provider() as provider,
        open_fake_provider() as other,
        trio.open_nursery() as nursery,
    ):
        models = catalog(configured("home/m", home=provider_at(provider.base_url, "m")))
        heard: list[str] = []

        async def ask() -> None:
            heard.append(await said(models.resolve(None), "one two three SLOW=20"))

        nursery.start_soon(ask)
        await provider.until_asked()
        await models.change(configured("home/m", home=provider_at(other.base_url, "m")), NO_OLLAMA)
        assert heard == []
        assert await said(models.resolve(None), "again") == "You said: again"
        assert [request.question for request in other.chats] == ["again"]
    await models.aclose()
    assert heard[0].split()[-1] == "word20"
    assert [request.question for request in provider.chats] == ["one two three SLOW=20"]


async def test_a_provider_that_is_as_it_was_keeps_its_connection() -> None:
    async with open_fake_provider() as provider:
        home = provider_at(provider.base_url, "m")
        models = catalog(configured("home/m", home=home))
        await said(models.resolve(None))
        more = configured("home/m", home=home, else_where=provider_at(NOBODY, "x"))
        await models.change(more, NO_OLLAMA | {"ANTHROPIC_API_KEY": "k"})
        await said(models.resolve(None))
        assert len({request.connection for request in provider.chats}) == 1
        names = [each.name for each in models.providers()]
        assert names == ["home", "else_where", "anthropic", "ollama"]
        await models.aclose()


async def test_another_key_is_sent_from_the_next_question_on() -> None:
    async with open_fake_provider(key="sk-new") as provider:
        wrong = provider_at(provider.base_url, "m", api_key=Secret("sk-old"))
        models = catalog(configured("home/m", home=wrong))
        with pytest.raises(ModelError):
            await said(models.resolve(None))
        right = provider_at(provider.base_url, "m", api_key=Secret("sk-new"))
        await models.change(configured("home/m", home=right), NO_OLLAMA)
        assert await said(models.resolve(None)) == "You said: hello"
        assert models.unavailable("home", 0) is None
        await models.aclose()
