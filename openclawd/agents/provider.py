"""Asking one provider over HTTP: one request, its answer read as it streams, and one retry where it may help.

Guarantees: deltas are emitted as their bytes come; cancelling the caller's scope closes the connection at
once; a request is sent twice at most, and never again once something was emitted; connections are kept for
the next turn. Not guaranteed: that the provider stops computing (most do when the connection closes).

httpx reads a body through three nested async generators. One that is left in the middle is closed by the
garbage collector, in another task, so a body here is only ever left at its end or by a cancellation that
starts in the innermost read: see `_pump`.
"""

import logging
import os
import socket
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import attrs
import orjson
import trio

from openclawd.agents.answer_reader import AnswerReader
from openclawd.agents.endpoint import Endpoint, Patience
from openclawd.agents.http_client import HttpClient
from openclawd.agents.model import (
    Completion,
    Emit,
    ModelError,
    ModelErrorKind,
    TextDelta,
    ThinkingDelta,
)
from openclawd.agents.provider_errors import (
    DEFAULT_RETRY_AFTER_S,
    broken_off,
    complaint_in_body,
    model_error,
    not_compatible,
    retry_after_s,
    unreachable,
)

if TYPE_CHECKING:
    import httpx


# A provider that asks for more than this is not waited for: the user is told when instead.
MAX_RETRY_AFTER_S: Final = 30.0
# A body that has said everything still has its last HTTP chunk to send; reading it keeps the connection
# usable.
_LINGER_S: Final = 0.05
# A goodbye over TLS that the server does not answer.
_CLOSE_S: Final = 1.0
# No list of models and no error text is longer; a whole answer of a server that does not stream may be.
_MAX_BODY_BYTES: Final = 4 * 1024 * 1024

_log = logging.getLogger("openclawd.agents")


@attrs.frozen
class Question:
    """What is sent where, and what reads the answer."""

    path: str
    body: bytes = attrs.field(repr=False)
    reader: Callable[[Endpoint, str, Emit], AnswerReader]


@attrs.define
class Provider:
    """One server; its models share its connections.

    `last_failure` is how the last question to it ended, None when it was answered or none was asked;
    `rests_until_s` (Unix time) is when it said that it takes questions again.
    """

    endpoint: Endpoint
    _patience: Patience = attrs.field(factory=Patience)
    _now_s: Callable[[], float] = time.time
    last_failure: ModelErrorKind | None = attrs.field(default=None, init=False)
    rests_until_s: float = attrs.field(default=0.0, init=False)
    _client: HttpClient = attrs.field(init=False)
    _answering: int = attrs.field(default=0, init=False)
    _is_retired: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._client = HttpClient(self.endpoint, self._patience.connect_s)

    async def aclose(self) -> None:
        """Close the connections that are kept open."""
        await self._client.aclose()

    async def retire(self) -> None:
        """Close the connections once nobody is being answered: the config has this provider otherwise now."""
        self._is_retired = True
        if not self._answering:
            with trio.move_on_after(_CLOSE_S):
                await self.aclose()

    async def answer(self, model: str, question: Question, emit: Emit) -> Completion:
        """One turn, with one retry where that may help. Raises ModelError."""
        self._answering += 1
        try:
            return await self._answer(model, question, emit)
        finally:
            self._answering -= 1
            if self._is_retired and not self._answering:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_S):
                    await self.aclose()

    async def _answer(self, model: str, question: Question, emit: Emit) -> Completion:
        try:
            completion = await self._asked_twice(model, question, emit)
        except ModelError as error:
            self.last_failure = error.kind
            if error.kind is ModelErrorKind.RATE_LIMITED:
                self.rests_until_s = self._now_s() + (error.retry_after_s or 0.0)
            raise
        self.last_failure = None
        return completion

    async def get_json(self, url: str, timeout_s: float) -> object:
        """GET a small JSON document of the same server (its list of models). Raises ModelError."""
        reason = f"no answer within {timeout_s:g} s"
        with trio.move_on_after(timeout_s):
            status, _, body = await self._exchange("GET", url)
            if status != 200:
                raise model_error(complaint_in_body(status, body), self.endpoint, "")
            try:
                return orjson.loads(body)
            except orjson.JSONDecodeError:
                raise not_compatible(self.endpoint, "it is not JSON") from None
        raise unreachable(self.endpoint, reason)

    async def _asked_twice(self, model: str, question: Question, emit: Emit) -> Completion:
        emitted = False

        def say(delta: TextDelta | ThinkingDelta) -> None:
            nonlocal emitted
            emitted = True
            emit(delta)

        try:
            return await self._ask(model, question, say)
        except ModelError as error:
            wait_s = error.retry_after_s
            if emitted or wait_s is None or wait_s > MAX_RETRY_AFTER_S:
                raise
            fields = {
                "provider": self.endpoint.provider,
                "model": model,
                "kind": error.kind,
                "wait_s": wait_s,
            }
            _log.info("model call retried", extra={"fields": fields})
        await trio.sleep(wait_s)
        return await self._ask(model, question, say)

    async def _ask(self, model: str, question: Question, emit: Emit) -> Completion:
        reader = question.reader(self.endpoint, model, emit)
        limit_s = self._patience.first_token_s
        with trio.CancelScope(deadline=trio.current_time() + limit_s) as silence:

            def take(data: bytes) -> bool:
                nonlocal limit_s
                finished = reader.feed(data)
                if reader.emitted:
                    limit_s = self._patience.between_chunks_s
                silence.deadline = trio.current_time() + limit_s
                return finished

            url = self.endpoint.url(question.path)
            try:
                status, headers, rest = await self._exchange("POST", url, question.body, take)
            except ModelError as error:
                if error.kind is ModelErrorKind.BROKEN_OFF and reader.end():
                    return reader.completion()
                raise
            if status != 200:
                raise self._refusal(model, status, headers, rest)
            if rest:
                reader.read_chunk(rest)
            elif _media_type(headers) == "text/html":
                raise not_compatible(self.endpoint, "it is a web page")
            reader.end()
            return reader.completion()
        if reader.end():
            return reader.completion()
        if reader.emitted:
            raise broken_off(self.endpoint, f"said nothing for {limit_s:g} s")
        raise unreachable(self.endpoint, f"no answer within {limit_s:g} s")

    async def _exchange(
        self, method: str, url: str, body: bytes | None = None, take: Callable[[bytes], bool] | None = None
    ) -> "tuple[int, httpx.Headers, bytes]":
        """One request. A streamed success goes to `take` as it comes, any other body is returned."""
        client = await self._client.get()
        import httpx

        answering = False
        headers = {**self.endpoint.headers(), **({"content-type": "application/json"} if body else {})}
        collected = bytearray()

        def collect(data: bytes) -> bool:
            collected.extend(data[: _MAX_BODY_BYTES - len(collected)])
            return len(collected) >= _MAX_BODY_BYTES

        try:
            async with client.stream(method, url, content=body, headers=headers) as response:
                answering = True
                streams = take is not None and response.status_code == 200
                streams = streams and _media_type(response.headers) != "application/json"
                await _pump(response, take if take is not None and streams else collect)
                return response.status_code, response.headers, bytes(collected)
        except httpx.DecodingError:
            raise not_compatible(self.endpoint, "its compression is broken") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
            raise unreachable(self.endpoint, "that is no usable address") from None
        except httpx.ConnectTimeout:
            reason = f"no connection within {self._patience.connect_s:g} s"
            raise unreachable(self.endpoint, reason, retry_after_s=DEFAULT_RETRY_AFTER_S) from None
        except httpx.ProxyError as error:
            reason = f"the proxy in the environment says “{self.endpoint.quote(str(error))}”"
            raise unreachable(self.endpoint, reason, retry_after_s=DEFAULT_RETRY_AFTER_S) from None
        except httpx.TransportError as error:
            if answering:
                raise broken_off(self.endpoint, "closed the connection") from None
            # Also a kept connection that the server had closed meanwhile: nothing was answered,
            # so it is safe.
            wait_s = DEFAULT_RETRY_AFTER_S if isinstance(error, httpx.ConnectError) else 0.0
            raise unreachable(self.endpoint, _reason(error), retry_after_s=wait_s) from None

    def _refusal(self, model: str, status: int, headers: "httpx.Headers", body: bytes) -> ModelError:
        after_s = retry_after_s(headers.get("retry-after"), datetime.fromtimestamp(self._now_s(), UTC))
        return model_error(complaint_in_body(status, body), self.endpoint, model, retry_after_s=after_s)


async def _pump(response: "httpx.Response", take: Callable[[bytes], bool]) -> None:
    """Every piece of the body to `take`, until it is true or raises, or the body ends."""
    failure: ModelError | None = None
    finished = False
    with trio.CancelScope() as rest:
        async for data in response.aiter_bytes():
            if finished:
                continue
            try:
                finished = take(data)
            except ModelError as error:
                failure = error
                finished = True
            if finished:
                rest.deadline = trio.current_time() + _LINGER_S
    if failure is not None:
        raise failure


def _media_type(headers: "httpx.Headers") -> str:
    text: str = headers.get("content-type", "")
    return text.partition(";")[0].strip().lower()


def _reason(error: BaseException) -> str:
    """The operating system's words for it, from as deep in the chain as there are any."""
    words = str(error) or "the connection was closed without an answer"
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, BaseExceptionGroup):
            seen = seen.exceptions[0]
        if isinstance(seen, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted ({seen.verify_message}); "
                "SSL_CERT_FILE names the file of a private CA"
            )
        if isinstance(seen, socket.gaierror) and seen.strerror:
            words = seen.strerror
        elif isinstance(seen, OSError) and seen.errno:
            words = os.strerror(seen.errno)
        seen = seen.__cause__ or seen.__context__
    return words[:1].lower() + words[1:]
