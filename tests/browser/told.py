"""A conversation that others have already had, written over the wire beside a test that is not async."""

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import trio

from tests.support.device import Device
from tests.support.gateway_process import GatewayProcess
from tests.support.wire_client import WireClient, wire_client

PROGRAM = {"id": "gateway-client", "version": "1.0.0", "platform": "linux", "mode": "backend"}


def tell(gateway: GatewayProcess, session: str, lines: list[str]) -> None:
    """Let each of `lines` be a message of the conversation `session`; the first is a question."""

    async def speak() -> None:
        async with wire_client(gateway.port) as client:
            await client.connect(token=gateway.token)
            await _ask(client, session, lines[0])
            for line in lines[1:]:
                await client.call("chat.inject", {"sessionKey": session, "message": line})

    _beside(speak)


def make(gateway: GatewayProcess, *sessions: dict[str, Any]) -> None:
    """Create sessions: each the params of `sessions.create`."""

    async def create() -> None:
        async with wire_client(gateway.port) as client:
            await client.connect(token=gateway.token)
            for params in sessions:
                await client.call("sessions.create", params)

    _beside(create)


def pair(gateway: GatewayProcess, *names: str) -> None:
    """Let a program with a device of its own be paired under each of the names, and leave."""

    async def introduce() -> None:
        for name in names:
            async with wire_client(gateway.port) as client:
                await client.connect(
                    token=gateway.token, device=Device(), client={**PROGRAM, "displayName": name}
                )

    _beside(introduce)


def _beside(act: Callable[[], Awaitable[None]]) -> None:
    # The browser's loop has this thread.
    with ThreadPoolExecutor(1) as other:
        other.submit(trio.run, act).result(timeout=60)


async def _ask(client: WireClient, session: str, text: str) -> None:
    asked = {"sessionKey": session, "message": text, "idempotencyKey": f"{session}: {text}"}
    await client.call("chat.send", asked)
    await client.event("chat", state="final")
