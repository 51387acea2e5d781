"""What a new version does in its rehearsal decides whether it is tried at all: a host where nobody writes
while it is watched would keep one that answers nobody.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from openclawd.cli.rehearsal import rehearse
from openclawd.update.staged import CannotUpdate, Staged
from tests.packaging.updating import NEW, OLD, host
from tests.support.versions import source_of, variant

pytestmark = pytest.mark.binary

FULL: Final = os.environ.get("OPENCLAWD_TEST_FULL") == "1"
full = pytest.mark.skipif(not FULL, reason="each takes its time: scripts/test --full")


def after(module: str, code: str) -> Mapping[str, str]:
    """The module, and then something of it done in another way."""
    return {module: f"{source_of(module)}\n\n{code}\n"}


def before_it_lives(does: str) -> Mapping[str, str]:
    return after(
        "openclawd.daemon.house",
        "_live = House.live\n"
        f"async def live(self, *words, **more):\n    {does}\n    return await _live(self, *words, **more)\n"
        "House.live = live",
    )


ONE_GENERATION: Final = "v4 is not understood"
FORGETFUL: Final = "what was said is forgotten"
FLOPS: Final[Mapping[str, tuple[Mapping[str, str], str]]] = {
    ONE_GENERATION: (
        after(
            "openclawd.protocol.versions",
            "_both = negotiate\n"
            "def negotiate(low, high, *, mode):\n    return _both(low, min(high, V3), mode=mode)",
        ),
        "a client of v4 is told: The gateway at 127.0.0.1:",
    ),
    "the page is not there": (
        after(
            "openclawd.net.static",
            "async def _nothing(self, path):\n    return None\nSite._find = _nothing",
        ),
        "does not show its page (",
    ),
    "a paired device is not known": (
        after("openclawd.auth.devices", "PairedDevices.find = lambda self, device_id: None"),
        "pairing required",
    ),
    "whoever comes is let in": (
        after(
            "openclawd.auth.credentials",
            "def presented_secret(auth, shared):\n    return shared.token.reveal()",
        ),
        "a client with a wrong token is let in",
    ),
    "messages are not answered": (
        after(
            "openclawd.sessions.session",
            "async def _never(self, run):\n    await trio.sleep_forever()\nSession._do = _never",
        ),
        "a client of v3 is told: The gateway at 127.0.0.1:",
    ),
    FORGETFUL: (
        before_it_lives(
            "await self._parts.setting.database.write(lambda each: each.execute('DELETE FROM messages'))"
        ),
        "what was said before a restart is gone",
    ),
    "it leaves as soon as it serves": (
        before_it_lives("import os; os.fork() and os._exit(0)"),
        "it ended by itself: exit code 0",
    ),
    "it does not end": (
        after(
            "openclawd.daemon.generation",
            "_heed = heed_signals\n"
            "async def heed_signals(signals, *, stop, **more):\n"
            "    await _heed(signals, stop=lambda *_: None, **more)",
        ),
        "it does not end within 15 s when it is told to (SIGTERM)",
    ),
}


def flops() -> list[object]:
    return [pytest.param(each, marks=() if each == FORGETFUL else full) for each in FLOPS]


@pytest.mark.parametrize("name", flops())
def test_what_a_client_would_suffer_from_shows(installed: Path, tmp_path: Path, name: str) -> None:
    changed, reason = FLOPS[name]
    folder = variant(installed, tmp_path / NEW, NEW, changed)
    with pytest.raises(CannotUpdate) as refused:
        rehearse(Staged(NEW, folder), None)
    assert reason in refused.value.reason


def test_nothing_has_changed_where_the_rehearsal_fails(installed: Path, tmp_path: Path) -> None:
    with host(installed, tmp_path) as here:
        bad = here.installation.slot("0.7.1")
        variant(installed, bad, "0.7.1", FLOPS[ONE_GENERATION][0])
        pid = here.supervisor.pid
        updated = here.command("update", "run", "0.7.1")
        assert updated.returncode == 1, updated.stdout
        assert (
            "No update: 0.7.1 is not well, as its rehearsal shows: a client of v4 is told" in updated.stderr
        )
        assert (here.serves(), here.supervisor.pid, here.installation.trial.exists()) == (OLD, pid, False)
        status = here.status()
        assert (status["version"], status["last"]["outcome"]) == (OLD, "failed")
