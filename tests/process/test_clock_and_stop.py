"""Time that does not pass as it should: the process stands still (SIGSTOP, a suspended laptop), or the wall
clock jumps. Nothing is lost, nobody is thrown out, and whoever has the right secret gets in.
"""

import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import Any, Final

import attrs
import pytest
import trio

from tests.process.chats import said, send, settled_history, until
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.moved_clock import CLOCK, Clock
from tests.support.provider_process import ProviderProcess, provider_process
from tests.support.wire_client import WireClient, wire_client

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]

FULL: Final = bool(os.environ.get("OPENCLAWD_TEST_FULL"))
# A minute is longer than any deadline of the gateway.
STANDSTILL_S: Final = 60.0 if FULL else 3.0
YEAR_S: Final = 365 * 86_400.0
JUMPS: Final = pytest.mark.parametrize("jump_s", [YEAR_S, -3600.0, *([-YEAR_S, 3600.0] if FULL else [])])
# What a password may take at most, three times.
PASSWORD_S: Final = 3 * 6.0
PASSWORD: Final = "correct horse"


@pytest.fixture(scope="module")
def provider() -> Generator[ProviderProcess, None, None]:
    with provider_process() as running:
        yield running


@attrs.frozen
class Timed:
    """A gateway, and its clock."""

    gateway: GatewayProcess
    clock: Clock


@contextmanager
def timed_gateway(config: dict[str, Any]) -> Generator[Timed, None, None]:
    environment = {CLOCK: ""}
    with gateway_process(config, environment=environment, start=False) as gateway:
        file = gateway.state.parent / "clock"
        environment[CLOCK] = str(file)
        clock = Clock(file)
        gateway.program = (sys.executable, "-m", "tests.support.moved_clock")
        gateway.start()
        yield Timed(gateway, clock)


async def stand_still(gateway: GatewayProcess) -> None:
    process = gateway.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    await trio.sleep(STANDSTILL_S)
    process.send_signal(signal.SIGCONT)


async def test_a_process_that_stood_still_goes_on_with_everything(provider: ProviderProcess) -> None:
    with gateway_process(provider.config()) as gateway:
        async with wire_client(gateway.port) as client, wire_client(gateway.port) as idle:
            await client.connect(token=TOKEN)
            await idle.connect(token=TOKEN, device=Device())
            await send(client, "still", "tell me SLOW=8")
            await client.event("chat", runId="still", state="delta")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stand_still, gateway)
                # Said to a gateway that does not listen.
                request = await idle.request(
                    "chat.send", {"sessionKey": "main", "message": "and me", "idempotencyKey": "meanwhile"}
                )
            assert (await idle.response(request))["runId"] == "meanwhile"
            for run_id in ("still", "meanwhile"):
                await client.event("chat", runId=run_id, state="final")
            messages = said(await settled_history(client))
        log = gateway.log_lines
        assert gateway.stop() == 0
    answer = "".join(f"word{number} " for number in range(1, 9))
    assert messages == [
        ("user", "tell me SLOW=8"),
        ("assistant", answer),
        ("user", "and me"),
        ("assistant", "You said: and me"),
    ]
    assert provider.questions["tell me SLOW=8"] == 1
    assert [line for line in log if line["level"] == "error"] == []


async def test_a_newcomer_who_connects_to_a_process_that_stands_still_is_let_in_afterwards() -> None:
    with gateway_process() as gateway:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stand_still, gateway)
            await trio.sleep(STANDSTILL_S / 10)
            patience_s = STANDSTILL_S + PASSWORD_S
            with trio.fail_after(patience_s):
                async with wire_client(gateway.port, patience_s=patience_s) as client:
                    assert (await client.connect(token=TOKEN))["type"] == "hello-ok"


@JUMPS
async def test_a_clock_that_jumps_ends_no_run_and_no_connection(
    provider: ProviderProcess, jump_s: float
) -> None:
    with timed_gateway(provider.config()) as timed:
        async with wire_client(timed.gateway.port) as client:
            await client.connect(token=TOKEN)
            await send(client, "before", "first SLOW=6")
            await client.event("chat", runId="before", state="delta")
            timed.clock.move(jump_s)
            await send(client, "behind", "second")
            for run_id in ("before", "behind"):
                await client.event("chat", runId=run_id, state="final")
            timed.clock.move(0.0)
            await send(client, "again", "third")
            await client.event("chat", runId="again", state="final")
            rows = await settled_history(client)
            messages = said(rows)
            listed = (await client.call("sessions.list"))["sessions"]
        assert timed.gateway.kill() != 0
        timed.gateway.start()
        async with wire_client(timed.gateway.port) as client:
            await client.connect(token=TOKEN)
            assert said(await settled_history(client)) == messages
    assert [text for role, text in messages if role == "user"] == ["first SLOW=6", "second", "third"]
    assert [role for role, _ in messages] == ["user", "assistant"] * 3
    assert len(listed) == 1
    between_s = (rows[2]["timestamp"] - rows[0]["timestamp"]) / 1000
    assert jump_s - PASSWORD_S < between_s < jump_s + PASSWORD_S, "the clock did jump"


@JUMPS
async def test_a_run_that_was_killed_goes_on_at_another_time(
    provider: ProviderProcess, jump_s: float
) -> None:
    with timed_gateway(provider.config()) as timed:
        async with wire_client(timed.gateway.port) as client:
            await client.connect(token=TOKEN)
            await send(client, "cut", "tell me SLOW=7")
            await send(client, "waits", "and this")
            await client.event("chat", runId="cut", state="delta")
            timed.gateway.kill()
        timed.clock.move(jump_s)
        timed.gateway.start()
        async with wire_client(timed.gateway.port) as client:
            await client.connect(token=TOKEN)
            messages = said(await settled_history(client))
    answer = "".join(f"word{number} " for number in range(1, 8))
    assert messages == [
        ("user", "tell me SLOW=7"),
        ("assistant", answer),
        ("user", "and this"),
        ("assistant", "You said: and this"),
    ]


@JUMPS
async def test_the_right_password_gets_in_whenever_the_clock_says_it_was_guessed(jump_s: float) -> None:
    config = {"gateway": {"auth": {"mode": "password", "password": PASSWORD}}}
    with timed_gateway(config) as timed:
        for number in range(4):
            async with wire_client(timed.gateway.port) as client:
                await client.refusal(auth={"password": f"guess {number}"})
        timed.clock.move(jump_s)
        await _let_in(timed.gateway.port)
        timed.gateway.kill()
        timed.gateway.start()
        timed.clock.move(0.0)
        await _let_in(timed.gateway.port)


async def _let_in(port: int) -> None:
    with trio.fail_after(PASSWORD_S):
        async with wire_client(port) as client:
            assert (await client.connect(auth={"password": PASSWORD}))["type"] == "hello-ok"


async def test_a_device_token_outlives_a_clock_that_went_ahead_and_came_back() -> None:
    device = Device()
    with timed_gateway({}) as timed:
        async with wire_client(timed.gateway.port) as client:
            token = (await client.connect(token=TOKEN, device=device))["auth"]["deviceToken"]
        timed.clock.move(YEAR_S)
        async with wire_client(timed.gateway.port) as client:
            await client.connect(token=TOKEN)
        timed.clock.move(0.0)
        async with wire_client(timed.gateway.port) as client:
            await _with_device_token(client, token, device)
        timed.gateway.kill()
        timed.gateway.start()
        async with wire_client(timed.gateway.port) as client:
            await _with_device_token(client, token, device)


async def _with_device_token(client: WireClient, token: str, device: Device) -> None:
    assert (await client.connect(auth={"deviceToken": token}, device=device))["type"] == "hello-ok"


async def test_when_a_device_was_last_here_is_on_disk_soon_and_no_restart_forgets_it() -> None:
    device, app = Device(), {"id": "openclaw-macos", "version": "1.0.0", "platform": "macos", "mode": "ui"}
    with timed_gateway({}) as timed:
        gateway = timed.gateway

        async def visit(ahead_s: float, **auth: str) -> str:
            timed.clock.move(ahead_s)
            async with wire_client(gateway.port) as client:
                hello = await client.connect(auth=auth, device=device, client=app)
                return str(hello["auth"]["deviceToken"])

        def stored_ahead_s() -> float:
            with closing(sqlite3.connect(gateway.state / "openclawd" / "openclawd.sqlite3")) as database:
                (document,) = database.execute("SELECT document FROM devices").fetchone()
            return float(json.loads(document)["tokens"]["operator"]["lastUsedAtMs"]) / 1000 - time.time()

        # Not further than the clocks of devices may be apart.
        token = await visit(-110.0, token=TOKEN)
        for _ in range(2):
            assert await visit(-110.0, deviceToken=token) == token
        assert await visit(-40.0, deviceToken=token) == token
        assert gateway.stop() == 0
        assert stored_ahead_s() == pytest.approx(-40.0, abs=PASSWORD_S)
        gateway.start()
        assert await visit(30.0, deviceToken=token) == token
        await until(lambda: stored_ahead_s() == pytest.approx(30.0, abs=PASSWORD_S))
