"""Updates for clients, on a real gateway that came as a source tree: it does not replace itself, and says
what does.
"""

import json
import sqlite3
import time
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

import pytest

from openclawd import __version__
from tests.process.clients import READ_ONLY
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.wire_client import Refused, WireClient, wire_client

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]

ROOT: Final = Path(__file__).parents[2]
COMMAND: Final = f"git -C {ROOT} pull"
BOTH: Final = pytest.mark.parametrize("protocol", [(3, 3), (4, 4)], ids=["v3", "v4"])


@pytest.fixture(scope="module")
def gateway() -> Generator[GatewayProcess, None, None]:
    with gateway_process() as running:
        yield running


@asynccontextmanager
async def admitted(gateway: GatewayProcess, protocol: tuple[int, int] = (4, 4)) -> AsyncIterator[WireClient]:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, protocol=protocol)
        yield client


@BOTH
async def test_before_the_first_update_nothing_is_newer_and_nothing_has_ended(
    gateway: GatewayProcess, protocol: tuple[int, int]
) -> None:
    async with admitted(gateway, protocol) as client:
        assert await client.call("openclawd.update.status") == {
            "version": __version__,
            "channel": "stable",
            "auto": "off",
            "updatesItself": False,
            "updateAvailable": None,
        }


@BOTH
async def test_why_it_does_not_replace_itself_is_said_with_the_command_that_does(
    gateway: GatewayProcess, protocol: tuple[int, int]
) -> None:
    async with admitted(gateway, protocol) as client:
        answer = await client.call("update.run", {"note": "now"})
    result = answer["result"]
    assert (answer["ok"], answer["restart"]) == (False, None)
    assert result == {
        "status": "error",
        "mode": "openclawd",
        "before": {"version": __version__},
        "reason": "This openclawd runs from its source.",
        "cure": COMMAND,
        "steps": [],
        "durationMs": result["durationMs"],
    }
    sentinel = answer["sentinel"]
    assert sentinel["persisted"] is False
    assert (sentinel["payload"]["kind"], sentinel["payload"]["status"]) == ("update", "error")


async def test_a_look_that_finds_out_nothing_says_why(gateway: GatewayProcess) -> None:
    async with admitted(gateway) as client:
        for method, refresh in (("update.status", "refreshCheckout"), ("openclawd.update.status", "refresh")):
            with pytest.raises(Refused) as refused:
                await client.call(method, {refresh: True})
            assert refused.value.error["code"] == "UNAVAILABLE"
            assert "it cannot be told whether there is a newer" in refused.value.error["message"]
        assert "built without" in (await client.call("openclawd.update.status"))["checkProblem"]


async def test_a_commit_of_a_checkout_is_no_version(gateway: GatewayProcess) -> None:
    target = {"kind": "git", "upstreamRef": "origin/main", "upstreamSha": "0" * 40}
    async with admitted(gateway) as client:
        with pytest.raises(Refused, match="checkout"):
            await client.call("update.run", {"target": target})


@pytest.mark.parametrize("method", ["update.run", "update.status", "openclawd.update.status"])
async def test_they_are_for_administrators(gateway: GatewayProcess, method: str) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, scopes=READ_ONLY)
        with pytest.raises(Refused, match="missing scope"):
            await client.call(method)


async def test_who_connects_is_told_of_what_was_found_before() -> None:
    found: dict[str, Any] = {
        "at_ms": time.time_ns() // 1_000_000,
        "current": __version__,
        "channel": "stable",
        "latest": "99.0.0",
        "notes": "Better.",
    }
    with gateway_process() as gateway:
        gateway.stop()
        database = gateway.state / "openclawd" / "openclawd.sqlite3"
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute(
                "INSERT INTO facts (name, value) VALUES ('update.found', ?)", (json.dumps(found).encode(),)
            )
        gateway.start()
        for protocol in ((3, 3), (4, 4)):
            async with wire_client(gateway.port) as client:
                hello = await client.connect(token=TOKEN, protocol=protocol)
            assert hello["snapshot"]["updateAvailable"] == {
                "currentVersion": __version__,
                "latestVersion": "99.0.0",
                "channel": "stable",
            }
            assert {"update.available", "openclawd.update"} <= set(hello["features"]["events"])
