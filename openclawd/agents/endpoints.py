"""The endpoints that a configuration and an environment describe, each with the words that help its owner."""

import re
from collections.abc import Mapping
from typing import Final

from openclawd.agents import claude_models, ollama, openai_models
from openclawd.agents.endpoint import Endpoint
from openclawd.agents.entries import ANTHROPIC_MESSAGES, OPENAI_COMPLETIONS
from openclawd.config.model import Provider
from openclawd.config.secret import Secret

OPENAI: Final = openai_models.PROVIDER
ANTHROPIC: Final = claude_models.PROVIDER
OLLAMA: Final = "ollama"

MODEL_HINT: Final = "Choose another with agents.defaults.model.primary in openclaw.json."


def key_variable(provider: str) -> str:
    """The variable that holds a provider's key where the file has none: `MY_SERVER_API_KEY`."""
    return re.sub(r"\W", "_", provider.upper()) + "_API_KEY"


def configured_endpoint(name: str, provider: Provider, environ: Mapping[str, str]) -> Endpoint:
    """models.providers.<name>. Without a key in the file it takes the environment's, if there is one."""
    key = provider.api_key
    variable = key_variable(name)
    key_hint = f"Set models.providers.{name}.apiKey in openclaw.json."
    if key is None and environ.get(variable):
        key = Secret(environ[variable])
        key_hint = f"Set {variable} in the gateway's environment, or models.providers.{name}.apiKey."
    return Endpoint(
        name.lower(),
        provider.base_url,
        key_hint=key_hint,
        address_hint=f"Check that it runs, and models.providers.{name}.baseUrl in openclaw.json.",
        model_hint=MODEL_HINT,
        api_key=key,
        extra_headers=provider.headers,
        api=provider.api or (ANTHROPIC_MESSAGES if name.lower() == ANTHROPIC else OPENAI_COMPLETIONS),
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


def anthropic_endpoint(environ: Mapping[str, str]) -> Endpoint:
    """Anthropic, or the server that ANTHROPIC_BASE_URL names, with ANTHROPIC_API_KEY."""
    return Endpoint(
        ANTHROPIC,
        environ.get("ANTHROPIC_BASE_URL") or claude_models.BASE_URL,
        key_hint="Set ANTHROPIC_API_KEY in the gateway's environment and start it again.",
        address_hint="Check the network, HTTPS_PROXY and ANTHROPIC_BASE_URL.",
        model_hint=MODEL_HINT,
        api_key=Secret(environ["ANTHROPIC_API_KEY"]),
        api=ANTHROPIC_MESSAGES,
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
