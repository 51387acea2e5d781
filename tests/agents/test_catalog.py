"""Which model answers: what was configured, else what is found, else the built-in one."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from openclawd.agents.catalog import Catalog
from openclawd.agents.entries import ModelRef
from openclawd.agents.model import Model, ModelError, ModelErrorKind
from openclawd.agents.openai_models import DEFAULT_MODEL
from openclawd.config.model import (
    Agent,
    AgentDefaults,
    AgentId,
    Agents,
    Config,
    Env,
    HttpUrl,
    ModelChoice,
    ModelEntry,
    Models,
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
        (
            "anthropic/claude",
            ModelErrorKind.UNKNOWN_MODEL,
            "There is no provider 'anthropic' in models.providers",
        ),
        ("gemini/pro", ModelErrorKind.UNKNOWN_MODEL, "openclawd speaks 'openai-completions' only so far"),
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
