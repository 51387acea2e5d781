"""Stopping: SIGTERM and Ctrl-C end the process within five seconds, and every client is told first."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from functools import partial

import pytest
import trio

from tests.process.chats import TERMINAL, said, send, settled_history
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.provider_process import ProviderProcess, provider_process
from tests.support.raw_websocket import UPGRADE
from tests.support.wire_client import WireClient, wire_client

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]

# What the specification allows.
STOP_WITHIN_S = 5.0


@pytest.fixture(scope="module")
def provider() -> Generator[ProviderProcess, None, None]:
    with provider_process() as running:
        yield running


async def stopped(gateway: GatewayProcess, number: signal.Signals = signal.SIGTERM) -> int:
    """Send the signal; the exit code, which must be there in time."""
    process = gateway.process
    assert process is not None
    process.send_signal(number)
    return await trio.to_thread.run_sync(partial(process.wait, STOP_WITHIN_S))


async def told_of_the_end(client: WireClient, *, version: int = 3) -> None:
    """The client got `shutdown`, then 1012."""
    assert await client.closed() == (1012, "service restart")
    (shutdown,) = (frame for frame in client.seen if frame.get("event") == "shutdown")
    payload = {"reason": "gateway stopping"}
    assert shutdown["payload"] == (payload | {"restartExpectedMs": None} if version == 3 else payload)
    assert isinstance(shutdown["seq"], int)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_every_client_gets_shutdown_then_1012_and_the_process_exits_0(number: signal.Signals) -> None:
    with gateway_process() as gateway:
        async with wire_client(gateway.port) as old, wire_client(gateway.port) as new:
            await old.connect(token=TOKEN)
            await new.connect(token=TOKEN, protocol=(4, 4))
            assert await stopped(gateway, number) == 0
            await told_of_the_end(old)
            await told_of_the_end(new, version=4)
        assert gateway.log_lines[-1]["message"] == "stopped"
        assert not (gateway.state / "openclawd" / "gateway.sock").exists()


async def test_a_second_signal_changes_nothing() -> None:
    with gateway_process() as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            assert gateway.process is not None
            gateway.process.send_signal(signal.SIGINT)
            assert await stopped(gateway) == 0
            await told_of_the_end(client)


async def test_strangers_idle_connections_and_clients_that_do_not_read_cannot_hold_it_up(
    provider: ProviderProcess,
) -> None:
    with gateway_process(provider.config()) as gateway:
        address = ("127.0.0.1", gateway.port)
        silent, half, kept = (socket.create_connection(address) for _ in range(3))
        half.sendall(b"GET / HTT")
        kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert kept.recv(65536).startswith(b"HTTP/1.1 200 ")
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(address)
        try:
            async with wire_client(gateway.port) as stranger, wire_client(gateway.port) as client:
                await stranger.event("connect.challenge")
                await client.connect(token=TOKEN)
                deaf.sendall(UPGRADE)
                assert await stopped(gateway) == 0
                await told_of_the_end(client)
        finally:
            for stream in (silent, half, kept, deaf):
                stream.close()


async def test_a_chat_under_way_does_not_hold_it_up_and_goes_on_after_the_next_start(
    provider: ProviderProcess,
) -> None:
    question = "take your time SLOW=30"
    with gateway_process(provider.config()) as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            for run_id, message in (("long", question), ("queued", "and this afterwards")):
                assert (await send(client, run_id, message))["status"] == "started"
            await client.event("chat", runId="long", state="delta")
            assert await stopped(gateway) == 0
            await told_of_the_end(client)
            ended = [frame for frame in client.seen if frame.get("payload", {}).get("state") in TERMINAL]
            assert ended == [], "the run has not ended, it waits for the next start"
        gateway.start()
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            conversation = said(await settled_history(client))
    assert [text for role, text in conversation if role == "user"] == [question, "and this afterwards"]
    answers = [text for role, text in conversation if role == "assistant"]
    assert answers == ["".join(f"word{n} " for n in range(1, 31)), "You said: and this afterwards"]


def test_a_gateway_that_was_started_with_nohup_stays_when_the_terminal_goes() -> None:
    with gateway_process(start=False) as gateway:
        handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            gateway.start()
        finally:
            signal.signal(signal.SIGHUP, handler)
        assert gateway.process is not None
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_until_ready()
        assert gateway.stop() == 0


def test_nobody_has_to_read_what_it_prints() -> None:
    with gateway_process(start=False) as gateway:
        command = (
            f"{sys.executable} -m openclawd gateway --port {gateway.port} | true; echo ${{PIPESTATUS[0]}}"
        )
        environment = {**os.environ, "OPENCLAW_STATE_DIR": str(gateway.state), "OLLAMA_HOST": "127.0.0.1:9"}
        with subprocess.Popen(
            ["bash", "-c", command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as shell:
            gateway.process = shell
            gateway.wait_until_ready()
            answered = gateway.command("gateway", "status", "--json")
            os.kill(json.loads(answered.stdout)["pid"], signal.SIGTERM)
            assert shell.communicate(timeout=15)[0].split() == [b"0"]
            gateway.process = None
        assert not (gateway.state / "openclawd" / "gateway.sock").exists()
