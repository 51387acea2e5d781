"""The `openai-completions` wire: POST {baseUrl}/chat/completions with stream: true."""

import base64
from typing import Any, Final

import attrs
import orjson

from openclawd.agents.completions_reader import CompletionsReader
from openclawd.agents.endpoint import Endpoint
from openclawd.agents.entries import OPENAI_COMPLETIONS
from openclawd.agents.model import Completion, Emit, ModelMessage, ModelRequest
from openclawd.agents.openai_models import least_effort
from openclawd.agents.provider import Provider, Question
from openclawd.agents.thinking import OFF

_PATH: Final = "chat/completions"


@attrs.frozen
class CompletionsModel:
    """One model of an OpenAI-compatible server. `reasons`: it takes a `reasoning_effort`."""

    _provider: Provider
    id: str
    max_tokens: int | None = None
    reasons: bool = False
    api: str = attrs.field(default=OPENAI_COMPLETIONS, init=False)

    @property
    def provider(self) -> str:
        """The provider's name, as in the config."""
        return self._provider.endpoint.provider

    async def complete(self, request: ModelRequest, emit: Emit) -> Completion:
        """As `Model.complete`."""
        body = orjson.dumps(self._body(request))
        return await self._provider.answer(self.id, Question(_PATH, body, CompletionsReader), emit)

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.id,
            "messages": [
                {"role": message.role, "content": _content(message)} for message in request.messages
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if (limit := request.max_tokens or self.max_tokens) is not None:
            # OpenAI's newer models know the new name only, most other servers the old one only.
            new = _is_openai(self._provider.endpoint)
            body["max_completion_tokens" if new else "max_tokens"] = limit
        if self.reasons:
            effort = least_effort(self.id) if request.thinking == OFF else request.thinking
            if effort is not None:
                body["reasoning_effort"] = effort
        return body


def _content(message: ModelMessage) -> str | list[dict[str, Any]]:
    if not message.images:
        return message.text
    images: list[dict[str, Any]] = [
        {
            "type": "image_url",
            "image_url": {"url": f"data:{image.media_type};base64,{base64.b64encode(image.data).decode()}"},
        }
        for image in message.images
    ]
    return images + ([{"type": "text", "text": message.text}] if message.text else [])


def _is_openai(endpoint: Endpoint) -> bool:
    return endpoint.host_and_port()[0].endswith((".openai.com", ".openai.azure.com"))
