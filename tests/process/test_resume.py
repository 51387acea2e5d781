"""Clients that lose their socket and come back: they hear what they missed, once, or that they did not."""

import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from tests.process.chats import TERMINAL, send, story
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.provider_process import ProviderProcess, provider_process
from tests.support.wire_client import WireClient, wire_client

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]

GENERATIONS: Final = (3, 4)
Frames = list[dict[str, Any]]


@pytest.fixture(scope="module")
def provider() -> Generator[ProviderProcess, None, None]:
    with provider_process() as running:
        yield running


@pytest.fixture
def gateway(provider: ProviderProcess) -> Generator[GatewayProcess, None, None]:
    """One for each test: some of them end its process generation."""
    with gateway_process(provider.config()) as running:
        yield running


@asynccontextmanager
async def visitor(
    gateway: GatewayProcess, generation: int, position: dict[str, Any], **more: Any
) -> AsyncGenerator[WireClient, None]:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, protocol=(generation, generation), resume=position, **more)
        yield client


def broadcasts(frames: Frames, epoch: str, *runs: str) -> list[tuple[str, int, str, Any]]:
    """(epoch, seq, event, payload) of everything that was said to all about these runs."""
    return [
        (frame.get("epoch", epoch), frame["seq"], frame["event"], frame["payload"])
        for frame in frames
        if frame.get("type") == "event" and frame.get("payload", {}).get("runId") in runs
    ]


async def told(client: WireClient, run_id: str) -> Frames:
    """Everything that `client` hears up to the end of a run."""
    frames = [frame for frame in client.seen if frame.get("type") == "event"]
    client.seen.clear()
    while not any(
        frame["payload"].get("runId") == run_id and frame["payload"].get("state") in TERMINAL
        for frame in frames
        if frame["event"] == "chat"
    ):
        frame = await client.next_frame()
        if frame["type"] == "event":
            frames.append(frame)
    return frames


async def test_a_connection_is_told_that_it_may_resume(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        challenge = await client.event("connect.challenge")
    assert challenge["payload"]["capabilities"] == ["resume"]


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_who_loses_its_socket_in_the_middle_of_an_answer_hears_the_rest_of_it(
    gateway: GatewayProcess, generation: int
) -> None:
    async with visitor(gateway, generation, {}) as witness:
        epoch = witness.hello["resume"]["epoch"]
        async with visitor(gateway, generation, {}) as gone:
            await send(gone, "cut", "stream please SLOW=8", "cut")
            heard = [await gone.event("agent", runId="cut")]
            heard = sorted([*heard, *gone.seen], key=lambda frame: frame.get("seq", 0))
            position = gone.position
        whole = await told(witness, "cut")

        async with visitor(gateway, generation, position) as back:
            assert back.hello["resume"]["recovered"]
            heard += await told(back, "cut")
            heard += await story_of_the_next(back, "next")
        whole += await told(witness, "next")

    assert broadcasts(heard, epoch, "cut", "next") == broadcasts(whole, epoch, "cut", "next")


async def story_of_the_next(client: WireClient, run_id: str) -> Frames:
    """A run that is heard live, behind what was missed."""
    await send(client, run_id, "hello", run_id)
    return await told(client, run_id)


async def test_a_client_that_was_away_over_a_crash_is_told_to_read_anew(gateway: GatewayProcess) -> None:
    async with visitor(gateway, 4, {}) as client:
        await send(client, "before", "hello", "before")
        await story(client, "before")
        first, position = client.hello["resume"], client.position
    gateway.kill()
    gateway.start()
    async with visitor(gateway, 4, position) as client:
        again = client.hello["resume"]
        assert client.hello["server"]["bootId"] == again["epoch"] != first["epoch"]
        assert not again["recovered"]
        await send(client, "after", "hello", "after")
        heard = await told(client, "after")
    assert not broadcasts(heard, again["epoch"], "before")


async def test_what_a_client_missed_it_hears_by_the_scopes_that_it_comes_back_with(
    gateway: GatewayProcess,
) -> None:
    device = Device()
    async with visitor(gateway, 4, {}, device=device) as client:
        position = client.position
        await send(client, "secret", "hello", "secret")
        await story(client, "secret")
    async with visitor(gateway, 4, position, device=device, scopes=["operator.pairing"]) as client:
        assert client.hello["resume"]["recovered"]
        # The answer comes behind what is replayed.
        await client.call("health")
        assert not [frame for frame in client.seen if frame.get("event") in ("chat", "agent")]
    async with visitor(gateway, 4, position, device=device) as client:
        await client.event("chat", runId="secret", state="final")


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_over_a_planned_restart_a_client_hears_what_it_missed_of_the_epoch_before(
    gateway: GatewayProcess, generation: int
) -> None:
    async with visitor(gateway, generation, {}) as gone:
        position, first = gone.position, gone.hello["resume"]
    async with visitor(gateway, generation, {}) as witness:
        await send(witness, "before", "hello", "before")
        whole = await told(witness, "before")
        gateway.process.send_signal(signal.SIGUSR1) if gateway.process else None
        shutdown = await witness.event("shutdown")
        assert await witness.closed() == (1012, "service restart")

    async with visitor(gateway, generation, position) as back:
        second = back.hello["resume"]
        await send(back, "after", "hello", "after")
        heard = await told(back, "after")

    assert (shutdown["payload"]["epoch"], shutdown["payload"]["seq"]) == (first["epoch"], shutdown["seq"])
    assert (second["epoch"] == first["epoch"], second["recovered"]) == (False, True)
    before = [frame for frame in heard if frame["payload"].get("runId") == "before"]
    assert {frame["epoch"] for frame in before} == {first["epoch"]}
    assert broadcasts(before, "", "before") == broadcasts(whole, first["epoch"], "before")
    assert all("epoch" not in frame for frame in heard if frame["payload"].get("runId") == "after")


async def test_a_second_restart_still_knows_the_epoch_before_the_last(gateway: GatewayProcess) -> None:
    async with visitor(gateway, 4, {}) as client:
        position = client.position
    for run_id in ("one", "two"):
        async with visitor(gateway, 4, {}) as client:
            await send(client, run_id, "hello", run_id)
            await story(client, run_id)
            gateway.process.send_signal(signal.SIGUSR1) if gateway.process else None
            assert await client.closed() == (1012, "service restart")
    async with visitor(gateway, 4, position) as client:
        assert client.hello["resume"]["recovered"]
        heard = [await client.event("chat", runId=run_id, state="final") for run_id in ("one", "two")]

    assert heard[0]["epoch"] == position["epoch"]
    assert heard[1]["epoch"] not in (position["epoch"], client.hello["resume"]["epoch"])
