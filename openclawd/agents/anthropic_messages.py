"""The `anthropic-messages` wire: POST {baseUrl}/v1/messages with stream: true.

A conversation is cached: marks stand on the system prompt and on the last two turns of the user, so that a
turn reads what the one before it wrote. What is below a model's least length is not cached, and costs
nothing more. Thinking is asked for by a budget, or by an effort where the model decides how much it needs
(claude_models); its signatures are not kept, as only answers that call tools have to give them back.
"""

import base64
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import orjson

from openclawd.agents.claude_models import MAX_TOKENS, thinking_form
from openclawd.agents.endpoint import Endpoint
from openclawd.agents.entries import ANTHROPIC_MESSAGES
from openclawd.agents.messages_reader import MessagesReader
from openclawd.agents.model import Completion, Emit, ModelMessage, ModelRequest
from openclawd.agents.provider import Provider, Question
from openclawd.agents.thinking import OFF

_CACHED: Final = {"cache_control": {"type": "ephemeral"}}
_CACHED_TURNS: Final = 2
# Tokens; the least that is taken is 1024.
_BUDGETS: Final = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 16_384}
_LEAST_BUDGET: Final = 1_024
# Thinking is part of `max_tokens`; this much of it is left for the answer.
_LEAST_ANSWER: Final = 1_024


@attrs.frozen
class MessagesModel:
    """One model of an Anthropic-compatible server. `reasons`: it can be told to think."""

    _provider: Provider
    id: str
    max_tokens: int | None = None
    reasons: bool = False
    api: str = attrs.field(default=ANTHROPIC_MESSAGES, init=False)

    @property
    def provider(self) -> str:
        """The provider's name, as in the config."""
        return self._provider.endpoint.provider

    async def complete(self, request: ModelRequest, emit: Emit) -> Completion:
        """As `Model.complete`."""
        question = Question(_path(self._provider.endpoint), orjson.dumps(self._body(request)), MessagesReader)
        return await self._provider.answer(self.id, question, emit)

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        limit = request.max_tokens or self.max_tokens or MAX_TOKENS
        system = "\n\n".join(message.text for message in request.messages if message.role == "system")
        body: dict[str, Any] = {
            "model": self.id,
            "max_tokens": limit,
            "messages": _turns([message for message in request.messages if message.role != "system"]),
            "stream": True,
        }
        if system:
            body["system"] = [{"type": "text", "text": system, **_CACHED}]
        return body | (_thinking(self.id, request.thinking, limit) if self.reasons else {})


def _thinking(model: str, level: str, limit: int) -> dict[str, Any]:
    form = thinking_form(model)
    if not form.adaptive:
        budget = min(_BUDGETS.get(level, 0), limit - _LEAST_ANSWER)
        enabled = {"thinking": {"type": "enabled", "budget_tokens": budget}}
        return enabled if budget >= _LEAST_BUDGET else {}
    if level == OFF:
        return {} if form.off is None else {"thinking": dict(form.off)}
    # Models that know the effort xhigh keep their thinking to themselves unless they are asked for it.
    shown = {"display": "summarized"} if form.has_xhigh else {}
    return {"thinking": {"type": "adaptive", **shown}, "output_config": {"effort": level}}


def _turns(messages: Sequence[ModelMessage]) -> list[dict[str, Any]]:
    turns = [(message.role, _blocks(message)) for message in messages]
    turns = [(role, blocks) for role, blocks in turns if blocks]
    of_user = [blocks for role, blocks in turns if role == "user"]
    for blocks in of_user[-_CACHED_TURNS:]:
        blocks[-1] |= _CACHED
    return [{"role": role, "content": blocks} for role, blocks in turns]


def _blocks(message: ModelMessage) -> list[dict[str, Any]]:
    """The blocks of a turn; a text of nothing but space is refused there."""
    images: list[dict[str, Any]] = [
        {
            "type": "image",
            "source": {
                "type": "base64",
                "media_type": image.media_type,
                "data": base64.b64encode(image.data).decode(),
            },
        }
        for image in message.images
    ]
    return images + ([{"type": "text", "text": message.text}] if message.text.strip() else [])


def _path(endpoint: Endpoint) -> str:
    """Anthropic's own base URL has no /v1; many of the compatible servers' have."""
    return "messages" if urlsplit(endpoint.address).path.rstrip("/").endswith("/v1") else "v1/messages"
