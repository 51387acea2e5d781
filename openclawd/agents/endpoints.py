"""The endpoints that a configuration and an environment describe, each with the words that help its owner."""

from collections.abc import Mapping
from typing import Final

from openclawd.agents import ollama, openai_models
from openclawd.agents.endpoint import Endpoint
from openclawd.config.model import Provider
from openclawd.config.secret import Secret

OPENAI: Final = openai_models.PROVIDER
OLLAMA: Final = "ollama"

MODEL_HINT: Final = "Choose another with agents.defaults.model.primary in openclaw.json."


def configured_endpoint(name: str, provider: Provider, environ: Mapping[str, str]) -> Endpoint:
    """models.providers.<name>. OpenAI without a key in the file takes the environment's."""
    key = provider.api_key
    key_hint = f"Set models.providers.{name}.apiKey in openclaw.json."
    if key is None and name.lower() == OPENAI and environ.get("OPENAI_API_KEY"):
        key = Secret(environ["OPENAI_API_KEY"])
        key_hint = f"Set OPENAI_API_KEY in the gateway's environment, or models.providers.{name}.apiKey."
    return Endpoint(
        name.lower(),
        provider.base_url,
        key_hint=key_hint,
        address_hint=f"Check that it runs, and models.providers.{name}.baseUrl in openclaw.json.",
        model_hint=MODEL_HINT,
        api_key=key,
        extra_headers=provider.headers,
    )


def openai_endpoint(environ: Mapping[str, str]) -> Endpoint:
    """OpenAI, or the server that OPENAI_BASE_URL names, with OPENAI_API_KEY."""
    return Endpoint(
        OPENAI,
        environ.get("OPENAI_BASE_URL") or openai_models.BASE_URL,
        key_hint="Set OPENAI_API_KEY in the gateway's environment and start it again.",
        address_hint="Check the network, HTTPS_PROXY and OPENAI_BASE_URL.",
        model_hint=MODEL_HINT,
        api_key=Secret(environ["OPENAI_API_KEY"]),
    )


def ollama_endpoint(environ: Mapping[str, str]) -> Endpoint:
    """The Ollama of this machine, or the one that OLLAMA_HOST names."""
    return Endpoint(
        OLLAMA,
        ollama.base_url(environ) + "/v1",
        key_hint="Set models.providers.ollama.apiKey in openclaw.json.",
        address_hint="Start it with `ollama serve`, or say where it is with OLLAMA_HOST.",
        model_hint=f"Fetch it with `ollama pull`. {MODEL_HINT}",
    )
