"""A run that a restart or a crash falls into, at any of its moments, goes on and ends once."""

from collections.abc import Generator
from functools import partial
from signal import SIGUSR1
from typing import Any, Final

import pytest

from tests.process.chats import history, said, send, until
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.provider_process import ProviderProcess, provider_process
from tests.support.wire_client import WireClient, wire_client

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]

WAYS = pytest.mark.parametrize("way", ["restart", "crash"])
# What the provider does with the first question: how far a run is when the process goes.
WAITS_FOR_HEAD: Final = "HANG_ONCE"
WAITS_FOR_FIRST_BYTE: Final = "HANG_HEAD_ONCE"
IN_THE_MIDDLE: Final = "HANG_MIDDLE_ONCE"
WAIT_MS: Final = 10_000


@pytest.fixture(scope="module")
def provider() -> Generator[ProviderProcess, None, None]:
    with provider_process() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(provider: ProviderProcess) -> Generator[GatewayProcess, None, None]:
    # A restart that waits for no run.
    config = provider.config() | {"openclawd": {"restart": {"drainMs": 0}}}
    with gateway_process(config) as running:
        yield running


async def admitted(client: WireClient) -> None:
    await client.connect(token=TOKEN, protocol=(4, 4))


async def interrupt(gateway: GatewayProcess, client: WireClient, way: str) -> None:
    """End this life of the process, and wait until the next one serves."""
    if way == "crash":
        gateway.kill()
        gateway.start()
        return
    assert gateway.process is not None
    gateway.process.send_signal(SIGUSR1)
    assert await client.closed() == (1012, "service restart")


def asked(provider: ProviderProcess, message: str, times: int) -> bool:
    return len(provider.asked(message)) == times


def answer_of(message: str) -> list[tuple[str, str]]:
    """A question and its answer, once."""
    return [("user", message), ("assistant", f"You said: {message}")]


@WAYS
@pytest.mark.parametrize("moment", [WAITS_FOR_HEAD, WAITS_FOR_FIRST_BYTE, IN_THE_MIDDLE])
async def test_a_run_under_way_goes_on_before_what_waits_behind_it_and_ends_once(
    provider: ProviderProcess, gateway: GatewayProcess, way: str, moment: str
) -> None:
    message, behind = f"{way} {moment}", f"behind {way} {moment}".lower()
    key, first, second = _names(f"{way}-{moment}")
    async with wire_client(gateway.port) as client:
        await admitted(client)
        await send(client, first, message, key)
        await send(client, second, behind, key)
        await until(partial(asked, provider, message, 1))
        if moment == IN_THE_MIDDLE:
            await client.event("chat", runId=first, state="delta")
        await interrupt(gateway, client, way)
    async with wire_client(gateway.port) as client:
        await admitted(client)
        # Somebody who heard no answer sends again, and waits for both in the wrong order.
        assert (await send(client, first, message, key))["status"] in {"in_flight", "ok"}
        for run_id in (second, first):
            ended = await client.call("agent.wait", {"runId": run_id, "timeoutMs": WAIT_MS})
            assert ended["status"] == "ok"
        assert said(await history(client, key)) == answer_of(message) + answer_of(behind)
        finals = [frame["payload"]["runId"] for frame in client.seen if _is_end(frame)]
        # Both may have ended before the client was back.
        assert finals == [first, second][2 - len(finals) :]
        assert await send(client, first, message, key) == {"runId": first, "status": "ok"}
    assert asked(provider, message, 2)
    assert asked(provider, behind, 1)


@WAYS
async def test_a_run_that_has_just_ended_is_not_done_again(
    provider: ProviderProcess, gateway: GatewayProcess, way: str
) -> None:
    message = f"over, then {way}"
    key, over, _ = _names(f"over-{way}")
    async with wire_client(gateway.port) as client:
        await admitted(client)
        await send(client, over, message, key)
        await client.event("chat", runId=over, state="final")
        await interrupt(gateway, client, way)
    async with wire_client(gateway.port) as client:
        await admitted(client)
        assert await send(client, over, message, key) == {"runId": over, "status": "ok"}
        ended = await client.call("agent.wait", {"runId": over, "timeoutMs": 0})
        assert ended["status"] == "ok"
        assert said(await history(client, key)) == answer_of(message)
    assert asked(provider, message, 1)


async def test_restarts_in_the_middle_of_a_run_do_not_count_as_crashes(
    provider: ProviderProcess, gateway: GatewayProcess
) -> None:
    message = "again and again HANG_MIDDLE"
    async with wire_client(gateway.port) as client:
        await admitted(client)
        await send(client, "patient", message)
    for life, way in enumerate(["restart", "crash", "restart"], start=1):
        await until(partial(asked, provider, message, life))
        async with wire_client(gateway.port) as client:
            await admitted(client)
            await interrupt(gateway, client, way)
    await until(partial(asked, provider, message, 4))
    async with wire_client(gateway.port) as client:
        await admitted(client)
        stopped = await client.call("chat.abort", {"sessionKey": "main", "runId": "patient"})
        assert stopped["runIds"] == ["patient"]


@WAYS
async def test_what_the_model_was_to_be_told_survives(
    provider: ProviderProcess, gateway: GatewayProcess, way: str
) -> None:
    message = f"what is new after a {way}"
    async with wire_client(gateway.port) as client:
        await admitted(client)
        await client.call("system-event", {"text": f"the door bell rang before the {way}"})
        await interrupt(gateway, client, way)
    async with wire_client(gateway.port) as client:
        await admitted(client)
        assert (await client.call("status"))["queuedSystemEvents"] == [f"the door bell rang before the {way}"]
        await send(client, f"told-{way}", message)
        await client.event("chat", runId=f"told-{way}", state="final")
        assert (await client.call("status"))["queuedSystemEvents"] == []
    (question,) = provider.asked(message)
    assert f"the door bell rang before the {way}" in question["body"]["messages"][-1]["content"]


async def test_the_session_that_asked_for_a_restart_is_told_that_it_is_done(
    provider: ProviderProcess, gateway: GatewayProcess
) -> None:
    key, note = "agent:main:garden", "Now look whether the lights are on."
    async with wire_client(gateway.port) as client:
        await admitted(client)
        asked_for = {"reason": "new lamp", "sessionKey": key, "note": note}
        assert (await client.call("gateway.restart.request", asked_for))["ok"] is True
        assert (await client.closed())[0] == 1012
    async with wire_client(gateway.port) as client:
        await admitted(client)
        await send(client, "first", "done?", key)
        await client.event("chat", runId="first", state="final")
        await send(client, "second", "sure?", key)
        await client.event("chat", runId="second", state="final")
    (first,), (second,) = provider.asked("done?"), provider.asked("sure?")
    assert "The gateway has restarted: new lamp" in first["body"]["messages"][-1]["content"]
    assert note in first["body"]["messages"][-1]["content"]
    assert note not in second["body"]["messages"][-1]["content"]
    assert not list(gateway.state.glob("restart-sentinel.json*"))


def _names(about: str) -> tuple[str, str, str]:
    """A session of the test's own, and two runs in it."""
    return f"agent:main:{about.lower()}", f"{about}-1", f"{about}-2"


def _is_end(frame: dict[str, Any]) -> bool:
    return frame.get("event") == "chat" and frame["payload"].get("state") in {"final", "error", "aborted"}
