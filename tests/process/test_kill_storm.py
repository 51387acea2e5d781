"""kill -9 again and again under the chat of twenty clients: nothing acknowledged is lost, nothing is done
twice, nobody hears a thing twice, and nobody has to do more than to come back.
"""

import os
import random
from collections.abc import Generator
from typing import Any, Final

import pytest
import trio

from tests.process.deaths import database_faults, expected
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.history import GIVEN_UP, History, line_of
from tests.support.ledger import Epochs, faults
from tests.support.load_client import LoadClient, Refused
from tests.support.provider_process import ProviderProcess, provider_process

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]

DEATHS: Final = 200 if os.environ.get("OPENCLAWD_TEST_FULL") else 8
CLIENTS: Final = 20
SESSIONS: Final = tuple(f"agent:main:storm-{number}" for number in range(8))
BEHAVIOURS: Final = ("", "", "SLOW=3", "SLOW=9")
# The longest life between two deaths, and how far into a start a death may fall.
LIFE_S: Final = 0.8
STARTING_S: Final = 0.4
# A client that has not heard by then how its message ended sends the next one.
CURIOSITY_S: Final = 5.0
# And so many messages in a hundred are abandoned by who sent them before there was an answer.
ABANDONED_PERCENT: Final = 15
PATIENCE_S: Final = 180.0
_SETTLED_S: Final = 0.1


@pytest.fixture(scope="module")
def provider() -> Generator[ProviderProcess, None, None]:
    with provider_process() as running:
        yield running


class Storm:
    """The clients of a gateway that is killed all the time."""

    def __init__(self, gateway: GatewayProcess, seed: int) -> None:
        epochs = Epochs()
        self.gateway = gateway
        self.history = History(expected)
        self.clients = [
            LoadClient(
                f"client{number}",
                gateway.port,
                TOKEN,
                3 + number % 2,
                epochs,
                Device() if number % 2 else None,
            )
            for number in range(CLIENTS)
        ]
        self._random = random.Random(seed)
        self._over = False

    async def rage(self, deaths: int) -> None:
        """Kill that often, under load; ends when everything that was sent has ended."""
        async with trio.open_nursery() as nursery:
            for client in self.clients:
                nursery.start_soon(client.run)
            async with trio.open_nursery() as writing:
                for client in self.clients:
                    writing.start_soon(self._write, client)
                for number in range(deaths):
                    await self._kill(while_it_starts=number % 4 == 3)
                self._over = True
            with trio.fail_after(PATIENCE_S):
                await self._collect(self.clients[0])
            nursery.cancel_scope.cancel()

    async def ask_again(self) -> None:
        """Every message under its own id once more, which must change nothing."""
        client = self.clients[0]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.run)
            with trio.fail_after(PATIENCE_S):
                for run_id in self.history.accepted:
                    session, text = self.history.asked[run_id]
                    assert await self._send(client, run_id, session, text) in (None, "ok"), run_id
                await self._collect(client)
            nursery.cancel_scope.cancel()

    async def _kill(self, *, while_it_starts: bool) -> None:
        if while_it_starts:
            self.gateway.kill()
            self.history.deaths += 1
            self.gateway.start(wait=False)
            await trio.sleep(self._random.uniform(0, STARTING_S))
        else:
            await trio.sleep(self._random.uniform(0, LIFE_S))
        self.gateway.kill()
        self.history.deaths += 1
        assert database_faults(self.gateway.state) == []
        await trio.to_thread.run_sync(self.gateway.start)

    async def _write(self, client: LoadClient) -> None:
        number = 0
        while not self._over:
            number += 1
            run_id, session = f"{client.name}-{number}", self._random.choice(SESSIONS)
            text = f"{run_id} says {self._random.choice(BEHAVIOURS)}".strip()
            self.history.asks(run_id, session, text)
            abandoned = self._random.randrange(100) < ABANDONED_PERCENT
            with trio.move_on_after(self._random.uniform(0, 0.05) if abandoned else PATIENCE_S):
                await self._send(client, run_id, session, text)
                self.history.acknowledged(run_id)
                with trio.move_on_after(CURIOSITY_S):
                    await client.outcome(run_id)
            await trio.sleep(self._random.uniform(0, 0.2))

    async def _send(self, client: LoadClient, run_id: str, session: str, text: str) -> str | None:
        """The status; None for a run that was given up, which is an answer, too."""
        params = {"sessionKey": session, "message": text, "idempotencyKey": run_id}
        try:
            return str((await client.insist("chat.send", params))["status"])
        except Refused as refused:
            if GIVEN_UP not in refused.error["message"]:
                raise
            return None

    async def _collect(self, client: LoadClient) -> None:
        """The transcripts, once nothing is under way; and what everybody has heard by then."""
        for session in SESSIONS:
            while True:
                found = await client.insist("chat.history", {"sessionKey": session, "limit": 1000})
                if not found["activeRuns"]:
                    break
                await trio.sleep(_SETTLED_S)
            self.history.kept(session, map(line_of, found["messages"]))
        await trio.sleep(_SETTLED_S)

    def note_ends(self) -> None:
        """What everybody heard of the ends of runs."""
        for client in self.clients:
            for run_id, ends in client.terminals.items():
                for payload in ends:
                    self.history.ended(client.name, run_id, payload["state"], _text(payload))


def _text(payload: dict[str, Any]) -> str:
    if payload["state"] != "final":
        return ""
    return "".join(part["text"] for part in payload["message"]["content"] if part["type"] == "text")


async def test_a_storm_of_kills_loses_and_doubles_nothing(provider: ProviderProcess) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    with gateway_process(provider.config()) as gateway:
        storm = Storm(gateway, seed)
        await storm.rage(DEATHS)
        storm.note_ends()
        assert storm.history.faults() == []
        assert faults([client.ledger for client in storm.clients]) == []
        assert [client.tally.failed_logins for client in storm.clients if client.tally.failed_logins] == []
        assert len(storm.history.accepted) >= CLIENTS, "there was something to lose"
        asked = provider.questions.total()
        await storm.ask_again()
        assert provider.questions.total() == asked, "a run was done again after its end"
        assert storm.history.faults() == []
