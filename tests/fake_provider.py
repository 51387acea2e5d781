"""A model server on loopback, OpenAI's and Anthropic's wires, that streams like the real ones, and badly on
demand.

Inside a test:     async with open_fake_provider() as provider: ... provider.base_url, provider.requests
As a process:      python -m tests.fake_provider [--port 0] [--key KEY] [--ollama MODEL ...]
                   prints one line, its address (http://127.0.0.1:PORT), then serves until it is killed.

What it does is chosen by the first word in capitals that is one of `BEHAVIOURS` in the last paragraph of
the last user message ("tell me SLOW=20"), or by the path: the base URL http://host/v1-slow does the same for
every message. A number after "=" is the behaviour's argument. Anything else is answered with "You said: " and
that paragraph, a word a chunk, and with the pictures that came along. (The paragraph, since a gateway may
join a failed message with the next one.) POST /v1/messages answers as Anthropic, and as strictly.

GET /_requests returns what was asked so far as JSON, POST /_reset forgets it. GET /v1/models and, as Ollama
would, GET /api/tags list the models. The model "no-such-model" is not known.
"""

import argparse
import json
import re
import socket
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import h11
import trio

from tests.fake_wires import CompletionsSpeech, MessagesSpeech, Speech, images_of, question_of

CHATS: Final = ("/chat/completions", "/messages")
MODELS: Final = ("fake-model", "vendor/fake-large")


class GoneError(Exception):
    """The behaviour wants the connection closed now."""


@attrs.define(eq=False)
class RecordedRequest:
    """One request as it came, and how it went."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    behaviour: str = ""
    argument: float | None = None
    finished: bool = False
    hung_up: bool = False
    connection: int = 0
    ended: trio.Event = attrs.field(factory=trio.Event)

    @property
    def question(self) -> str:
        """The last paragraph of the last user message."""
        return question_of(self.body)

    @property
    def images(self) -> list[tuple[str, int]]:
        """The kind and size of every picture of the conversation."""
        return [image for message in self.body["messages"] for image in images_of(message["content"])]

    def to_json(self) -> dict[str, Any]:
        return attrs.asdict(self, filter=lambda field, _: field.name != "ended")


@attrs.define(eq=False)
class FakeProvider:
    """The server's state; `open_fake_provider` runs it."""

    key: str | None = None
    ollama_models: tuple[str, ...] = ("llama3.2:latest", "nomic-embed-text:latest")
    scheme: str = "http"
    port: int = 0
    requests: list[RecordedRequest] = attrs.field(factory=list)
    connections: int = 0
    tries: Counter[str] = attrs.field(factory=Counter)
    _waiting: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def chats(self) -> list[RecordedRequest]:
        return [request for request in self.requests if request.path.endswith(CHATS)]

    async def until_asked(self, count: int = 1) -> RecordedRequest:
        """The `count`-th request, once it is there."""
        while len(self.requests) < count:
            await self._waiting.park()
        return self.requests[count - 1]

    async def serve_connection(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        wire = Wire(stream)
        number = self.connections
        try:
            while (request := await wire.next_request()) is not None:
                request.connection = number
                await self._serve_request(wire, request)
                if not wire.reuse():
                    break
        except (GoneError, h11.ProtocolError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)

    async def _serve_request(self, wire: "Wire", request: RecordedRequest) -> None:
        listed = not request.path.startswith("/_")
        if listed:
            self.requests.append(request)
            self._waiting.unpark_all()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wire.watch_for_hang_up, request, nursery.cancel_scope)
                await self._answer(wire, request)
                request.finished = True
                nursery.cancel_scope.cancel()
        except* (GoneError, trio.BrokenResourceError) as group:
            raise GoneError from group
        finally:
            request.ended.set()
        if request.hung_up:
            raise GoneError

    async def _answer(self, wire: "Wire", request: RecordedRequest) -> None:
        match request.method, request.path:
            case "GET", "/_requests":
                await wire.send_json(200, [each.to_json() for each in self.requests])
            case "POST", "/_reset":
                self.requests.clear()
                self.tries.clear()
                await wire.send_json(200, {"ok": True})
            case "GET", "/api/tags":
                tags = [
                    {"name": name, "model": name, "details": {"family": "fake"}}
                    for name in self.ollama_models
                ]
                await wire.send_json(200, {"models": tags})
            case "GET", path if path.endswith("/models"):
                rows = [{"id": name, "object": "model", "owned_by": "fake"} for name in MODELS]
                await wire.send_json(200, {"object": "list", "data": rows})
            case "POST", path if re.fullmatch(r"/v1(-\w+(=[\d.]+)?)?/(chat/completions|messages)", path):
                await self._chat(wire, request)
            case _:
                await wire.send(404, "text/html", b"<html>404 page not found</html>")

    async def _chat(self, wire: "Wire", request: RecordedRequest) -> None:
        anthropic = MessagesSpeech(request.body) if request.path.endswith("/messages") else None
        wire.speech = anthropic or CompletionsSpeech(request.body)
        if self.key is not None and self.key != key_of(request):
            await bad_key(wire, request, 1)
            return
        if anthropic and (complaint := anthropic.complaint()):
            await wire.send_error(400, complaint, None, "invalid_request_error")
            return
        if request.body["model"] == "no-such-model":
            await unknown_model(wire, request, 1)
            return
        by_path = re.match(r"/v1-(\w+)(?:=([\d.]+))?/", request.path)
        words = re.findall(r"\b([A-Z_]{3,})(?:=([\d.]+))?", request.question)
        chosen = [(by_path[1].upper(), by_path[2])] if by_path else words
        name, argument = next(((word, number) for word, number in chosen if word in BEHAVIOURS), ("", None))
        request.behaviour = name
        request.argument = float(argument) if argument else None
        asked = f"{request.path} {request.question}"
        self.tries[asked] += 1
        await BEHAVIOURS.get(name, plain)(wire, request, self.tries[asked])


@attrs.define(eq=False)
class Wire:
    """HTTP/1.1 on one connection (h11), with one helper for each thing the behaviours send."""

    stream: trio.abc.Stream
    http: h11.Connection = attrs.field(factory=lambda: h11.Connection(h11.SERVER))
    speech: Speech = attrs.field(factory=lambda: CompletionsSpeech({}))

    async def next_request(self) -> RecordedRequest | None:
        request: RecordedRequest | None = None
        body = bytearray()
        while True:
            event = self.http.next_event()
            if event is h11.NEED_DATA:
                self.http.receive_data(bytes(await self.stream.receive_some(65536)))
            elif isinstance(event, h11.Request):
                headers = {name.decode(): value.decode() for name, value in event.headers}
                path = urlsplit(event.target.decode()).path
                request = RecordedRequest(event.method.decode(), path, headers, None)
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                request.body = json.loads(body) if body else None
                return request
            else:
                return None

    def reuse(self) -> bool:
        if self.http.our_state is not h11.DONE or self.http.their_state is not h11.DONE:
            return False
        self.http.start_next_cycle()
        return True

    async def watch_for_hang_up(self, request: RecordedRequest, scope: trio.CancelScope) -> None:
        try:
            data = await self.stream.receive_some(65536)
        except trio.BrokenResourceError:
            data = b""
        if data:
            self.http.receive_data(bytes(data))
            return
        request.hung_up = True
        scope.cancel()

    async def write(self, event: h11.Event) -> None:
        data = self.http.send(event)
        if data:
            await self.stream.send_all(data)

    async def send(self, status: int, media_type: str, body: bytes, **headers: str) -> None:
        await self.head(status, media_type, content_length=str(len(body)), **headers)
        await self.write(h11.Data(data=body))
        await self.end()

    async def send_json(self, status: int, value: object, **headers: str) -> None:
        await self.send(status, "application/json", json.dumps(value).encode(), **headers)

    async def send_error(
        self, status: int, message: str, code: str | None, kind: str, **headers: str
    ) -> None:
        await self.send_json(status, self.speech.error(status, message, code, kind), **headers)

    async def head(self, status: int = 200, media_type: str = "text/event-stream", **headers: str) -> None:
        pairs = [
            ("content-type", media_type),
            *((name.replace("_", "-"), text) for name, text in headers.items()),
        ]
        await self.write(h11.Response(status_code=status, headers=pairs))

    async def raw(self, data: bytes) -> None:
        await self.write(h11.Data(data=data))

    async def say(self, text: str) -> None:
        await self.raw(self.speech.text(text))

    async def finish(self, text: str, reason: str = "stop") -> None:
        await self.raw(self.speech.reason(reason, text))
        await self.raw(self.speech.end(text))
        await self.end()

    async def end(self) -> None:
        await self.write(h11.EndOfMessage())

    def reset(self) -> None:
        """Close with a TCP reset."""
        stream = self.stream.transport_stream if isinstance(self.stream, trio.SSLStream) else self.stream
        assert isinstance(stream, trio.SocketStream)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise GoneError


def key_of(request: RecordedRequest) -> str:
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    return request.headers.get("x-api-key", bearer)


def echo(request: RecordedRequest) -> str:
    kinds = [kind for kind, _ in request.images]
    return f"You said: {request.question}" + (f" [with {', '.join(kinds)}]" if kinds else "")


def pieces(text: str) -> list[str]:
    return re.findall(r"\s*\S+\s*", text)


Behaviour = Callable[[Wire, RecordedRequest, int], Awaitable[None]]
BEHAVIOURS: Final[dict[str, Behaviour]] = {}


def behaviour(function: Behaviour) -> Behaviour:
    BEHAVIOURS[getattr(function, "__name__", "").upper()] = function
    return function


async def plain(wire: Wire, request: RecordedRequest, _: int) -> None:
    await wire.head()
    for piece in pieces(echo(request)):
        await wire.say(piece)
    await wire.finish(echo(request))


@behaviour
async def slow(wire: Wire, request: RecordedRequest, _: int) -> None:
    """SLOW=n: n words (50), a tenth of a second apart."""
    await wire.head()
    words = [f"word{number} " for number in range(1, int(request.argument or 50) + 1)]
    for word in words:
        await wire.say(word)
        await trio.sleep(0.1)
    await wire.finish("".join(words))


@behaviour
async def pause(wire: Wire, request: RecordedRequest, _: int) -> None:
    """PAUSE=s: the first half, s seconds (1) of silence, the second half."""
    await wire.head()
    text = echo(request)
    await wire.say(text[: len(text) // 2])
    await trio.sleep(1.0 if request.argument is None else request.argument)
    await wire.say(text[len(text) // 2 :])
    await wire.finish(text)


SPLIT_TEXT: Final = "Zażółć gęślą jaźń, 你好, мир 🦞 c'est ça."


@behaviour
async def split(wire: Wire, request: RecordedRequest, _: int) -> None:
    """SPLIT: SPLIT_TEXT, one byte a write, with CR LF line ends, a BOM and comments."""
    await wire.head()
    stream = b"\xef\xbb\xbf: warming up\r\n\r\n"
    for piece in pieces(SPLIT_TEXT):
        stream += wire.speech.text(piece).replace(b"\n", b"\r\n") + b": still here\r\n"
    last = wire.speech.reason("stop", SPLIT_TEXT) + wire.speech.end(SPLIT_TEXT)
    stream += last.replace(b"\n", b"\r\n")
    for number in range(len(stream)):
        await wire.raw(stream[number : number + 1])
    await wire.end()


@behaviour
async def tiny(wire: Wire, request: RecordedRequest, _: int) -> None:
    """TINY=n: n deltas (2000) of one character, as fast as they go."""
    await wire.head()
    text = "".join(chr(ord("a") + number % 26) for number in range(int(request.argument or 2000)))
    for character in text:
        await wire.say(character)
    await wire.finish(text)


@behaviour
async def big(wire: Wire, request: RecordedRequest, _: int) -> None:
    """BIG=n: one delta of n characters (200 000)."""
    await wire.head()
    text = "x" * int(request.argument or 200_000)
    await wire.say(text)
    await wire.finish(text)


@behaviour
async def think(wire: Wire, request: RecordedRequest, _: int) -> None:
    """THINK: two deltas of thinking, then the answer."""
    await wire.head()
    await wire.raw(wire.speech.thinking("Let me "))
    await wire.raw(wire.speech.thinking("think."))
    await wire.say(echo(request))
    await wire.finish(echo(request))


@behaviour
async def length(wire: Wire, request: RecordedRequest, _: int) -> None:
    """LENGTH: stops for length."""
    await wire.head()
    await wire.say("cut sh")
    await wire.finish("cut sh", "length")


@behaviour
async def filtered(wire: Wire, request: RecordedRequest, _: int) -> None:
    """FILTERED: the content filter stops the answer in the middle."""
    await wire.head()
    await wire.say("I would ")
    await wire.finish("I would ", "content_filter")


@behaviour
async def empty(wire: Wire, request: RecordedRequest, _: int) -> None:
    """EMPTY: finishes without a word."""
    await wire.head()
    await wire.finish("")


@behaviour
async def whole(wire: Wire, request: RecordedRequest, _: int) -> None:
    """WHOLE: does not stream, answers with one JSON document."""
    await wire.send_json(200, wire.speech.whole(echo(request)))


@behaviour
async def no_done(wire: Wire, request: RecordedRequest, _: int) -> None:
    """NO_DONE: a finish reason, but no [DONE], and the connection is dropped instead of ended."""
    await wire.head()
    await wire.say(echo(request))
    await wire.raw(wire.speech.reason("stop", echo(request)))
    raise GoneError


@behaviour
async def close_after(wire: Wire, request: RecordedRequest, _: int) -> None:
    """CLOSE_AFTER: the answer, then the kept connection is closed without a word."""
    await plain(wire, request, _)
    raise GoneError


@behaviour
async def linger(wire: Wire, request: RecordedRequest, _: int) -> None:
    """LINGER: says [DONE], but never ends the HTTP body."""
    await wire.head()
    await wire.say(echo(request))
    await wire.raw(wire.speech.reason("stop", echo(request)) + wire.speech.end(echo(request)))
    await trio.sleep_forever()


@behaviour
async def break_off(wire: Wire, request: RecordedRequest, _: int) -> None:
    """BREAK_OFF: a few words, then the connection is closed."""
    await wire.head()
    await wire.say("This is where ")
    raise GoneError


@behaviour
async def reset(wire: Wire, request: RecordedRequest, _: int) -> None:
    """RESET: a few words, then the connection is reset."""
    await wire.head()
    await wire.say("This is where ")
    # Unread data would be thrown away with the reset.
    await trio.sleep(0.1)
    wire.reset()


@behaviour
async def end_early(wire: Wire, request: RecordedRequest, _: int) -> None:
    """END_EARLY: a few words, then a proper end of the HTTP body without a finish reason."""
    await wire.head()
    await wire.say("This is where ")
    await wire.end()


@behaviour
async def hang(wire: Wire, request: RecordedRequest, _: int) -> None:
    """HANG: never answers."""
    await trio.sleep_forever()


@behaviour
async def hang_head(wire: Wire, request: RecordedRequest, _: int) -> None:
    """HANG_HEAD: the head of the answer, then nothing."""
    await wire.head()
    await wire.raw(b": processing\n\n")
    await trio.sleep_forever()


@behaviour
async def hang_middle(wire: Wire, request: RecordedRequest, _: int) -> None:
    """HANG_MIDDLE: a few words, then silence."""
    await wire.head()
    await wire.say("Half of ")
    await trio.sleep_forever()


@behaviour
async def hang_once(wire: Wire, request: RecordedRequest, attempt: int) -> None:
    """HANG_ONCE: never answers the first try of a message, then the answer."""
    await (hang if attempt == 1 else plain)(wire, request, attempt)


@behaviour
async def hang_head_once(wire: Wire, request: RecordedRequest, attempt: int) -> None:
    """HANG_HEAD_ONCE: the head and no more at the first try of a message, then the answer."""
    await (hang_head if attempt == 1 else plain)(wire, request, attempt)


@behaviour
async def hang_middle_once(wire: Wire, request: RecordedRequest, attempt: int) -> None:
    """HANG_MIDDLE_ONCE: a few words and no more at the first try of a message, then the answer."""
    await (hang_middle if attempt == 1 else plain)(wire, request, attempt)


@behaviour
async def error_inside(wire: Wire, request: RecordedRequest, _: int) -> None:
    """ERROR_INSIDE: a few words, then an error object in the stream."""
    await wire.head()
    await wire.say("So far ")
    await wire.raw(wire.speech.error_event("The engine burnt down.", "server_error"))
    await wire.end()


@behaviour
async def overloaded_inside(wire: Wire, request: RecordedRequest, _: int) -> None:
    """OVERLOADED_INSIDE: a few words, then the provider is overloaded."""
    await wire.head()
    await wire.say("So far ")
    await wire.raw(wire.speech.error_event("Overloaded", "overloaded_error"))
    await wire.end()


@behaviour
async def overloaded_once(wire: Wire, request: RecordedRequest, attempt: int) -> None:
    """OVERLOADED_ONCE: overloaded before the first word at the first try of a message, then the answer."""
    if attempt > 1:
        await plain(wire, request, attempt)
        return
    await wire.head()
    await wire.raw(wire.speech.error_event("Overloaded", "overloaded_error"))
    await wire.end()


@behaviour
async def too_large(wire: Wire, request: RecordedRequest, _: int) -> None:
    """TOO_LARGE: 413."""
    await wire.send_error(413, "Request exceeds the maximum size", None, "request_too_large")


@behaviour
async def busy(wire: Wire, request: RecordedRequest, _: int) -> None:
    """BUSY: 529 (Retry-After: 0)."""
    await wire.send_error(529, "Overloaded", None, "overloaded_error", retry_after="0")


@behaviour
async def garbage(wire: Wire, request: RecordedRequest, _: int) -> None:
    """GARBAGE: data that is not JSON."""
    await wire.head()
    await wire.raw(b"data: {not json\n\n")
    await trio.sleep_forever()


@behaviour
async def flood(wire: Wire, request: RecordedRequest, _: int) -> None:
    """FLOOD: one line without an end."""
    await wire.head()
    while True:
        await wire.raw(b"data: " + b"x" * 65536)


@behaviour
async def web_page(wire: Wire, request: RecordedRequest, _: int) -> None:
    """WEB_PAGE: a login page where an answer should be."""
    await wire.send(200, "text/html; charset=utf-8", b"<!doctype html><title>Please log in</title>")


@behaviour
async def bad_key(wire: Wire, request: RecordedRequest, _: int) -> None:
    """BAD_KEY: 401, its text repeating the key that was sent."""
    sent = key_of(request)
    await wire.send_error(
        401, f"Incorrect API key provided: {sent}", "invalid_api_key", "invalid_request_error"
    )


@behaviour
async def echo_key(wire: Wire, request: RecordedRequest, _: int) -> None:
    """ECHO_KEY: 400, its text repeating the key that was sent."""
    sent = key_of(request)
    await wire.send_error(400, f"your key {sent} is odd", None, "invalid_request_error")


@behaviour
async def forbidden(wire: Wire, request: RecordedRequest, _: int) -> None:
    """FORBIDDEN: 403."""
    await wire.send_error(403, "Your project may not do this.", None, "permission_error")


@behaviour
async def unknown_model(wire: Wire, request: RecordedRequest, _: int) -> None:
    """UNKNOWN_MODEL: 404 model_not_found."""
    message = f"The model `{request.body['model']}` does not exist or you do not have access to it."
    await wire.send_error(404, message, "model_not_found", "invalid_request_error")


@behaviour
async def context(wire: Wire, request: RecordedRequest, _: int) -> None:
    """CONTEXT: 400 context_length_exceeded."""
    message = (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
    )
    await wire.send_error(400, message, "context_length_exceeded", "invalid_request_error")


@behaviour
async def quota(wire: Wire, request: RecordedRequest, _: int) -> None:
    """QUOTA: 429 insufficient_quota; 400 at Anthropic."""
    message = "You exceeded your current quota, please check your plan and billing details."
    status = 400 if isinstance(wire.speech, MessagesSpeech) else 429
    await wire.send_error(status, message, "insufficient_quota", "insufficient_quota")


@behaviour
async def rate_limit(wire: Wire, request: RecordedRequest, attempt: int) -> None:
    """RATE_LIMIT=s: 429 with Retry-After: s (0) at the first try of a message, then the answer."""
    await (rate_limit_always if attempt == 1 else plain)(wire, request, attempt)


@behaviour
async def rate_limit_always(wire: Wire, request: RecordedRequest, _: int) -> None:
    """RATE_LIMIT_ALWAYS=s: 429 with Retry-After: s (0)."""
    wait = f"{request.argument or 0:g}"
    await wire.send_error(429, "Rate limit reached", "rate_limit_exceeded", "requests", retry_after=wait)


@behaviour
async def fail_once(wire: Wire, request: RecordedRequest, attempt: int) -> None:
    """FAIL_ONCE: 500 at the first try of a message (Retry-After: 0), then the answer."""
    await (fail if attempt == 1 else plain)(wire, request, attempt)


@behaviour
async def fail(wire: Wire, request: RecordedRequest, _: int) -> None:
    """FAIL: 500 (Retry-After: 0)."""
    await wire.send_error(500, "The server had an error.", None, "server_error", retry_after="0")


@behaviour
async def drop_once(wire: Wire, request: RecordedRequest, attempt: int) -> None:
    """DROP_ONCE: closes the connection without an answer at the first try of a message, then the answer."""
    if attempt == 1:
        raise GoneError
    await plain(wire, request, attempt)


@behaviour
async def redirect(wire: Wire, request: RecordedRequest, _: int) -> None:
    """REDIRECT: 307 to elsewhere."""
    await wire.send(307, "text/plain", b"", location="https://elsewhere.invalid/v1/chat/completions")


@asynccontextmanager
async def open_fake_provider(
    port: int = 0, *, ssl_context: ssl.SSLContext | None = None, **settings: Any
) -> AsyncIterator[FakeProvider]:
    """Serve on 127.0.0.1 until the block ends."""
    provider = FakeProvider(scheme="https" if ssl_context else "http", **settings)
    sockets = await trio.open_tcp_listeners(port, host="127.0.0.1")
    provider.port = sockets[0].socket.getsockname()[1]
    listeners: list[Any] = (
        [trio.SSLListener(each, ssl_context) for each in sockets] if ssl_context else [*sockets]
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, provider.serve_connection, listeners)
        yield provider
        nursery.cancel_scope.cancel()


async def main() -> None:
    parser = argparse.ArgumentParser(description="A model server for tests.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key", help="the only API key that is let in")
    parser.add_argument("--ollama", nargs="*", help="the models that /api/tags lists")
    options = parser.parse_args()
    settings: dict[str, Any] = {} if options.ollama is None else {"ollama_models": tuple(options.ollama)}
    async with open_fake_provider(options.port, key=options.key, **settings) as provider:
        print(provider.url, flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main)
