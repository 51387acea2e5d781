"""One generation of the process: all that happens in its event loop."""

import gc
import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from openclawd import __version__
from openclawd.config.load import LoadedConfig
from openclawd.config.problems import ConfigError
from openclawd.config.settings import Flags, GatewaySettings
from openclawd.daemon.allocator import keep_freed_memory
from openclawd.daemon.announcement import print_link
from openclawd.daemon.backups import precautions
from openclawd.daemon.certificate import Certificates
from openclawd.daemon.coordinator import Coordinator
from openclawd.daemon.handover import Handover
from openclawd.daemon.house import House, Left, Sockets
from openclawd.daemon.image import Image
from openclawd.daemon.lifecycle import State
from openclawd.daemon.limits import limiter_key
from openclawd.daemon.log import Logging
from openclawd.daemon.notify import Notifier
from openclawd.daemon.on_trial import OnTrial, disarm, on_trial, see_trial_through
from openclawd.daemon.parts import Setting, now_ms
from openclawd.daemon.preflight import SURVIVABLE, preflight
from openclawd.daemon.proof import Proof
from openclawd.daemon.serving import serving_words
from openclawd.daemon.signals import heed_signals, keep_signals_for_the_next, received_signals
from openclawd.daemon.watchdog import reported, watchdog_timeout_s
from openclawd.methods.services import LastRestart, RestartRequest
from openclawd.store.database import open_database
from openclawd.store.facts import Facts

# Objects more than before, and collections of each generation, until the next. To look at everything that a
# thousand clients hold takes 0.15 s, in which nobody is served: so it waits until there are as many objects
# more as these. Only so are found some fifty objects of a client that has left.
_COLLECTED_AFTER: Final = (2_000, 10, 10)

_log = logging.getLogger("openclawd.gateway")


@attrs.define(eq=False, repr=False)
class Generation:
    """What it is started with; `live` is its life."""

    environ: Mapping[str, str]
    flags: Flags
    loaded: LoadedConfig
    settings: GatewaySettings
    config_problem: ConfigError | None
    check_config: Callable[[LoadedConfig], None]
    sockets: Sockets
    certificates: Certificates | None
    log: Logging
    notifier: Notifier
    inherited: Handover | None
    image: Image
    """Of the next one."""

    secrets: Mapping[str, str]
    """The values of flags that are not in the words of `image`."""

    on_terminal: bool
    become_next: Callable[[Coordinator, Left], None]
    """Executes the next one; returns only when that cannot be."""

    _trial: OnTrial | None = attrs.Factory(on_trial)

    async def live(self) -> bool:
        """Serve until told to stop, or to restart, when another program is executed and this never returns;
        False when there was none that could be.
        """
        async with trio.open_nursery(strict_exception_groups=True) as door_nursery:
            coordinator, left = await self._serve(door_nursery)
            is_last = left is None or coordinator.state is State.STOPPING
            if left is not None and not is_last:
                # The tasks of those who were told to go sleep on. To end a thousand takes 0.15 s.
                self.become_next(coordinator, left)
            door_nursery.cancel_scope.cancel()
        return is_last

    async def _serve(self, door_nursery: trio.Nursery) -> tuple[Coordinator, Left | None]:
        """Who knows whether this was to restart or to stop, and what the next generation gets."""
        paths = self.loaded.paths
        check = partial(preflight, self.image.checking(), self.secrets, listening=self.settings.port or None)
        proof = Proof(Path(self.image.path), check, partial(check, survivable=SURVIVABLE))
        coordinator = Coordinator(
            generation=self.inherited.generation if self.inherited is not None else 1,
            preflight=proof.begin,
            renew=proof.renew,
            changed=self._changed,
        )
        # Handlers first: what came between two generations waits for them.
        with received_signals() as signals:
            watchdog_s = watchdog_timeout_s(self.environ, os.getpid())
            told = reported(
                self.notifier,
                lambda: coordinator.state,
                watchdog_s,
                lambda: self._serving(house, coordinator),
            )
            care = precautions(
                paths, self.loaded.config.openclawd.backup, on_trial=self._trial is not None, now_ms=now_ms
            )
            async with told, open_database(paths.database, paths.backups, care) as database:
                setting = Setting(
                    loaded=self.loaded,
                    settings=self.settings,
                    database=database,
                    address=self.sockets.address,
                    log_file=self.log.path,
                    check_config=self.check_config,
                    flags=self.flags,
                    certificates=self.certificates,
                    limiter_key=await limiter_key(Facts(database)),
                    restart=coordinator,
                    set_log_level=self.log.set_level,
                    config_problem=self.config_problem,
                    journal=self.inherited.journal if self.inherited is not None else None,
                )
                house = House(setting, self.sockets)
                async with trio.open_nursery(strict_exception_groups=True) as signal_nursery:
                    soon = signal_nursery.start_soon
                    soon(coordinator.serve)
                    soon(
                        see_trial_through,
                        lambda reason: house.restart(coordinator, RestartRequest(reason, "update")),
                    )
                    soon(
                        partial(
                            heed_signals,
                            signals,
                            stop=coordinator.stop,
                            restart=lambda name: soon(
                                house.restart, coordinator, RestartRequest(name, "signal")
                            ),
                            reload=None
                            if self.on_terminal
                            else lambda: soon(self._reload, house, coordinator),
                        )
                    )
                    announce = partial(self._announce, house, coordinator)
                    left = await house.live(coordinator, door_nursery, started=announce)
                    signal_nursery.cancel_scope.cancel()
            # Also where there is no next one: a process that ends would end of the signal, and not well.
            await keep_signals_for_the_next()
            return coordinator, left

    def _changed(self, state: State, words: str) -> None:
        if state is State.HANDING_OVER:
            # All of this ends in a moment: what is unused in it need not be looked for.
            gc.disable()
        self.notifier.changed(state, words)

    async def _reload(self, house: House, coordinator: Coordinator) -> None:
        if coordinator.state is State.READY:
            self.notifier.reloading("reading the configuration again")
        await house.reload(coordinator)
        if coordinator.state is State.READY:
            self.notifier.reloaded()

    def _serving(self, house: House, coordinator: Coordinator) -> str:
        # One that was none at the start is none later.
        self._trial = on_trial() if self._trial is not None else None
        return serving_words(
            port=self.sockets.address[1],
            bind=self.settings.bind,
            clients=house.clients,
            generation=coordinator.generation,
            on_trial_from=self._trial.trial.from_version if self._trial is not None else None,
            problem=coordinator.problem,
            troubles=house.troubles,
        )

    def _announce(self, house: House, coordinator: Coordinator) -> None:
        # What was built until here lives as long as the process; collections need not look at it.
        gc.freeze()
        gc.set_threshold(*_COLLECTED_AFTER)
        keep_freed_memory()
        disarm()
        host, port = self.sockets.address
        fields: dict[str, object] = {
            "version": __version__,
            "pid": os.getpid(),
            "address": host,
            "port": port,
            "bind": self.settings.bind,
            "auth": self.settings.auth_mode,
            "state": str(self.loaded.paths.state_dir),
            "generation": coordinator.generation,
        }
        if self.inherited is not None:
            coordinator.last_restart = LastRestart(
                self.inherited.reason, self.inherited.left_at_ms, max(0, now_ms() - self.inherited.left_at_ms)
            )
            fields |= {"after": self.inherited.reason, "gapMs": coordinator.last_restart.gap_ms}
        _log.info("ready", extra={"fields": fields})
        self.notifier.ready(self._serving(house, coordinator))
        if self.inherited is None:
            print_link(self.settings, host, port, self.environ, self.certificates)
