"""Fifty clients chat through an update: nobody is refused, nothing is lost or doubled, however it ends."""

import json
import os
from collections import Counter
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import trio

from tests.packaging.updating import NEW, OLD, Host, host
from tests.support.chat_load import ChatLoad, chat_load
from tests.support.knocking import knocking
from tests.support.provider_process import ProviderProcess, provider_process

pytestmark = pytest.mark.binary

FULL: Final = os.environ.get("OPENCLAWD_TEST_FULL") == "1"
CLIENTS: Final = 50
WRITERS: Final = 6


@pytest.fixture(scope="module")
def provider() -> Generator[ProviderProcess, None, None]:
    with provider_process() as running:
        yield running


def with_models(here: Host, provider: ProviderProcess) -> None:
    """Before it starts: its models are the provider's."""
    file = here.home / ".openclaw" / "openclaw.json"
    config = json.loads(file.read_text())
    ours = provider.config()
    ours["gateway"] = {**ours.get("gateway", {}), **config["gateway"]}
    file.write_text(json.dumps(config | ours))
    here.supervisor.start()
    here.until_it_serves(OLD)


async def update_under_load(here: Host, load: ChatLoad) -> str:
    """How `update run` ended."""
    told = await trio.to_thread.run_sync(partial(here.command, "update", "run", NEW, "--json"))
    await load.finish()
    assert await load.faults() == []
    ended = json.loads(told.stdout)
    return str(ended.get("error", {}).get("details", ended)["outcome"])


@pytest.mark.parametrize(
    ("sabotage", "outcome", "generations"),
    [
        ("nothing", "confirmed", 2),
        pytest.param(
            "is never ready",
            "rolled-back",
            3,
            marks=pytest.mark.skipif(not FULL, reason="half a minute: scripts/test --full"),
        ),
    ],
)
async def test_a_crowd_chats_through_it(
    installed: Path, tmp_path: Path, provider: ProviderProcess, sabotage: str, outcome: str, generations: int
) -> None:
    with host(installed, tmp_path, sabotage, start=False) as here:
        with_models(here, provider)
        pid = here.supervisor.pid
        async with chat_load(here.port, here.token, clients=CLIENTS, writers=WRITERS, seed=3) as load:
            with knocking(here.port) as knocks:
                assert await update_under_load(here, load) == outcome
            tally = load.tally
        assert (here.supervisor.pid, here.supervisor.ends) == (pid, []), "it was one process all the time"
    assert len(load.epochs) == generations
    assert (knocks.refused, tally.refused_connects) == (0, 0)
    assert knocks.failures == Counter()
    assert (tally.failed_logins, tally.unrecovered) == ([], 0)
    assert len([sent for sent in load.sent if sent.acknowledged]) >= WRITERS, "there was something to lose"
