"""From a model provider's first byte to the first `chat` delta at the client.

Provider and client are this one thread, so both moments are read from one clock with nothing in between: the
provider answers, and the next thing that this process does is to wait for the client's event.
"""

import selectors
import socket
import time
from statistics import median
from typing import Any, Final

import orjson

from tests.bench.client import (
    BACKEND,
    PATIENCE_S,
    Client,
    ClientFailed,
    Identity,
    admit,
    connections,
    request,
)
from tests.bench.figures import Reading, Scale
from tests.bench.gateway import gateway
from tests.bench.machine import Cores
from tests.bench.tree import Tree
from tests.support.gateway_process import TOKEN

_MODEL: Final = "bench-model"
# A model thinks before its first word; meanwhile the gateway has nothing to do.
_THINKING_S: Final = 0.05
_DELTA: Final = b'"state":"delta"'
_FINAL: Final = b'"state":"final"'
_ENDS: Final = (b'"state":"error"', b'"state":"aborted"')


def measure_first_delta(tree: Tree, cores: Cores, scale: Scale) -> dict[str, Reading]:
    """A conversation of one-word answers over OpenAI's streaming protocol."""
    with _Provider() as provider, gateway(tree, cores, provider.config()) as found:
        (welcome,) = admit(connections(found.port, 1), [Identity(BACKEND, TOKEN)])
        conversation = _Conversation(welcome.client, provider)
        first_ms = conversation.turn() * 1e3
        later_ms = [conversation.turn() * 1e3 for _ in range(scale.deltas)]
        welcome.client.close()
    return {"first-delta": Reading(median(later_ms), f"{first_ms:.1f} ms in the first turn after a start")}


class _Conversation:
    def __init__(self, client: Client, provider: "_Provider") -> None:
        self._client = client
        self._provider = provider
        self._turns = 0

    def turn(self) -> float:
        """Ask, let the provider answer; the seconds from its first byte to the first delta."""
        self._turns += 1
        params = {
            "sessionKey": "agent:main:bench",
            "message": f"question {self._turns}",
            "idempotencyKey": f"bench-{self._turns}",
        }
        self._client.send(request(f"t{self._turns}", "chat.send", params))
        model = self._provider.asked()
        time.sleep(_THINKING_S)
        began = time.perf_counter()
        model.sendall(_HEAD + _chunk({"role": "assistant", "content": "Hello"}))
        self._until(_DELTA)
        lasted_s = time.perf_counter() - began
        model.sendall(_chunk({}, "stop") + _DONE)
        self._until(_FINAL)
        return lasted_s

    def _until(self, state: bytes) -> None:
        while True:
            for message in self._client.receive():
                if b'"event":"chat"' not in message[:40]:
                    continue
                if state in message:
                    return
                if any(end in message for end in _ENDS):
                    raise ClientFailed(f"the turn failed: {message!r}")


_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    body = {
        "id": "bench",
        "object": "chat.completion.chunk",
        "model": _MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return _http_chunk(b"data: " + orjson.dumps(body) + b"\n\n")


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


_DONE: Final = _http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class _Provider:
    """A listener whose connections are only looked at while somebody waits for a question."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> "_Provider":
        self._selector.register(self._listener, selectors.EVENT_READ)
        return self

    def __exit__(self, *_: object) -> None:
        for key in tuple(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()

    def config(self) -> dict[str, Any]:
        """A config whose only model is this provider's."""
        port = self._listener.getsockname()[1]
        provider = {
            "baseUrl": f"http://127.0.0.1:{port}/v1",
            "apiKey": "bench",
            "api": "openai-completions",
            "models": [{"id": _MODEL, "name": "Bench"}],
        }
        return {
            "models": {"providers": {"bench": provider}},
            "agents": {"defaults": {"model": {"primary": f"bench/{_MODEL}"}}},
        }

    def asked(self) -> socket.socket:
        """Wait for a question; the connection that waits for the answer."""
        while ready := self._selector.select(PATIENCE_S):
            for key, _ in ready:
                if key.fileobj is self._listener:
                    accepted, _ = self._listener.accept()
                    accepted.settimeout(PATIENCE_S)
                    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._selector.register(accepted, selectors.EVENT_READ)
                    continue
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                if _read_request(connection):
                    return connection
                self._selector.unregister(connection)
                connection.close()
        raise ClientFailed("the gateway asked the model nothing")


def _read_request(connection: socket.socket) -> bool:
    """Read one request to its end; False when the gateway has closed instead."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(65536)
        if not data:
            return False
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    missing = int(headers.get(b"content-length", b"0")) - len(body)
    while missing > 0:
        missing -= len(connection.recv(65536))
    return True
