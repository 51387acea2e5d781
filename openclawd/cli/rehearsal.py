"""A new version rehearses before anything is changed: for some seconds it does for clients of both
generations what they need a gateway for.

A trial finds out whether it does well in its place; but where nobody writes a message meanwhile, nobody would
notice that none is answered. What `gateway check` says is its own word. This here is seen from outside.
"""

import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

import attrs
import orjson

from openclawd.cli.device_key import DeviceKey
from openclawd.cli.failure import Failure, reason_of
from openclawd.cli.probes import dial, page, readyz
from openclawd.cli.rehearsal_model import WORDS
from openclawd.cli.rehearsal_stage import Stage, stage
from openclawd.cli.rpc import Rpc, converse
from openclawd.cli.target import Endpoint, local_socket
from openclawd.config.secret import Secret
from openclawd.daemon.link import LOOPBACK
from openclawd.protocol.versions import V3, V4
from openclawd.update.staged import CannotUpdate, Staged

T = TypeVar("T")

# As long as a trial gives it, and as long as a stop may take (TimeoutStopSec= of the unit).
_START_S: Final = 15.0
_STOP_S: Final = 15.0
_ANSWER_MS: Final = 10_000
_LOOK_EVERY_S: Final = 0.05
_SESSION: Final = "main"
_ENDS: Final = ("final", "error", "aborted")


class _Flop(Exception):
    """What goes wrong, in words."""


def rehearse(staged: Staged, owner: tuple[int, int] | None) -> None:
    """Raises CannotUpdate where it does not do what a gateway does. `owner` (uid, gid) is whose process it is
    to be, where that is somebody else.
    """
    try:
        with stage(staged.folder / "openclawd", owner) as begun:
            _Play(begun).perform()
    except _Flop as flop:
        raise CannotUpdate(
            f"{staged.version} is not well, as its rehearsal shows: {flop}",
            "The gateway that runs is as it was: openclawd gateway status",
        ) from flop
    except OSError as error:
        folder = tempfile.gettempdir()
        raise CannotUpdate(
            f"{staged.version} cannot rehearse: {error.filename or folder}: {reason_of(error)}",
            f"df -h {folder}",
        ) from error


@attrs.frozen(eq=False, repr=False)
class _Play:
    """Its acts; each raises _Flop."""

    _stage: Stage

    def perform(self) -> None:
        began_ms = self._until_it_serves(0)
        self._is_ready_with_its_page()
        self._refuses_strangers()
        device = DeviceKey()
        tokens = {generation: self._chats(generation, device) for generation in (V3, V4)}
        self._over_socket(_ask_to_restart)
        self._until_it_serves(began_ms)
        for generation, token in tokens.items():
            self._remembers(generation, device, token)
        self._ends()

    def _until_it_serves(self, before_ms: int) -> int:
        """When the life began that it has; it is another one than `before_ms`."""
        until_s, said = time.monotonic() + _START_S, "it does not listen"
        while time.monotonic() < until_s:
            try:
                began_ms = self._over_socket(_ready_since_ms)
                if began_ms not in (None, before_ms):
                    return began_ms
                said = "it is not ready" if began_ms is None else "it is what it was"
            except _Flop as flop:
                said = str(flop)
            self._lives()
            time.sleep(_LOOK_EVERY_S)
        raise _Flop(f"it does not {'re' if before_ms else ''}start within {_START_S:.0f} s: {said}")

    def _is_ready_with_its_page(self) -> None:
        for host in (LOOPBACK, "[::1]") if _has_v6() else (LOOPBACK,):
            there = partial(dial, host.strip("[]"), self._stage.port, tls=False)
            where = f"{host}:{self._stage.port}"
            for wrong in (readyz(where, there), page(where, there, "/")):
                if wrong is not None:
                    raise _Flop(wrong)

    def _refuses_strangers(self) -> None:
        try:
            converse([self._endpoint(V3, token=Secret("a guess"))], _greet, timeout_ms=_ANSWER_MS)
        except Failure as failure:
            if (failure.code or "").startswith("AUTH_"):
                return
            raise _Flop(f"a client with a wrong token is told: {failure.message}") from failure
        raise _Flop("a client with a wrong token is let in")

    def _chats(self, generation: int, device: DeviceKey) -> Secret:
        """The token that the device is given."""
        run = f"rehearsal-{generation}-{secrets.token_hex(4)}"
        message = {"sessionKey": _SESSION, "message": _question(generation), "idempotencyKey": run}

        async def chat(rpc: Rpc) -> str:
            await rpc.ask("chat.send", message)
            while (told := await rpc.hear("chat", runId=run)).get("state") not in _ENDS:
                pass
            if told["state"] != "final" or "".join(WORDS) not in _text(told):
                raise Failure(f"a message is answered with: {told.get('errorMessage') or told['state']}")
            return str(rpc.hello["auth"]["deviceToken"])

        endpoint = self._endpoint(generation, token=self._stage.token, device=device)
        return Secret(self._converse(endpoint, chat, f"a client of v{generation}"))

    def _remembers(self, generation: int, device: DeviceKey, token: Secret) -> None:
        async def look(rpc: Rpc) -> None:
            said = orjson.dumps(await rpc.ask("chat.history", {"sessionKey": _SESSION})).decode()
            if not all(each in said for each in ("".join(WORDS), _question(V3), _question(V4))):
                raise Failure("what was said before a restart is gone")

        endpoint = self._endpoint(generation, device=device, device_token=token)
        self._converse(endpoint, look, f"a paired device of v{generation}, after a restart")

    def _ends(self) -> None:
        self._lives()
        self._stage.process.terminate()
        try:
            code = self._stage.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            raise _Flop(f"it does not end within {_STOP_S:.0f} s when it is told to (SIGTERM)") from None
        if code != 0:
            raise _Flop(f"it ends badly when it is told to (SIGTERM): {self._stage.ending()}")

    def _lives(self) -> None:
        if (ending := self._stage.ending()) is not None:
            raise _Flop(f"it ended by itself: {ending}")

    # --- asking

    def _endpoint(self, generation: int, **who: Any) -> Endpoint:
        where = f"{LOOPBACK}:{self._stage.port}"
        absent = f"nobody listens at {where}"
        return Endpoint(name=where, absent=absent, port=self._stage.port, protocol=generation, **who)

    def _over_socket(self, conversation: Callable[[Rpc], Awaitable[T]]) -> T:
        for found in local_socket(self._stage.paths):
            return self._converse(attrs.evolve(found, name="its local socket"), conversation, "its owner")
        raise _Flop("it does not listen")

    def _converse(self, where: Endpoint, conversation: Callable[[Rpc], Awaitable[T]], who: str) -> T:
        try:
            return converse([where], conversation, timeout_ms=_ANSWER_MS)
        except Failure as failure:
            raise _Flop(f"{who} is told: {failure.message.rstrip('.')}") from failure
        except Exception as error:  # whatever a version that is not well answers
            self._lives()
            raise _Flop(f"what {who} is told makes no sense: {type(error).__name__}: {error}") from error


def _has_v6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def _question(generation: int) -> str:
    return f"Are you there, v{generation}?"


async def _greet(rpc: Rpc) -> Mapping[str, Any]:
    return rpc.hello


async def _ready_since_ms(rpc: Rpc) -> int | None:
    found = (await rpc.ask("status"))["openclawd"]
    return int(found["startedAtMs"]) if found["lifecycle"] == "ready" else None


async def _ask_to_restart(rpc: Rpc) -> None:
    await rpc.ask("gateway.restart.request", {"reason": "rehearsal", "skipDeferral": True})


def _text(event: Mapping[str, Any]) -> str:
    content = (event.get("message") or {}).get("content", ())
    return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
