"""A gateway as a command sees one: real sockets, the real WebSocket protocol, answers from a table."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import trio
import trio_websocket

HELLO: Mapping[str, Any] = {
    "type": "hello-ok",
    "protocol": 3,
    "server": {"version": "9.9.9", "connId": "c1"},
    "features": {"methods": ["health", "status", "chat.history"], "events": ["tick"]},
    "snapshot": {
        "uptimeMs": 61_000,
        "authMode": "token",
        "stateDir": "/state",
        "configPath": "/state/openclaw.json",
    },
}


class Refusal(Exception):
    """What a table entry raises to answer with an error."""

    def __init__(self, **error: Any) -> None:
        super().__init__(error)
        self.error = error


@attrs.define
class FakeGateway:
    """Set it up, then `with gateway.listening(...)`; `calls` tells afterwards what was asked."""

    answers: dict[str, Callable[[Any], Any]] = attrs.Factory(dict)
    token: str | None = None
    """What a client over TCP must send; over the local socket nothing is asked."""

    closes_at: str | None = None
    """A method at which it restarts."""

    calls: list[tuple[str, Any]] = attrs.Factory(list)
    connects: list[dict[str, Any]] = attrs.Factory(list)
    port: int = 0

    @contextlib.contextmanager
    def listening(self, *, socket: Path | None = None, tcp: bool = False) -> Iterator["FakeGateway"]:
        ready = threading.Event()
        stop: list[Callable[[], object]] = []

        async def serve() -> None:
            listeners: list[trio.SocketListener] = []
            if socket is not None:
                socket.parent.mkdir(parents=True, exist_ok=True)
                unix = trio.socket.socket(trio.socket.AF_UNIX)
                await unix.bind(str(socket))
                unix.listen()
                listeners.append(trio.SocketListener(unix))
            if tcp:
                listeners += await trio.open_tcp_listeners(0, host="127.0.0.1")
                self.port = listeners[-1].socket.getsockname()[1]
            over_tcp = listeners[-1] if tcp else None
            async with trio.open_nursery() as nursery:
                token = trio.lowlevel.current_trio_token()
                stop.append(lambda: token.run_sync_soon(nursery.cancel_scope.cancel))
                for listener in listeners:
                    handler = self._serve_tcp if listener is over_tcp else self._serve_local
                    nursery.start_soon(trio.serve_listeners, handler, [listener])
                ready.set()

        thread = threading.Thread(target=trio.run, args=(serve,))
        thread.start()
        try:
            assert ready.wait(10)
            yield self
        finally:
            stop[0]()
            thread.join()

    async def _serve_tcp(self, stream: trio.SocketStream) -> None:
        await self._serve(stream, needs=self.token)

    async def _serve_local(self, stream: trio.SocketStream) -> None:
        await self._serve(stream, needs=None)

    async def _serve(self, stream: trio.SocketStream, *, needs: str | None) -> None:
        with contextlib.suppress(BaseExceptionGroup):
            async with trio.open_nursery() as nursery:
                request = await trio_websocket.wrap_server_stream(nursery, stream)
                socket = await request.accept()
                with contextlib.suppress(trio_websocket.ConnectionClosed):
                    await self._speak(socket, needs)
                nursery.cancel_scope.cancel()

    async def _speak(self, socket: trio_websocket.WebSocketConnection, needs: str | None) -> None:
        challenge = {"nonce": "n", "ts": 1}
        await socket.send_message(
            json.dumps({"type": "event", "event": "connect.challenge", "payload": challenge})
        )
        connect = json.loads(await socket.get_message())
        self.connects.append(connect["params"])
        if needs is not None and connect["params"].get("auth", {}).get("token") != needs:
            error = {
                "code": "INVALID_REQUEST",
                "message": "unauthorized: gateway token mismatch",
                "details": {"code": "AUTH_TOKEN_MISMATCH"},
            }
            await _respond(socket, connect["id"], ok=False, error=error)
            await socket.aclose(1008, "unauthorized")
            return
        await _respond(socket, connect["id"], ok=True, payload=HELLO)
        while True:
            request = json.loads(await socket.get_message())
            self.calls.append((request["method"], request.get("params")))
            if request["method"] == self.closes_at:
                await socket.aclose(1012, "service restart")
                return
            # An event in between, as a live gateway has them.
            await socket.send_message(json.dumps({"type": "event", "event": "tick", "payload": {"ts": 1}}))
            try:
                payload = self.answers[request["method"]](request.get("params"))
            except KeyError:
                error = {"code": "INVALID_REQUEST", "message": f"unknown method: {request['method']}"}
                await _respond(socket, request["id"], ok=False, error=error)
            except Refusal as refusal:
                await _respond(socket, request["id"], ok=False, error=refusal.error)
            else:
                await _respond(socket, request["id"], ok=True, payload=payload)


async def _respond(socket: trio_websocket.WebSocketConnection, request_id: str, **rest: Any) -> None:
    await socket.send_message(json.dumps({"type": "res", "id": request_id, **rest}))
