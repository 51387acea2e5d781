"""A host without processes: an installation on the disk, and a gateway that does what its version is told.

Its supervisor is the real guard, run once a start; `update judge` that the guard starts is a shell script.
"""

from collections.abc import Callable

import attrs

from openclawd.slots.layout import Installation
from openclawd.slots.progress import Progress
from openclawd.update.gateway import Before
from openclawd.update.judge import Look
from openclawd.update.run import Updater
from openclawd.update.staged import Staged
from openclawd.update.verdicts import Clock
from tests.slots.installed import NEW, guard


@attrs.define
class World:
    """One host. `behaves` says by version what a gateway of it shows; None: it dies as it starts."""

    installation: Installation
    behaves: dict[str, Callable[["World"], Look | None]]
    supervised: bool = True
    refuses: str | None = None
    now_s: float = 0.0
    life: int = 0
    running: str | None = None
    killed: list[str] = attrs.Factory(list)
    told: list[Progress] = attrs.Factory(list)
    at_s: dict[float, Callable[[], None]] = attrs.Factory(dict)
    """What happens by itself, and when."""

    # --- the gateway

    def boot(self) -> None:
        """A supervised start; one that dies is started again."""
        for _ in range(4):
            version = guard(self.installation).stdout.strip()
            if self._starts(version):
                return

    def _starts(self, version: str) -> bool:
        self.life += 1
        self.running = version
        if self.behaves[version](self) is not None:
            return True
        self.running = None
        return False

    def before(self) -> Before | None:
        return Before(self.running, self.life) if self.running is not None else None

    def look(self, before: Before | None) -> Look:
        if self.running is not None:
            seen = self.behaves[self.running](self)
            if seen is not None:
                return attrs.evolve(seen, at_s=self.now_s, life=self.life)
            self._dies()
        return Look(self.now_s, None, problems=("nobody listens",))

    def restart(self, reason: str) -> str | None:
        if self.refuses is not None:
            return self.refuses
        version = self.installation.current_version()
        assert version is not None
        if not self._starts(version) and self.supervised:
            self.boot()
        return None

    def kill(self, version: str) -> None:
        if self.running == version:
            self.killed.append(version)
            self._dies()

    def _dies(self) -> None:
        self.running = None
        if self.supervised:
            self.boot()

    def is_alive(self) -> bool:
        return self.running is not None

    def start(self) -> bool:
        return False

    # --- the updater

    def updater(self, window_s: int = 30) -> Updater:
        return Updater(
            installation=self.installation,
            gateway=self,
            tell=self.told.append,
            examine=lambda _staged: None,
            window_s=window_s,
            keep=3,
            clock=Clock(lambda: self.now_s, self._sleep),
        )

    def staged(self, *_: object) -> Staged:
        return Staged(NEW, self.installation.slot(NEW))

    def _sleep(self, seconds: float) -> None:
        self.now_s += seconds
        for due_s in [each for each in self.at_s if each <= self.now_s]:
            self.at_s.pop(due_s)()

    @property
    def phases(self) -> list[str]:
        return [each.phase.value for each in self.told]


def serves(version: str) -> Callable[[World], Look]:
    return lambda _: Look(0, version)


def dies(_: World) -> None:
    return None


def hangs(_: World) -> Look:
    return Look(0, None, problems=("no answer within 2 s",))
