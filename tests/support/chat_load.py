"""A crowd of clients that chat all the time, and what must be true of it afterwards: every message answered
once, every event heard once, whatever happened to the gateway meanwhile.
"""

import random
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio

from tests.support.device import Device
from tests.support.ledger import Epochs, faults
from tests.support.load_client import LoadClient, Refused, Tally, together

# How the fake provider answers (tests/fake_provider.py): at once, in a second, with a pause.
BEHAVIOURS: Final = ("", "", "SLOW=3", "SLOW=9", "PAUSE=0.3")
# For everything under way to end, on a loaded machine.
PATIENCE_S: Final = 60.0
# Without an event for so long, nothing is under way.
_QUIET_S: Final = 0.5
# Messages of one session, with their answers half of what one page of a history may hold.
_SESSION: Final = 250
_HISTORY: Final = 1000


@attrs.define(eq=False)
class Sent:
    """One message: its text and the answer that it must get, once."""

    run_id: str
    session: str
    text: str
    expected: str
    acknowledged: bool = False
    refused: str | None = None


class ChatLoad:
    """`clients` of them, every other one of wire generation 3, every third with a device of its own; the
    first `writers` write, each in sessions of its own.
    """

    def __init__(self, port: int, token: str, *, clients: int, writers: int, seed: int) -> None:
        self.epochs = Epochs()
        self.clients = [
            LoadClient(
                f"client{number}", port, token, 3 + number % 2, self.epochs, Device() if number % 3 else None
            )
            for number in range(clients)
        ]
        self.sent: list[Sent] = []
        self._writers = self.clients[:writers]
        self._random = random.Random(seed)
        self._ending = trio.Event()
        self._written = trio.Event()

    async def run(self) -> None:
        """Load until cancelled; nobody writes after `finish`."""
        async with trio.open_nursery() as nursery:
            for client in self.clients:
                nursery.start_soon(client.run)
            async with trio.open_nursery() as writing:
                for client in self._writers:
                    writing.start_soon(self._write, client)
            self._written.set()

    async def online(self) -> None:
        """Wait until everybody is."""
        with trio.fail_after(PATIENCE_S):
            for client in self.clients:
                await client.online()

    async def finish(self) -> None:
        """Wait for the answer to everything that was sent, and until nobody hears anything more."""
        self._ending.set()
        with trio.fail_after(PATIENCE_S):
            await self._written.wait()
            await self.online()
            while True:
                heard = self._heard()
                await trio.sleep(_QUIET_S)
                if self._heard() == heard:
                    return

    @property
    def tally(self) -> Tally:
        """What happened to all connections."""
        return together([client.tally for client in self.clients])

    async def faults(self) -> list[str]:
        """A sentence for each event and each message that was lost or doubled."""
        found = faults([client.ledger for client in self.clients])
        for sent in self.sent:
            if sent.refused is not None:
                found.append(f"{sent.run_id} was refused: {sent.refused}")
        for client in self.clients:
            for sent in self.sent:
                ends = len(client.terminals.get(sent.run_id, ()))
                if ends != 1 and not (ends == 0 and client.tally.unrecovered):
                    found.append(f"{client.name}: {sent.run_id} ended {ends} times")
        for session in {sent.session: None for sent in self.sent}:
            found += await self._history_faults(session)
        return found

    # --- writing

    async def _write(self, client: LoadClient) -> None:
        number = 0
        while not self._ending.is_set():
            batch = []
            # Now and then the second one comes while the first is under way.
            for _ in range(self._random.choice((1, 1, 2))):
                number += 1
                batch.append(self._message(client, number))
            async with trio.open_nursery() as nursery:
                for sent in batch:
                    await self._send(client, sent)
                    nursery.start_soon(self._answered, client, sent)

    def _message(self, client: LoadClient, number: int) -> Sent:
        behaviour = self._random.choice(BEHAVIOURS)
        text = f"{client.name} says thing {number} {behaviour}".strip()
        expected = f"You said: {text}"
        if behaviour.startswith("SLOW"):
            expected = "".join(f"word{word} " for word in range(1, int(behaviour.partition("=")[2]) + 1))
        session = f"agent:main:{client.name}-{number // _SESSION}"
        return Sent(f"{client.name}-{number}", session, text, expected)

    async def _send(self, client: LoadClient, sent: Sent) -> None:
        self.sent.append(sent)
        params = {"sessionKey": sent.session, "message": sent.text, "idempotencyKey": sent.run_id}
        try:
            await client.insist("chat.send", params)
            sent.acknowledged = True
        except Refused as refused:
            sent.refused = str(refused)

    async def _answered(self, client: LoadClient, sent: Sent) -> None:
        if sent.acknowledged:
            end = await client.outcome(sent.run_id)
            if end["state"] != "final" or _text(end["message"]) != sent.expected:
                sent.refused = f"its outcome was {end}"

    # --- checking

    def _heard(self) -> int:
        return sum(len(span.heard) for client in self.clients for span in client.ledger.spans)

    async def _history_faults(self, session: str) -> list[str]:
        """The session must hold each message and its answer once, in the order in which they were sent."""
        wanted = [line for sent in self.sent if sent.session == session for line in _exchange(sent)]
        with trio.fail_after(PATIENCE_S):
            found = await self.clients[0].insist("chat.history", {"sessionKey": session, "limit": _HISTORY})
        said = [(message["role"], _text(message)) for message in found["messages"]]
        if said == wanted:
            return []
        missing, more = Counter(wanted) - Counter(said), Counter(said) - Counter(wanted)
        detail = f"missing {dict(missing)}, too many {dict(more)}" if missing or more else f"order {said}"
        return [f"the history of {session} differs: {detail}"]


def _exchange(sent: Sent) -> list[tuple[str, str]]:
    return [("user", sent.text), ("assistant", sent.expected)]


def _text(message: dict[str, Any]) -> str:
    return "".join(part["text"] for part in message["content"] if part["type"] == "text")


@asynccontextmanager
async def chat_load(
    port: int, token: str, *, clients: int, writers: int, seed: int
) -> AsyncGenerator[ChatLoad, None]:
    """A crowd that is online and writes until the block ends."""
    load = ChatLoad(port, token, clients=clients, writers=writers, seed=seed)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.run)
        await load.online()
        yield load
        nursery.cancel_scope.cancel()
