"""kill -9 in the middle of a backup and of a restore: what was there is there, or what was asked for."""

import os
import random
import shutil
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Final

import attrs
import orjson
import pytest
import trio

from tests.process.chats import said, send, settled_history
from tests.support.dying import watched
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.provider_process import ProviderProcess, provider_process
from tests.support.wire_client import wire_client

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]

FULL: Final = bool(os.environ.get("OPENCLAWD_TEST_FULL"))
# How many of the calls of a backup, and of a restore, are tried.
DEATHS: Final = 60 if FULL else 2
MOMENTS: Final = ("before", "torn", "after")
EARLIER: Final = [("user", "first"), ("assistant", "You said: first")]
LATER: Final = [*EARLIER, ("user", "second"), ("assistant", "You said: second")]


@attrs.frozen
class Kept:
    """A state directory with a backup in it that is older than the state, and how to copy it."""

    state: Path
    provider: ProviderProcess

    def copy_to(self, gateway: GatewayProcess) -> None:
        shutil.rmtree(gateway.state)
        shutil.copytree(self.state, gateway.state, ignore=shutil.ignore_patterns("*.sock"))


@pytest.fixture(scope="module")
def kept() -> Generator[Kept, None, None]:
    with provider_process() as provider, gateway_process(provider.config()) as gateway:
        trio.run(_talk, gateway, "first")
        assert gateway.stop() == 0
        made = gateway.command("backup")
        assert made.returncode == 0, made.stderr
        gateway.start()
        trio.run(_talk, gateway, "second")
        assert gateway.stop() == 0
        yield Kept(gateway.state, provider)


async def _talk(gateway: GatewayProcess, text: str) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, text, text)
        await client.event("chat", runId=text, state="final")


async def _conversation(gateway: GatewayProcess) -> list[tuple[str, str]]:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        return said(await settled_history(client))


def calls_of(kept: Kept, library: Path, *command: str) -> int:
    """How many calls of a command change a file."""
    environment = {"KILL_AT": "0"}
    with gateway_process(kept.provider.config(), environment=environment, start=False) as gateway:
        kept.copy_to(gateway)
        trace = gateway.state.parent / "calls.txt"
        environment |= watched(library, gateway.state, KILL_TRACE=str(trace))
        done = gateway.command(*command)
        assert done.returncode == 0, done.stderr
        return len(trace.read_text().splitlines())


def die_in(
    gateway: GatewayProcess, environment: dict[str, str], library: Path, at: int, *command: str
) -> None:
    environment |= watched(library, gateway.state, KILL_AT=str(at), KILL_MOMENT=MOMENTS[at % 3])
    assert gateway.command(*command).returncode == -signal.SIGKILL
    environment.clear()


def spread(total: int) -> list[int]:
    """Calls from all over, other ones each time."""
    return sorted(random.sample(range(1, total + 1), min(DEATHS, total)))


async def test_a_restore_that_is_killed_has_happened_or_has_not(kept: Kept, library: Path) -> None:
    calls = calls_of(kept, library, "restore", "latest")
    # At the end it changes over.
    for at in {*spread(calls), calls - 2}:
        environment = {"KILL_AT": "0"}
        with gateway_process(kept.provider.config(), environment=environment, start=False) as gateway:
            kept.copy_to(gateway)
            die_in(gateway, environment, library, at, "restore", "latest")
            gateway.start()
            found = await _conversation(gateway)
            assert found in (EARLIER, LATER), f"killed at call {at} of {calls}"
            assert gateway.stop() == 0
            again = gateway.command("restore", "latest")
            assert again.returncode == 0, again.stderr
            gateway.start()
            assert await _conversation(gateway) == EARLIER


async def test_a_backup_that_is_killed_is_none_and_stands_in_nobodys_way(kept: Kept, library: Path) -> None:
    calls = calls_of(kept, library, "backup")
    for at in spread(calls):
        environment = {"KILL_AT": "0"}
        with gateway_process(kept.provider.config(), environment=environment, start=False) as gateway:
            kept.copy_to(gateway)
            die_in(gateway, environment, library, at, "backup")
            for backup in _backups(gateway):
                restored = gateway.command("restore", backup)
                assert restored.returncode == 0, f"killed at call {at} of {calls}: {restored.stderr}"
            before = len(_backups(gateway))
            again = gateway.command("backup")
            assert again.returncode == 0, again.stderr
            assert len(_backups(gateway)) == before + 1


def _backups(gateway: GatewayProcess) -> list[str]:
    listed = gateway.command("backup", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    return [each["file"] for each in orjson.loads(listed.stdout)["backups"]]
