"""A short life that touches everything a gateway keeps, the death in it, and what must be true afterwards."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import trio
from trio_websocket import ConnectionClosed, HandshakeError

from tests.process.chats import TERMINAL, send, settled_history, text_of
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess
from tests.support.history import GIVEN_UP, History, line_of
from tests.support.wire_client import Refused, WireClient, wire_client

MINED: Final = (sys.executable, "-m", "tests.support.mined")
ORIGINS: Final = ["https://changed.example"]
_SESSIONS: Final = ("one", "two")
_MESSAGES: Final = ("hello", "a while SLOW=4", "and then SLOW=9")
_DATABASE: Final = "openclawd.sqlite3"
_DEATH_PATIENCE_S: Final = 30.0
_BETWEEN_MESSAGES_S: Final = 0.3
_BETWEEN_LONG_ONES_S: Final = 0.8
# To read what was written before the death.
_LAST_FRAMES_S: Final = 0.3
# How a connection to a process that dies ends, at whatever moment.
LOST: Final = (
    ConnectionClosed,
    HandshakeError,
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)


def expected(text: str) -> str:
    """What the fake provider answers."""
    _, slow, words = text.partition("SLOW=")
    if slow:
        return "".join(f"word{number} " for number in range(1, int(words) + 1))
    return f"You said: {text}"


@attrs.define(eq=False)
class Life:
    """What the clients of one gateway know, over all its processes."""

    gateway: GatewayProcess
    device: Device = attrs.field(factory=Device)
    history: History = attrs.field(factory=lambda: History(expected))
    device_token: str | None = None
    config_changed: bool = False
    """Whether the change was acknowledged."""

    async def live(self, *, restart: bool = False) -> None:
        """Pair, guess wrong, chat, change the configuration (and restart), as far as the gateway lives."""
        with trio.move_on_after(_DEATH_PATIENCE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until_dead, nursery.cancel_scope)
                try:
                    async with wire_client(self.gateway.port) as client:
                        await self._use(client, restart=restart)
                except* LOST:
                    pass
                nursery.cancel_scope.cancel()

    async def die(self) -> None:
        """Wait for the death of the process, which must be the mine's."""
        process = self.gateway.process
        assert process is not None
        await _death(process)
        assert process.poll() is not None, "this point was never reached"
        assert process.returncode == -signal.SIGKILL, self.gateway.output
        self.gateway.process = None
        self.history.deaths += 1

    async def check(self) -> None:
        """With the gateway started again: nothing acknowledged is lost, everything can be sent again."""
        state = self.gateway.state
        assert database_faults(state) == []
        config = json.loads((state / "openclaw.json").read_text())
        if self.config_changed:
            assert config["gateway"]["controlUi"]["allowedOrigins"] == ORIGINS
        self.gateway.program = type(self.gateway).program
        self.gateway.start()
        async with wire_client(self.gateway.port) as client:
            if self.device_token is not None:
                await client.connect(auth={"deviceToken": self.device_token}, device=self.device)
            else:
                await client.connect(token=TOKEN, device=self.device)
            for run_id, (session, text) in self.history.asked.items():
                try:
                    await send(client, run_id, text, session)
                except Refused as refused:
                    if GIVEN_UP not in refused.error["message"]:
                        raise
                self.history.acknowledged(run_id)
            for session in _SESSIONS:
                lines = await settled_history(client, session)
                self.history.kept(session, map(line_of, lines))
            self._hear("after", client)
        assert self.history.faults() == []
        if any(state.rglob("*.tmp")):
            # The next one who writes there clears away what the death left.
            self.gateway.command("config", "set", "logging.level", "info")
            assert list(state.rglob("*.tmp")) == []

    async def _until_dead(self, scope: trio.CancelScope) -> None:
        """A client may wait for ever for the answer to a handshake that was cut off."""
        if self.gateway.process is not None:
            await _death(self.gateway.process)
        await trio.sleep(_LAST_FRAMES_S)
        scope.cancel()

    async def _use(self, client: WireClient, *, restart: bool) -> None:
        port = self.gateway.port
        try:
            hello = await client.connect(token=TOKEN, device=self.device)
            self.device_token = hello["auth"]["deviceToken"]
            async with wire_client(port) as guesser:
                await guesser.refusal(token=TOKEN[::-1], device=Device())
            for text in _MESSAGES:
                await self._say(client, text)
            await self._change_config(client)
            if restart:
                assert self.gateway.process is not None
                self.gateway.process.send_signal(signal.SIGUSR1)
            # Calls are not the same in every life: where the mine has not been met, it is further on. A
            # restart comes when the next image has been checked; then something is to be under way.
            while True:
                await trio.sleep(_BETWEEN_LONG_ONES_S if restart else _BETWEEN_MESSAGES_S)
                await self._say(client, "more SLOW=6" if restart else "more")
        finally:
            self._hear("before", client)

    async def _say(self, client: WireClient, text: str) -> None:
        for session in _SESSIONS:
            number = len(self.history.asked) + 1
            run_id, message = f"run-{number}", f"{number} {text}"
            self.history.asks(run_id, session, message)
            await send(client, run_id, message, session)
            self.history.acknowledged(run_id)

    async def _change_config(self, client: WireClient) -> None:
        shown = await client.call("config.get")
        config = shown["parsed"] | {}
        config["gateway"] = config.get("gateway", {}) | {"controlUi": {"allowedOrigins": ORIGINS}}
        await client.call("config.set", {"raw": json.dumps(config), "baseHash": shown["hash"]})
        self.config_changed = True

    def _hear(self, witness: str, client: WireClient) -> None:
        for frame in client.seen:
            payload: Mapping[str, Any] = frame.get("payload") or {}
            if frame.get("event") == "chat" and payload["state"] in TERMINAL:
                text = text_of(payload["message"]) if payload["state"] == "final" else ""
                self.history.ended(witness, payload["runId"], payload["state"], text)
        client.seen.clear()


async def _death(process: subprocess.Popen[bytes]) -> None:
    """Wait for it, for a while."""
    with suppress(subprocess.TimeoutExpired):
        await trio.to_thread.run_sync(partial(process.wait, _DEATH_PATIENCE_S), abandon_on_cancel=True)


def database_faults(state: Path) -> list[str]:
    """What `PRAGMA integrity_check` says of what lies there now; on a copy, as looking at it changes it."""
    with tempfile.TemporaryDirectory() as folder:
        # Not its index, as after a power cut.
        for suffix in ("", "-wal", "-journal"):
            if (path := state / "openclawd" / f"{_DATABASE}{suffix}").exists():
                shutil.copy(path, folder)
        with closing(sqlite3.connect(Path(folder) / _DATABASE)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    return [line for line in found if line != "ok"]
