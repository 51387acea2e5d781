"""Asking a gateway that was frozen, and what of this machine it is not to see."""

import sysconfig
from pathlib import Path
from typing import Any

from tests.packaging.frozen import FrozenGateway
from tests.process.chats import send
from tests.support.wire_client import wire_client


async def asked(gateway: FrozenGateway, message: str) -> dict[str, Any]:
    """What a chat ends with."""
    async with wire_client(gateway.port) as client:
        hello = await client.connect(token=gateway.token)
        assert hello["type"] == "hello-ok"
        await send(client, message, message)
        return dict((await client.event_of(("chat",), runId=message, state="final"))["payload"])


async def failed(gateway: FrozenGateway, message: str) -> str:
    """The words of a chat that ends in an error."""
    async with wire_client(gateway.port) as client:
        await client.connect(token=gateway.token)
        await send(client, message, message)
        ended = await client.event_of(("chat",), runId=message, state="error")
        return str(ended["payload"]["errorMessage"])


def pythons() -> list[Path]:
    """The libraries of every Python that may be here."""
    own = Path(sysconfig.get_path("stdlib"))
    return [folder for folder in {own, *Path("/usr/lib").glob("python3*")} if folder.is_dir()]
