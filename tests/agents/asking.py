"""What the tests of this folder share: an endpoint at the fake provider, and asking it something."""

from typing import Any

import attrs

from openclawd.agents.anthropic_messages import MessagesModel
from openclawd.agents.endpoint import Endpoint, Patience
from openclawd.agents.entries import ANTHROPIC_MESSAGES, OPENAI_COMPLETIONS
from openclawd.agents.model import (
    Completion,
    Image,
    ModelError,
    ModelMessage,
    ModelRequest,
    TextDelta,
    ThinkingDelta,
)
from openclawd.agents.openai_completions import CompletionsModel
from openclawd.agents.provider import Provider
from openclawd.config.secret import Secret

KEY = "sk-test-0123456789abcdef"
# Loopback answers at once; what is tested as silence is meant to be silent.
SHORT = Patience(connect_s=2.0, first_token_s=0.4, between_chunks_s=0.4)


def endpoint(base_url: str, *, key: str | None = KEY, **more: Any) -> Endpoint:
    return Endpoint(
        "acme",
        base_url,
        key_hint="Set ACME_KEY.",
        address_hint="Check baseUrl.",
        model_hint="Choose another.",
        api_key=Secret(key) if key else None,
        **more,
    )


def question(
    text: str, *, max_tokens: int | None = None, thinking: str = "off", images: tuple[Image, ...] = ()
) -> ModelRequest:
    messages = (ModelMessage("system", "Be brief."), ModelMessage("user", text, images))
    return ModelRequest(messages, "agent:main:main", max_tokens, thinking)


@attrs.define
class Heard:
    """What a model emitted, in order."""

    deltas: list[TextDelta | ThinkingDelta] = attrs.field(factory=list)
    completion: Completion | None = None

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas if isinstance(delta, TextDelta))

    @property
    def thinking(self) -> str:
        return "".join(delta.text for delta in self.deltas if isinstance(delta, ThinkingDelta))


async def ask(
    base_url: str,
    text: str,
    *,
    api: str = OPENAI_COMPLETIONS,
    model: str = "fake-model",
    reasons: bool = False,
    key: str | None = KEY,
    patience: Patience | None = None,
    heard: Heard | None = None,
    **more: Any,
) -> Heard:
    """One turn with a provider of its own."""
    heard = heard or Heard()
    provider = Provider(endpoint(base_url, key=key, api=api), patience or Patience())
    make = MessagesModel if api == ANTHROPIC_MESSAGES else CompletionsModel
    try:
        heard.completion = await make(provider, model, None, reasons).complete(
            question(text, **more), heard.deltas.append
        )
    finally:
        await provider.aclose()
    return heard


async def ask_in_vain(base_url: str, text: str, **more: Any) -> tuple[ModelError, Heard]:
    """One turn that fails: the error, and what was heard before."""
    heard = Heard()
    try:
        await ask(base_url, text, heard=heard, **more)
    except ModelError as error:
        return error, heard
    raise AssertionError(f"{text!r} was answered with {heard.text!r}")
