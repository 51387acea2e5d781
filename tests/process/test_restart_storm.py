"""A storm of restarts, and a crowd that chats through it: nobody is refused, nothing is lost, nothing comes
twice, and the process is the same one.

20 restarts; 200 with OPENCLAWD_TEST_FULL=1 (`scripts/test --full`). Beside the 50 clients that are played
here there are the reference client as it was published and our page in Chromium, where they are to be had.
"""

import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from playwright.sync_api import expect, sync_playwright

from tests.browser.chromium import arguments, find_chromium
from tests.browser.pages import ChatPage, visitor_of
from tests.process.chats import settled_history, text_of, until
from tests.reference_client.client import Answered, ReferenceClient, reference
from tests.reference_client.install import NotAvailable, reference_client
from tests.support.chat_load import ChatLoad, chat_load
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.knocking import Knocks, knocking
from tests.support.provider_process import ProviderProcess, provider_process
from tests.support.storm import Storm
from tests.support.wire_client import wire_client

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]

RESTARTS: Final = 200 if os.environ.get("OPENCLAWD_TEST_FULL") == "1" else 20
CLIENTS: Final = 50
WRITERS: Final = 6
REFERENCE_CLIENTS: Final = 2
PAGES: Final = 2
# Long enough for half of the answers under way; the others are interrupted and go on.
DRAIN_MS: Final = 400
# A page waits for its gateway, which restarts all the time.
PAGE_PATIENCE_MS: Final = 30_000


@pytest.fixture(scope="module")
def provider() -> Generator[ProviderProcess, None, None]:
    with provider_process() as running:
        yield running


def config_of(provider: ProviderProcess, drain_ms: int) -> dict[str, Any]:
    return provider.config() | {"openclawd": {"restart": {"drainMs": drain_ms}}}


# --- the storm


class StockChatter:
    """A reference client that says one thing after the other, in sessions of its own."""

    def __init__(self, client: ReferenceClient, name: str) -> None:
        self._client = client
        self._name = name
        self.said: dict[str, list[str]] = {}
        """By session."""

    async def chat(self, ending: trio.Event) -> None:
        """Until then; what is lost on the way is sent again under its key."""
        number = 0
        while not ending.is_set():
            number += 1
            text, session = f"{self._name} says thing {number}", f"agent:main:{self._name}-{number // 50}"
            self.said.setdefault(session, []).append(text)
            params = {"sessionKey": session, "message": text, "idempotencyKey": text}
            while True:
                if await self._sent(params):
                    break
                await trio.sleep(0.05)
            await trio.sleep(0.3)

    async def _sent(self, params: dict[str, str]) -> bool:
        # It would send a request before its handshake if it was told to.
        comings = [report["on"] for report in self._client.reports if report["on"] in {"hello", "closed"}]
        if comings[-1:] != ["hello"]:
            return False
        try:
            await self._client.call("chat.send", params)
        except Answered as lost:
            # Only what the gateway answers has a code.
            if "code" in lost.error:
                raise
            return False
        return True

    def faults(self) -> list[str]:
        """What it noticed, beside connections that were closed and opened again."""
        usual = {"hello", "event", "closed", "token stored"}
        return [str(report) for report in self._client.reports if report["on"] not in usual]


@asynccontextmanager
async def stock_chatters(gateway: GatewayProcess, folder: Path) -> AsyncGenerator[list[StockChatter], None]:
    """As many as there are; none where the reference client cannot be had."""
    async with AsyncExitStack() as stack:
        chatters = []
        try:
            reference_client()
        except NotAvailable:
            yield []
            return
        for number in range(REFERENCE_CLIENTS):
            home = folder / f"stock{number}"
            home.mkdir()
            client = await stack.enter_async_context(reference(home))
            await client.start(
                url=f"ws://127.0.0.1:{gateway.port}",
                token=gateway.token,
                mode="ui",
                clientName="openclaw-tui",
                clientVersion="1.0.0",
                platform="linux",
                scopes=["operator.admin", "operator.read", "operator.write", "operator.pairing"],
            )
            chatters.append(StockChatter(client, f"stock{number}"))
        yield chatters


@contextmanager
def pages(gateway: GatewayProcess) -> Generator[list[ChatPage], None, None]:
    """Pages in a Chromium, which may complain of nothing, not even of a connection that failed; none where
    there is no Chromium.
    """
    path = find_chromium()
    if path is None:
        yield []
        return
    with ExitStack() as stack:
        expect.set_options(timeout=PAGE_PATIENCE_MS)
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=path, args=arguments())
        stack.callback(browser.close)
        visitor = stack.enter_context(visitor_of(browser))
        yield [visitor.chat(gateway, f"agent:main:page{number}") for number in range(PAGES)]


async def weather(
    gateway: GatewayProcess, config: dict[str, Any], folder: Path, ending: Callable[[], None]
) -> tuple[ChatLoad, Storm, list[str]]:
    """The crowd and the storm; what was found afterwards."""
    over = trio.Event()
    async with (
        chat_load(gateway.port, TOKEN, clients=CLIENTS, writers=WRITERS, seed=1) as load,
        stock_chatters(gateway, folder) as chatters,
    ):
        storm = Storm(gateway, load, config, seed=2)
        async with trio.open_nursery() as nursery:
            for chatter in chatters:
                nursery.start_soon(chatter.chat, over)
            await storm.rage(RESTARTS)
            over.set()
            ending()
        await load.finish()
        found = await load.faults()
        for chatter in chatters:
            found += chatter.faults()
            for session, said in chatter.said.items():
                found += await history_faults(gateway, session, said)
    return load, storm, found


async def history_faults(gateway: GatewayProcess, session: str, said: list[str]) -> list[str]:
    """The session must hold each message once, and one answer behind it."""
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        messages = await settled_history(client, session)
    found = [text_of(message) for message in messages]
    wanted = [line for text in said for line in (text, f"You said: {text}")]
    return [] if found == wanted else [f"the history of {session} is {found}"]


def test_a_storm_of_restarts_passes_unnoticed(provider: ProviderProcess, tmp_path: Path) -> None:
    config = config_of(provider, DRAIN_MS)
    with gateway_process(config) as gateway, pages(gateway) as tabs, ThreadPoolExecutor(1) as threads:
        assert gateway.process is not None
        pid = gateway.process.pid
        storming = True

        def ending() -> None:
            nonlocal storming
            storming = False

        said: list[str] = []
        with knocking(gateway.port) as knocks:
            job = threads.submit(trio.run, weather, gateway, config, tmp_path, ending)
            while storming and not job.done():
                said.append(f"the pages say thing {len(said) + 1}")
                for tab in tabs:
                    tab.say(said[-1])
                for tab in tabs:
                    tab.has_answered(f"You said: {said[-1]}")
            load, storm, found = job.result()
        for tab in tabs:
            tab.is_online()
            for text in said:
                expect(tab.questions(text)).to_have_count(1)
            expect(tab.answers).to_have_count(len(said))
        check(load, found, knocks, gateway)
        ready = gateway.decisions("ready")
        assert {line["pid"] for line in ready} == {pid}
        assert ready[-1]["generation"] == storm.restarts + 1


def check(load: ChatLoad, found: list[str], knocks: Knocks, gateway: GatewayProcess) -> None:
    """What holds after any number of restarts."""
    tally = load.tally
    assert found == [], f"{len(found)} faults"
    assert (knocks.refused, knocks.failures) == (0, Counter())
    assert (tally.refused_connects, tally.cut_handshakes) == (0, Counter())
    assert tally.failed_logins == []
    assert gateway.decisions("refused") == []
    assert tally.unrecovered == 0
    assert set(tally.closes) <= {"1012 service restart"}


# --- a stop in the middle of a restart


async def test_a_stop_while_a_restart_waits_for_answers_stops_and_loses_nothing(
    provider: ProviderProcess,
) -> None:
    with gateway_process(config_of(provider, 20_000)) as gateway:
        async with chat_load(gateway.port, TOKEN, clients=8, writers=0, seed=3) as load:
            storm = Storm(gateway, load, {}, seed=4)
            writer = load.clients[0]
            long_one = {"sessionKey": "agent:main:long", "message": "SLOW=40", "idempotencyKey": "long"}
            await writer.insist("chat.send", long_one)
            storm.signal(signal.SIGUSR1)
            await until(lambda: bool(gateway.decisions("draining")))
            queued = {
                "sessionKey": "agent:main:other",
                "message": "while it drains",
                "idempotencyKey": "other",
            }
            assert (await writer.insist("chat.send", queued))["runId"] == "other"
            assert gateway.stop() == 0
            assert gateway.decisions("handing over") == []
            gateway.start()
            await load.online()
            # From the history: an answer may be there before anybody is back to hear that it has ended.
            async with wire_client(gateway.port) as client:
                await client.connect(token=TOKEN)
                long, other = [
                    [text_of(message) for message in await settled_history(client, f"agent:main:{name}")]
                    for name in ("long", "other")
                ]
            assert long == ["SLOW=40", "".join(f"word{number} " for number in range(1, 41))]
            assert other == ["while it drains", "You said: while it drains"]
            await load.finish()
            assert await load.faults() == []
        assert load.tally.failed_logins == []
        assert gateway.decisions("refused") == []
        assert [len(gateway.decisions(word)) for word in ("draining", "stopped", "ready")] == [1, 1, 2]
