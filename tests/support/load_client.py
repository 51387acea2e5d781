"""A client under load: it comes back at once, resumes, and forgets nothing it asked."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import orjson
import trio

from tests.support.device import Device
from tests.support.ledger import Epochs, Ledger
from tests.support.load_socket import LoadSocket, SocketClosed
from tests.support.wire_client import ALL_SCOPES, connect_params

TERMINAL: Final = frozenset({"final", "error", "aborted"})
_BACKEND: Final = {"id": "gateway-client", "version": "1.0.0", "platform": "linux", "mode": "backend"}
_APP: Final = {"id": "openclaw-macos", "version": "1.0.0", "platform": "macos", "mode": "ui"}
# Between two tries at a gateway that refuses to listen.
_REFUSED_PAUSE_S: Final = 0.01


class Refused(Exception):
    """The gateway said no to a request: its error."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(f"{error.get('code')}: {error.get('message')}")
        self.error = dict(error)


@attrs.define
class Tally:
    """What happened to a client's connections."""

    hellos: int = 0
    refused_connects: int = 0
    failed_logins: list[str] = attrs.Factory(list)
    unrecovered: int = 0
    """Reconnects that were told to reload."""

    cut_handshakes: Counter[str] = attrs.Factory(Counter)
    """Connections that ended before their hello-ok, by how."""

    closes: Counter[str] = attrs.Factory(Counter)
    """Admitted connections that ended, by how."""

    gaps_s: list[float] = attrs.Factory(list)
    """From the last byte of one connection to the hello-ok of the next."""


@attrs.define(eq=False)
class _Asked:
    answered: trio.Event = attrs.Factory(trio.Event)
    answer: dict[str, Any] | None = None


class LoadClient:
    """One client: `device` makes it sign; it speaks wire generation 3 or 4."""

    def __init__(
        self, name: str, port: int, token: str, wire: int, epochs: Epochs, device: Device | None = None
    ) -> None:
        self.name = name
        self.tally = Tally()
        self.ledger = Ledger(name, wire, epochs)
        self.terminals: dict[str, list[dict[str, Any]]] = {}
        """The last words of each run, as they came."""

        self._port = port
        self._token = token
        self._device_token: str | None = None
        self._device = device
        self._wire = wire
        self._socket: LoadSocket | None = None
        self._online = trio.Event()
        self._told = trio.Event()
        self._asked: dict[str, _Asked] = {}
        self._ids = 0
        self._last_byte_s = 0.0

    # --- what a test does with it

    async def run(self) -> None:
        """Be a client until cancelled."""
        while True:
            try:
                socket = await LoadSocket.open(self._port)
            except (ConnectionRefusedError, ConnectionResetError):  # the latter while it waits to be accepted
                self.tally.refused_connects += 1
                await trio.sleep(_REFUSED_PAUSE_S)
                continue
            except SocketClosed as closed:
                self.tally.cut_handshakes[str(closed)] += 1
                continue
            try:
                await self._live(socket)
            finally:
                self._lose()
                socket.abort()

    async def insist(self, method: str, params: object) -> Any:
        """Ask until there is an answer, over as many connections as it takes. Raises Refused."""
        while True:
            await self._online.wait()
            answer = await self._ask(method, params)
            if answer is None:
                continue
            if not answer["ok"]:
                raise Refused(answer["error"])
            return answer.get("payload")

    async def online(self) -> None:
        """Wait for a hello-ok."""
        await self._online.wait()

    async def outcome(self, run_id: str) -> dict[str, Any]:
        """Wait for the first terminal chat event of a run; its payload."""
        while run_id not in self.terminals:
            await self._told.wait()
        return self.terminals[run_id][0]

    # --- the wire

    async def _live(self, socket: LoadSocket) -> None:
        admitted = False
        try:
            while True:
                for message in await socket.receive():
                    frame = orjson.loads(message)
                    if frame["type"] == "event" and frame["event"] != "connect.challenge":
                        self._hear(frame)
                    elif frame["type"] == "event":
                        params = self._connect(frame["payload"])
                        await socket.send(_request("connect", "connect", params))
                    elif frame["id"] == "connect":
                        admitted = self._welcome(frame, socket)
                    elif (asked := self._asked.pop(frame["id"], None)) is not None:
                        asked.answer = frame
                        asked.answered.set()
                if admitted:
                    self._last_byte_s = time.monotonic()
        except SocketClosed as closed:
            (self.tally.closes if admitted else self.tally.cut_handshakes)[str(closed)] += 1

    def _connect(self, challenge: Mapping[str, Any]) -> dict[str, Any]:
        params = connect_params(
            challenge["nonce"],
            token=None if self._device_token else self._token,
            auth={"deviceToken": self._device_token} if self._device_token else None,
            device=self._device,
            scopes=ALL_SCOPES,
            client=_BACKEND if self._device is None else _APP,
            protocol=(self._wire, self._wire),
        )
        if "resume" not in challenge.get("capabilities", ()):
            raise AssertionError(f"{self.name} was not offered to resume: {challenge}")
        return params | {"resume": self.ledger.position}

    def _welcome(self, frame: Mapping[str, Any], socket: LoadSocket) -> bool:
        if not frame["ok"]:
            self.tally.failed_logins.append(f"{frame['error'].get('code')}: {frame['error'].get('message')}")
            return False
        hello = frame["payload"]
        if self._last_byte_s:
            self.tally.gaps_s.append(time.monotonic() - self._last_byte_s)
        self._device_token = hello.get("auth", {}).get("deviceToken") or self._device_token
        resume = hello["resume"]
        if self.tally.hellos and not resume["recovered"]:
            self.tally.unrecovered += 1
        self.tally.hellos += 1
        self.ledger.welcome(resume)
        self._socket = socket
        self._online.set()
        return True

    def _hear(self, frame: Mapping[str, Any]) -> None:
        self.ledger.hear(frame)
        payload = frame.get("payload") or {}
        if frame["event"] == "chat" and payload["state"] in TERMINAL:
            self.terminals.setdefault(payload["runId"], []).append(payload)
            self._told.set()
            self._told = trio.Event()

    async def _ask(self, method: str, params: object) -> dict[str, Any] | None:
        """The answer; None when the connection was lost before."""
        socket = self._socket
        if socket is None:
            return None
        self._ids += 1
        request_id = f"r{self._ids}"
        self._asked[request_id] = asked = _Asked()
        try:
            await socket.send(_request(request_id, method, params))
        except SocketClosed:
            return None
        await asked.answered.wait()
        return asked.answer

    def _lose(self) -> None:
        self._socket = None
        if self._online.is_set():
            # Somebody may wait for the one that is not.
            self._online = trio.Event()
        for asked in self._asked.values():
            asked.answered.set()
        self._asked.clear()


def _request(request_id: str, method: str, params: object) -> bytes:
    return orjson.dumps({"type": "req", "id": request_id, "method": method, "params": params})


def together(tallies: Sequence[Tally]) -> Tally:
    """All of them as one."""
    whole = Tally()
    for each in tallies:
        whole.hellos += each.hellos
        whole.refused_connects += each.refused_connects
        whole.failed_logins += each.failed_logins
        whole.unrecovered += each.unrecovered
        whole.cut_handshakes += each.cut_handshakes
        whole.closes += each.closes
        whole.gaps_s += each.gaps_s
    return whole
