"""Restarts of all kinds, at random moments, from whoever may ask for one."""

import json
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any, Final

import trio

import openclawd
from tests.support.chat_load import ChatLoad
from tests.support.gateway_process import GatewayProcess

# From a request to the first hello-ok of the next generation, on a loaded machine.
PATIENCE_S: Final = 30.0
# At most so long after a generation has begun, the next restart is asked for.
PAUSE_S: Final = 0.7
_OWN_PAGE: Final = Path(openclawd.__file__).parent / "control_ui"


class Storm:
    """What happens to one gateway; `seed` chooses what, and when. `load` are those who notice."""

    def __init__(self, gateway: GatewayProcess, load: ChatLoad, config: dict[str, Any], seed: int) -> None:
        self.asked: Counter[str] = Counter()
        self._gateway = gateway
        self._load = load
        self._config = config
        self._random = random.Random(seed)

    @property
    def restarts(self) -> int:
        """How many the clients have been through."""
        return len(self._load.epochs) - 1

    async def rage(self, restarts: int) -> None:
        """Until there were so many."""
        kinds = (self._usr1, self._usr2, self._hup, self._rpc, self._several)
        while self.restarts < restarts:
            before = self.restarts
            await trio.sleep(self._random.uniform(0, PAUSE_S))
            kind = self._random.choice(kinds)
            self.asked[kind.__name__.strip("_")] += 1
            await kind()
            with trio.fail_after(PATIENCE_S):
                await self._load.epochs.more_than(before + 1)

    def signal(self, number: signal.Signals) -> None:
        """Send one."""
        assert self._gateway.process is not None
        self._gateway.process.send_signal(number)

    async def _usr1(self) -> None:
        self.signal(signal.SIGUSR1)

    async def _usr2(self) -> None:
        self.signal(signal.SIGUSR2)

    async def _hup(self) -> None:
        """A configuration with a change that counts from a start: where the page's files are."""
        page = self._config["gateway"].setdefault("controlUi", {})
        if page.pop("root", None) is None:
            page["root"] = str(_OWN_PAGE)
        new = self._gateway.state / "openclaw.json.new"
        new.write_text(json.dumps(self._config))
        new.replace(self._gateway.state / "openclaw.json")
        self.signal(signal.SIGHUP)

    async def _rpc(self) -> None:
        client = self._random.choice(self._load.clients)
        await client.insist("gateway.restart.request", {"reason": "a storm"})

    async def _several(self) -> None:
        """A reload of what has not changed, two signals and two clients at once."""
        self.signal(signal.SIGHUP)
        self.signal(signal.SIGUSR2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._rpc)
            nursery.start_soon(self._rpc)
            self.signal(signal.SIGUSR1)
