"""The configuration file, watched: what is read, and what restarts the gateway."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import attrs
import pytest
import trio
import trio.testing

from openclawd.config.file import ConfigFile
from openclawd.config.load import LoadedConfig, load_config
from openclawd.config.paths import Paths
from openclawd.config.problems import ConfigError
from openclawd.daemon.access import Access
from openclawd.daemon.config_watch import ConfigWatch
from openclawd.methods.services import (
    Reloaded,
    Restarter,
    RestartRefused,
    RestartRequest,
    RestartTicket,
)

FILE = "{gateway: {reload: {mode: '%s', debounceMs: 0}, port: %d}}"


@attrs.define
class Gateway:
    """As much of an access as the watch needs: it goes by the file, and the port needs a restart."""

    file: ConfigFile
    loaded: LoadedConfig
    last: Reloaded | None = None
    read: list[int] = attrs.field(factory=list)
    refusals: list[str] = attrs.field(factory=list)

    async def keep_last_good(self) -> None:
        """Nothing is kept here."""

    async def reload(self) -> Reloaded:
        self.read.append(0)
        self.loaded = self.file.load()
        self.read[-1] = self.loaded.config.gateway.port
        is_new = self.read[-1] != 18789
        self.last = Reloaded((), ("gateway.port",)) if is_new else Reloaded(("ui",), ())
        return self.last

    def restart_refused(self, keys: tuple[str, ...], reason: str) -> None:
        self.refusals.append(f"{', '.join(keys)}: {reason}")


@attrs.define
class Restarts:
    """Who is asked to restart the gateway."""

    restart_pending: bool = False
    refusal: str | None = None
    asked: list[str] = attrs.field(factory=list)
    withdrawn: int = 0

    def withdraw(self) -> None:
        self.withdrawn += 1

    async def request(self, wanted: RestartRequest) -> RestartTicket:
        self.asked.append(f"{wanted.reason}, again" if wanted.again else wanted.reason)
        if self.refusal is not None:
            raise RestartRefused(self.refusal)
        return RestartTicket(0, coalesced=False)


@attrs.define
class Scene:
    """A file that is watched."""

    path: Path
    gateway: Gateway
    restarts: Restarts

    def watch(self) -> ConfigWatch:
        return ConfigWatch(cast(Access, self.gateway), self.gateway.file, cast(Restarter, self.restarts))

    async def after(self, text: str) -> tuple[list[int], list[str]]:
        """What was read and asked for when the file has this text."""
        self.path.write_text(text)
        watch = self.watch()
        for _ in range(3):
            await watch.look()
        return self.gateway.read, self.restarts.asked


@pytest.fixture
def scene(tmp_path: Path) -> Callable[[str], Scene]:
    def made(mode: str) -> Scene:
        paths = Paths(state_dir=tmp_path, config_file=tmp_path / "openclaw.json")
        paths.config_file.write_text(FILE % (mode, 18789))
        loaded = load_config(paths, {})
        file = ConfigFile(loaded, check=lambda _: None)
        return Scene(paths.config_file, Gateway(file, loaded), Restarts())

    return made


Make = Callable[[str], Scene]


async def test_a_file_that_says_what_the_gateway_goes_by_is_not_applied_again(scene: Make) -> None:
    here = scene("hybrid")
    assert await here.after(here.path.read_text()) == ([], [])


@pytest.mark.parametrize(
    ("mode", "read", "asked"),
    [
        ("hybrid", [99], ["changed: gateway.port"]),
        ("restart", [99], ["changed: gateway.port"]),
        ("hot", [99], []),
        ("off", [], []),
    ],
)
async def test_each_mode_restarts_as_it_says(
    scene: Make, mode: str, read: list[int], asked: list[str]
) -> None:
    assert await scene(mode).after(FILE % (mode, 99)) == (read, asked)


async def test_only_in_mode_restart_what_counts_at_once_restarts_too(scene: Make) -> None:
    more = "{ui: {}, gateway: {reload: {mode: '%s', debounceMs: 0}}}"
    assert await scene("restart").after(more % "restart") == ([18789], ["changed: ui"])
    assert await scene("hybrid").after(more % "hybrid") == ([18789], [])


async def test_a_broken_file_is_tried_once_and_restarts_nothing(scene: Make) -> None:
    assert await scene("hybrid").after("{gateway: {") == ([0], [])


async def test_what_somebody_else_had_applied_restarts_the_gateway_all_the_same(scene: Make) -> None:
    here = scene("hybrid")
    here.path.write_text(FILE % ("hybrid", 99))
    await here.gateway.reload()
    assert await here.after(FILE % ("hybrid", 99)) == ([99], ["changed: gateway.port"])


async def test_a_restart_that_somebody_else_asked_for_is_not_hurried(scene: Make) -> None:
    here = scene("hybrid")
    here.restarts.restart_pending = True
    assert await here.after(FILE % ("hybrid", 99)) == ([99], [])


async def test_a_refused_restart_is_told_and_not_asked_for_again(scene: Make) -> None:
    here = scene("hybrid")
    here.restarts.refusal = "it does not start"
    assert await here.after(FILE % ("hybrid", 99)) == ([99], ["changed: gateway.port"])
    assert here.gateway.refusals == ["gateway.port: it does not start"]


async def test_a_refused_restart_is_tried_again_until_nothing_stands_in_its_way(
    scene: Make, autojump_clock: trio.testing.MockClock
) -> None:
    here = scene("hybrid")
    here.restarts.refusal = "the port is taken"
    here.path.write_text(FILE % ("hybrid", 99))
    watch = here.watch()
    await watch.look()
    # After 10 s, 20 s more, 40 s more.
    for wait_s in (9, 1, 19, 1, 39, 1):
        await trio.sleep(wait_s)
        await watch.look()
    assert here.restarts.asked == ["changed: gateway.port", *["changed: gateway.port, again"] * 3]
    assert here.gateway.read == [99]


async def test_a_restart_that_was_called_off_after_all_is_asked_for_again(
    scene: Make, autojump_clock: trio.testing.MockClock
) -> None:
    here = scene("hybrid")
    here.path.write_text(FILE % ("hybrid", 99))
    watch = here.watch()
    await watch.look()
    here.restarts.restart_pending = True
    await trio.sleep(60)
    await watch.look()
    assert here.restarts.asked == ["changed: gateway.port"]
    here.restarts.restart_pending = False
    await watch.look()
    assert here.restarts.asked == ["changed: gateway.port", "changed: gateway.port, again"]


async def test_a_refused_restart_that_the_file_no_longer_needs_is_forgotten(
    scene: Make, autojump_clock: trio.testing.MockClock
) -> None:
    here = scene("hybrid")
    here.restarts.refusal = "the port is taken"
    here.path.write_text(FILE % ("hybrid", 99))
    watch = here.watch()
    await watch.look()
    here.path.write_text(FILE % ("hybrid", 18789) + " ")
    for _ in range(3):
        await watch.look()
    await trio.sleep(600)
    await watch.look()
    assert here.restarts.asked == ["changed: gateway.port"]
    assert here.restarts.withdrawn == 1


async def test_a_broken_file_ends_the_tries_for_the_one_before(
    scene: Make, autojump_clock: trio.testing.MockClock
) -> None:
    here = scene("hybrid")
    here.restarts.refusal = "the port is taken"
    here.path.write_text(FILE % ("hybrid", 99))
    watch = here.watch()
    await watch.look()
    here.path.write_text("{gateway: {")
    for _ in range(3):
        await watch.look()
    await trio.sleep(600)
    await watch.look()
    assert here.restarts.asked == ["changed: gateway.port"]


async def test_a_file_that_was_taken_away_is_not_gone_by(scene: Make) -> None:
    here = scene("hybrid")
    here.path.unlink()
    with pytest.raises(ConfigError, match="is gone"):
        await here.gateway.reload()
