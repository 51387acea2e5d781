"""The answer that is held back: when it comes, and what may happen meanwhile."""

import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock
from trio_websocket import WebSocketConnection

from openclawd.auth.admission import Admission
from openclawd.auth.credentials import SharedAuth
from openclawd.auth.limiter import Limiter
from openclawd.auth.policy import Policy
from openclawd.auth.sources import source_of
from openclawd.auth.tries import Kind, LimitRules
from openclawd.config.secret import Secret
from openclawd.gateway.connection import Desk
from tests.auth.memory_store import MemoryStore
from tests.gateway.test_connection import LOCAL, NOW_MS, TOKEN, Visit, close_of, desk
from tests.support.device import Device
from tests.support.memory_socket import memory_socket
from tests.support.wire_client import connect_params

PASSWORD = "hunter2"
POLICY = Policy(SharedAuth("password", password=Secret(PASSWORD)))
OTHER = Policy(SharedAuth("password", password=Secret("another")))


async def slowed_desk(tries: int, store: MemoryStore | None = None) -> Desk:
    """A gateway with a password, of which this machine's programs have guessed some already."""
    limiter = Limiter(LimitRules(), secret_key=b"k")
    source = source_of(LOCAL, POLICY.locate(LOCAL))
    for number in range(tries):
        limiter.charge(source, Kind.PASSWORD, f"guess {number}", PASSWORD, NOW_MS)
    at = await desk(store or MemoryStore())
    return attrs.evolve(at, admission=Admission(POLICY, at.devices, limiter))


def request(password: str, nonce: str, device: Device | None = None, version: int = 3) -> str:
    params = connect_params(nonce, token=None)
    params |= {"auth": {"password": password}, "minProtocol": version, "maxProtocol": version}
    if device is not None:
        params["device"] = device.sign(
            nonce=nonce,
            client=params["client"],
            role="operator",
            scopes=params["scopes"],
            token="",
            signed_at_ms=NOW_MS,
        )
    return json.dumps({"type": "req", "id": "1", "method": "connect", "params": params})


@asynccontextmanager
async def asking(at: Desk, password: str, **params: Any) -> AsyncGenerator[WebSocketConnection, None]:
    """A client that has sent its `connect`."""
    async with memory_socket(Visit(at).serve) as socket:
        challenge = json.loads(await socket.get_message())
        await socket.send_message(request(password, challenge["payload"]["nonce"], **params))
        yield socket


async def answer(socket: WebSocketConnection) -> tuple[dict[str, Any], float]:
    """The answer and the seconds until it came."""
    started = trio.current_time()
    frame = dict(json.loads(await socket.get_message()))
    return frame, trio.current_time() - started


@pytest.mark.parametrize(("password", "ok"), [(PASSWORD, True), ("wrong", False)])
async def test_right_and_wrong_are_answered_after_the_same_while(
    autojump_clock: MockClock, password: str, ok: bool
) -> None:
    async with asking(await slowed_desk(6), password) as socket:
        frame, waited = await answer(socket)
    assert frame["ok"] is ok
    assert waited == pytest.approx(5.0)


async def test_what_can_not_be_guessed_is_answered_at_once(autojump_clock: MockClock) -> None:
    at = await slowed_desk(6)
    at.admission.change(Policy(SharedAuth("token", token=Secret(TOKEN))))
    started = trio.current_time()
    async with memory_socket(Visit(at).serve) as socket:
        frame = await Visit(at).connect(socket, Device())
    assert frame["ok"]
    assert trio.current_time() - started == pytest.approx(0)


async def test_the_wait_is_no_part_of_the_handshakes_deadline(autojump_clock: MockClock) -> None:
    async with memory_socket(Visit(await slowed_desk(6)).serve) as socket:
        challenge = json.loads(await socket.get_message())
        await trio.sleep(9.5)
        await socket.send_message(request(PASSWORD, challenge["payload"]["nonce"]))
        frame, waited = await answer(socket)
    assert frame["ok"]
    assert waited == pytest.approx(5.0)


@pytest.mark.parametrize(("password", "words"), [(PASSWORD, "left before hello-ok"), ("wrong", "refused")])
async def test_who_leaves_meanwhile_is_let_go_and_his_try_is_told(
    autojump_clock: MockClock, password: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "openclawd.admission")
    at = await slowed_desk(6)
    async with asking(at, password) as socket:
        await trio.sleep(1)
        await socket.aclose()
        await trio.sleep(0.5)
        (line,) = caplog.records
    assert line.message == words
    assert line.__dict__["fields"].items() >= {"source": "127.0.0.1", "delayMs": 5000}.items()
    assert len(at.clients) == 0


@pytest.mark.parametrize(("version", "code"), [(3, 1008), (4, 4001)])
@pytest.mark.parametrize("password", [PASSWORD, "wrong"])
async def test_nobody_is_answered_by_settings_that_have_changed_meanwhile(
    autojump_clock: MockClock, password: str, version: int, code: int
) -> None:
    at = await slowed_desk(6)
    async with asking(at, password, version=version) as socket:
        await trio.sleep(1)
        at.admission.change(OTHER)
        frame, _ = await answer(socket)
        assert frame["error"] == {
            "code": "UNAVAILABLE",
            "message": "gateway auth changed",
            "retryable": True,
            "retryAfterMs": 0,
        }
        assert await close_of(socket) == (code, "gateway auth changed")
    assert len(at.clients) == 0


async def test_nor_by_settings_that_change_while_his_device_is_written(autojump_clock: MockClock) -> None:
    class Slow(MemoryStore):
        async def put_device(self, device_id: str, document: dict[str, object]) -> None:
            await trio.sleep(1)
            await super().put_device(device_id, document)

    at = await slowed_desk(0, Slow())
    async with asking(at, PASSWORD, device=Device()) as socket:
        await trio.sleep(0.5)
        at.admission.change(OTHER)
        frame, _ = await answer(socket)
        assert frame["error"]["message"] == "gateway auth changed"
    assert len(at.clients) == 0


async def test_what_a_client_sends_before_its_answer_is_not_lost(autojump_clock: MockClock) -> None:
    at = await slowed_desk(6)
    async with asking(at, PASSWORD) as socket:
        await socket.send_message(json.dumps({"type": "req", "id": "2", "method": "nothing"}))
        hello, _ = await answer(socket)
        assert (hello["id"], hello["ok"]) == ("1", True)
        while (frame := json.loads(await socket.get_message())).get("id") != "2":
            pass
    assert frame["error"]["message"] == "unknown method: nothing"


async def test_who_sends_too_much_meanwhile_is_told_so_at_once(autojump_clock: MockClock) -> None:
    async with asking(await slowed_desk(6), "wrong") as socket:
        started = trio.current_time()
        await socket.send_message("x" * 70_000)
        assert (await close_of(socket))[0] == 1009
        assert trio.current_time() - started == pytest.approx(0)
