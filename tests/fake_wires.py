"""What a model server says on either wire: the same behaviour in the words of OpenAI and of Anthropic.

A `Speech` is one answer being made: it turns pieces of text into the bytes of server-sent events, in the
order that the real servers keep to.
"""

import base64
import binascii
import json
import re
from typing import Any, Final, Protocol

Body = dict[str, Any]


class Speech(Protocol):
    """One answer, being said."""

    def text(self, piece: str) -> bytes: ...

    def thinking(self, piece: str) -> bytes: ...

    def reason(self, reason: str, said: str) -> bytes:
        """Why the answer is over, in the words of OpenAI; on their own they end it, too."""
        ...

    def end(self, said: str) -> bytes:
        """What comes after the reason."""
        ...

    def whole(self, text: str) -> Body:
        """The answer of a server that does not stream."""
        ...

    def error(self, status: int, message: str, code: str | None, kind: str) -> Body: ...

    def error_event(self, message: str, kind: str) -> bytes: ...


def event_of(value: object, name: str | None = None) -> bytes:
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def texts_of(content: Any) -> list[str]:
    """The texts of a message, whatever its form."""
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in content if part["type"] == "text"]


def images_of(content: Any) -> list[tuple[str, int]]:
    """The kind and the size of each picture of a message."""
    if isinstance(content, str):
        return []
    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    sources = [part["source"] for part in content if part["type"] == "image"]
    pairs = [re.fullmatch(r"data:([\w/+.-]+);base64,(.*)", url, re.DOTALL) for url in urls]
    coded = [(found[1], found[2]) for found in pairs if found]
    coded += [(source["media_type"], source["data"]) for source in sources]
    return [(kind, len(base64.b64decode(data, validate=True))) for kind, data in coded]


def question_of(body: Any) -> str:
    """The last paragraph of the last user message."""
    messages = body.get("messages", []) if isinstance(body, dict) else []
    texts = next((texts_of(m["content"]) for m in reversed(messages) if m["role"] == "user"), [])
    return texts[-1].rpartition("\n\n")[2] if texts else ""


def words_of(body: Body) -> int:
    """The prompt's tokens: one a word, and a hundred a picture."""
    contents = [message["content"] for message in body["messages"]]
    contents += [body["system"]] if "system" in body else []
    words = sum(len(text.split()) for content in contents for text in texts_of(content))
    return words + 100 * sum(len(images_of(content)) for content in contents)


class CompletionsSpeech:
    """OpenAI's chat completions. A message that says CACHED finds half of its prompt in the cache."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._begun = False

    def text(self, piece: str) -> bytes:
        return self._delta({"content": piece})

    def thinking(self, piece: str) -> bytes:
        return self._delta({"reasoning_content": piece, "content": None})

    def reason(self, reason: str, said: str) -> bytes:
        return event_of(self._chunk({}, reason))

    def end(self, said: str) -> bytes:
        done = b"data: [DONE]\n\n"
        if not (self._body.get("stream_options") or {}).get("include_usage"):
            return done
        return event_of({**self._chunk({}, None), "choices": [], "usage": self._usage(said)}) + done

    def whole(self, text: str) -> Body:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return {"object": "chat.completion", "choices": [choice], "usage": self._usage("")}

    def error(self, status: int, message: str, code: str | None, kind: str) -> Body:
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}

    def error_event(self, message: str, kind: str) -> bytes:
        return event_of(self.error(0, message, None, kind))

    def _delta(self, delta: Body) -> bytes:
        begin = b"" if self._begun else event_of(self._chunk({"role": "assistant", "content": ""}, None))
        self._begun = True
        return begin + event_of(self._chunk(delta, None))

    def _chunk(self, delta: Body, finish_reason: str | None) -> Body:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "fake"}
        return {**head, "choices": [choice]}

    def _usage(self, said: str) -> Body:
        prompt, answer = words_of(self._body), len(said.split())
        cached = prompt // 2 if "CACHED" in question_of(self._body) else 0
        details = {"prompt_tokens_details": {"cached_tokens": cached}}
        total = {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}
        return {**total, **details}


class MessagesSpeech:
    """Anthropic's messages. CACHED: half of the prompt was in the cache, a quarter is put there."""

    _REASONS: Final = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}
    _KINDS: Final = {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        500: "api_error",
        529: "overloaded_error",
    }
    _WORDS: Final = {
        "context_length_exceeded": "prompt is too long: 9000 tokens > 8192 maximum",
        "model_not_found": "model: fake",
        "insufficient_quota": "Your credit balance is too low to access the Anthropic API.",
    }

    def __init__(self, body: Body) -> None:
        self._body = body
        self._begun = False
        self._block: str | None = None
        self._index = -1

    def text(self, piece: str) -> bytes:
        return self._in_block("text", {"type": "text_delta", "text": piece})

    def thinking(self, piece: str) -> bytes:
        return self._in_block("thinking", {"type": "thinking_delta", "thinking": piece})

    def reason(self, reason: str, said: str) -> bytes:
        told = {"stop_reason": self._REASONS.get(reason, reason), "stop_sequence": None}
        usage = {"output_tokens": len(said.split())}
        delta = event_of({"type": "message_delta", "delta": told, "usage": usage}, "message_delta")
        return self._begin() + self._close() + delta

    def end(self, said: str) -> bytes:
        return event_of({"type": "message_stop"}, "message_stop")

    def whole(self, text: str) -> Body:
        return {**self._message([{"type": "text", "text": text}]), "stop_reason": "end_turn"}

    def error(self, status: int, message: str, code: str | None, kind: str) -> Body:
        said = self._WORDS.get(code or "", message)
        error = {"type": self._KINDS.get(status, "api_error"), "message": said}
        return {"type": "error", "error": error, "request_id": "req_1"}

    def error_event(self, message: str, kind: str) -> bytes:
        error = {"type": "api_error" if kind == "server_error" else kind, "message": message}
        return event_of({"type": "error", "error": error}, "error")

    def complaint(self) -> str | None:
        """What the real server would not take about the request."""
        body = self._body
        messages = body.get("messages")
        if not isinstance(body.get("max_tokens"), int):
            return "max_tokens: Field required"
        if not messages or messages[0]["role"] != "user":
            return "messages: first message must use the user role"
        contents = [message["content"] for message in messages] + [body.get("system", [])]
        if not all(text.strip() for content in contents for text in texts_of(content)):
            return "messages: text content blocks must be non-empty"
        if json.dumps(body).count('"cache_control"') > 4:
            return "A maximum of 4 blocks with cache_control may be provided."
        try:
            kinds = {kind for content in contents for kind, _ in images_of(content)}
        except binascii.Error:
            return "messages: image.source.base64: invalid base64 data"
        if kinds - {"image/png", "image/jpeg", "image/gif", "image/webp"}:
            return "messages: image.source.media_type: unexpected value"
        budget = body.get("thinking", {}).get("budget_tokens", 1024)
        if not 1024 <= budget < max(body["max_tokens"], 1025):
            return "max_tokens must be greater than thinking.budget_tokens"
        return None

    def _in_block(self, kind: str, delta: Body) -> bytes:
        opened = self._begin()
        if self._block != kind:
            opened += self._close()
            self._index += 1
            self._block = kind
            empty: Body = {"type": kind, kind: ""} | ({"signature": ""} if kind == "thinking" else {})
            start = {"type": "content_block_start", "index": self._index, "content_block": empty}
            opened += event_of(start, "content_block_start")
        piece = {"type": "content_block_delta", "index": self._index, "delta": delta}
        return opened + event_of(piece, "content_block_delta")

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        start = event_of({"type": "message_start", "message": self._message([])}, "message_start")
        return start + event_of({"type": "ping"}, "ping")

    def _close(self) -> bytes:
        if self._block is None:
            return b""
        closed = b""
        if self._block == "thinking":
            delta = {"type": "signature_delta", "signature": "c2ln"}
            piece = {"type": "content_block_delta", "index": self._index, "delta": delta}
            closed = event_of(piece, "content_block_delta")
        self._block = None
        return closed + event_of({"type": "content_block_stop", "index": self._index}, "content_block_stop")

    def _message(self, content: list[Body]) -> Body:
        prompt = words_of(self._body)
        cached = "CACHED" in question_of(self._body)
        read, written = (prompt // 2, prompt // 4) if cached else (0, 0)
        usage = {
            "input_tokens": prompt - read - written,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": written,
            "output_tokens": 1,
        }
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": self._body["model"]}
        return {**head, "content": content, "stop_reason": None, "stop_sequence": None, "usage": usage}
