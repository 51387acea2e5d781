"""Asking a server which models it has. One that is not there, or talks nonsense, is no error: it has none."""

import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import trio

from openclawd.agents import ollama
from openclawd.agents.endpoint import Endpoint
from openclawd.agents.endpoints import OLLAMA
from openclawd.agents.entries import ModelEntry
from openclawd.agents.model import ModelError
from openclawd.agents.prices import FREE

if TYPE_CHECKING:
    from openclawd.agents.provider import Provider

# A server on this machine accepts in microseconds; a firewalled OLLAMA_HOST must not hold up `models.list`.
_PROBE_TIMEOUT_S: Final = 0.5
# A list of models is a small document, but the server may be waking up.
_LIST_TIMEOUT_S: Final = 3.0

# What a list of models holds beside chat models.
_NOT_FOR_CHAT: Final = re.compile(
    r"embed|whisper|tts|dall-e|moderation|image|audio|realtime|transcribe|rerank", re.IGNORECASE
)

_log = logging.getLogger("openclawd.agents")


async def ollama_models(
    endpoint: Endpoint, provider: "Callable[[], Provider]", root: str
) -> tuple[ModelEntry, ...] | None:
    """The models of the Ollama at `root`; None when there is none. Costs one connect where nobody listens."""
    if not await _accepts(endpoint):
        return None
    tags = await _listed(provider(), lambda: f"{root}/api/tags")
    return (
        None
        if tags is None
        else tuple(ModelEntry(name, name, OLLAMA, prices=FREE) for name in ollama.chat_models(tags))
    )


async def listed_models(provider: "Provider") -> tuple[ModelEntry, ...]:
    """The chat models of an OpenAI-compatible server: GET {baseUrl}/models."""
    listed = await _listed(provider, lambda: provider.endpoint.url("models"))
    rows = listed.get("data") if isinstance(listed, dict) else None
    ids = [row.get("id") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    names = [name for name in ids if isinstance(name, str) and name and not _NOT_FOR_CHAT.search(name)]
    return tuple(ModelEntry(name, name, provider.endpoint.provider) for name in names)


async def _accepts(endpoint: Endpoint) -> bool:
    """Whether anybody listens there; asked before httpx is loaded for it."""
    try:
        host, port = endpoint.host_and_port()
        with trio.move_on_after(_PROBE_TIMEOUT_S):
            await (await trio.open_tcp_stream(host, port)).aclose()
            return True
    except (OSError, UnicodeError, ModelError):
        return False
    return False


async def _listed(provider: "Provider", url: Callable[[], str]) -> object:
    try:
        return await provider.get_json(url(), _LIST_TIMEOUT_S)
    except ModelError as error:
        fields = {"provider": provider.endpoint.provider, "kind": error.kind, "reason": str(error)}
        _log.info("no list of models", extra={"fields": fields})
        return None
