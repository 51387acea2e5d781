"""Updates, as a gateway sees them: whether there is something newer, one that was asked for here, and how any
of them goes on, whoever began it.

An update is `openclawd update run`, which outlives this process: each generation watches the files of the
installation and tells administrators what it sees.
"""

import logging
import os
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import trio

from openclawd.auth.scopes import ADMIN
from openclawd.config.model import Config
from openclawd.daemon.update_lookout import Lookout, channel_of
from openclawd.daemon.update_program import RunningUpdate, UpdateProgram
from openclawd.daemon.update_schedule import is_quiet, was_tried
from openclawd.daemon.update_watch import EVENT, UpdateWatch
from openclawd.events.event import Event
from openclawd.methods.services import BegunUpdate, Restarter, UpdateRefused
from openclawd.slots.document import document_of
from openclawd.slots.layout import Installation
from openclawd.slots.progress import Phase, read_progress, updater_pid
from openclawd.slots.trial import read_failed, read_last, read_trial
from openclawd.store.facts import Facts

# A start has better things to do, and a version on trial is not replaced.
FIRST_AFTER_S: Final = 60.0
SCHEDULE_EVERY_S: Final = 60.0
# Two files are looked at.
WATCH_EVERY_S: Final = 1.0
WATCH_CLOSELY_S: Final = 0.25
_AS_ROOT: Final = "sudo openclawd update run"

_log = logging.getLogger("openclawd.update")


class Updates:
    """`serve` must run for anything to be told, and for updates to be begun."""

    def __init__(
        self,
        *,
        version: str,
        installation: Installation | None,
        program: UpdateProgram,
        config: Callable[[], Config],
        facts: Facts,
        restart: Restarter,
        publish: Callable[[Event], None],
        now_ms: Callable[[], int],
        local_time: Callable[[], datetime],
    ) -> None:
        """`installation` is None where the program was installed in another way; `local_time` is the clock on
        the wall.
        """
        self._version = version
        self._installation = installation
        self._program = program
        self._config = config
        self._restart = restart
        self._publish = publish
        self._local_time = local_time
        self._lookout = Lookout(
            version=version, program=program, config=config, facts=facts, publish=publish, now_ms=now_ms
        )
        self._is_busy = False
        self._running: RunningUpdate | None = None
        self._begun = trio.Event()
        self._watch = UpdateWatch()
        self._nursery: trio.Nursery | None = None

    # --- what is known

    @property
    def available(self) -> dict[str, object] | None:
        """What is newer, as stock tells it."""
        return self._lookout.available

    def status(self) -> dict[str, object]:
        """For administrators; what is not known is left out."""
        found, problem, wanted = self._lookout.found, self._lookout.problem, self._config()
        told: dict[str, object | None] = {
            "version": self._version,
            "channel": channel_of(wanted),
            "auto": wanted.openclawd.update.auto,
            "checkedAtMs": found.at_ms if found is not None else None,
            "notes": found.notes if found is not None else None,
            "command": found.command if found is not None else None,
            "updatesItself": self._updates_itself(),
        }
        if problem is not None:
            told |= {"checkProblem": problem.reason, "checkCure": problem.cure}
        if self._installation is not None:
            told |= document_of(self._installation)
            if not self._updates_itself():
                told["command"] = _AS_ROOT
        return {key: value for key, value in told.items() if value is not None}

    def _updates_itself(self) -> bool:
        """Whether this process may change the installation; a service's own user often may not."""
        return self._installation is not None and os.access(self._installation.root, os.W_OK)

    # --- what is done

    async def check(self) -> None:
        """Look for something newer now. Raises UpdateRefused."""
        await self._lookout.check()

    async def run(self, conn: str) -> BegunUpdate:
        """Have the newest version; see the protocol of methods/services.py."""
        if self._is_busy:
            raise UpdateRefused("an update is under way", "openclawd update status")
        self._at_work()
        _log.info("update begun", extra={"fields": {"version": self._version, "conn": conn}})
        self._is_busy = True
        try:
            running = self._running = await self._program.start()
            nursery = self._at_work()
        except BaseException:
            self._running, self._is_busy = None, False
            raise
        self._begun.set()
        ended, outcome = trio.Event(), list[dict[str, Any] | UpdateRefused]()
        nursery.start_soon(self._see_to_its_end, running, outcome, ended)
        while not self._restarts_for(running):
            with trio.move_on_after(WATCH_CLOSELY_S):
                await ended.wait()
                break
        if not outcome:
            progress = read_progress(self._installation) if self._installation is not None else None
            return BegunUpdate(progress.to_version if progress is not None else None)
        (how,) = outcome
        if isinstance(how, UpdateRefused):
            raise UpdateRefused(how.reason, how.cure)
        return BegunUpdate(_text(how.get("to")))

    def _at_work(self) -> trio.Nursery:
        """Raises UpdateRefused before `serve` runs and after it has ended."""
        if self._nursery is None:
            raise UpdateRefused("the gateway starts or leaves at this moment", "openclawd update status")
        return self._nursery

    async def serve(self) -> None:
        """Until cancelled. An update goes on without it."""
        await self._lookout.recall()
        async with trio.open_nursery(strict_exception_groups=True) as updates_nursery:
            self._nursery = updates_nursery
            try:
                if self._installation is not None:
                    updates_nursery.start_soon(self._watch_installation, self._installation)
                await self._go_by_schedule()
            finally:
                self._nursery = None

    # --- by itself

    async def _go_by_schedule(self) -> None:
        await trio.sleep(FIRST_AFTER_S)
        while True:
            await self._look_if_due()
            await trio.sleep(SCHEDULE_EVERY_S)

    async def _look_if_due(self) -> None:
        wanted = self._config().openclawd.update
        if wanted.auto == "off" or is_quiet(wanted.quiet_hours, self._local_time().time()):
            return
        if self._watch.under_way or not self._lookout.begin_if_due():
            return
        try:
            await self.check()
            if wanted.auto == "install":
                await self._install()
        except UpdateRefused as refused:
            _log.warning("no update", extra={"fields": {"reason": refused.reason}})

    async def _install(self) -> None:
        """Raises UpdateRefused."""
        installation, available = self._installation, self.available
        if installation is None or available is None or not self._updates_itself():
            return
        if read_trial(installation) is not None:
            return
        latest = str(available["latestVersion"])
        # What failed since then, as for want of a network, does not hide a version that was rolled back.
        if was_tried(latest, read_last(installation), read_failed(installation)):
            _log.info("not tried again by itself", extra={"fields": {"version": latest}})
            return
        await self.run("schedule")

    # --- an update under way

    async def _see_to_its_end(
        self, running: RunningUpdate, outcome: list[dict[str, Any] | UpdateRefused], ended: trio.Event
    ) -> None:
        try:
            outcome.append(await running.ended())
        except UpdateRefused as refused:
            outcome.append(refused)
            _log.warning("update not done", extra={"fields": {"reason": refused.reason}})
        finally:
            self._running, self._is_busy = None, False
            ended.set()

    def _restarts_for(self, running: RunningUpdate) -> bool:
        """Whether it has put its version in its place, and the restart that it asked for is to come."""
        progress = read_progress(self._installation) if self._installation is not None else None
        if progress is None or progress.pid != running.pid:
            return False
        return progress.phase is Phase.RESTARTING and self._restart.restart_pending

    async def _watch_installation(self, installation: Installation) -> None:
        pid: int | None = None
        while True:
            now = updater_pid(installation)
            told = self._watch.look(read_progress(installation), alive=now is not None)
            if told is not None:
                self._publish(Event(EVENT, told, scope=ADMIN, drop_if_slow=True))
            if now is not None:
                pid = now
            elif pid is not None and self._is_buried(pid):
                pid = None
            closely = now is not None or self._running is not None
            with trio.move_on_after(WATCH_CLOSELY_S if closely else WATCH_EVERY_S):
                await self._begun.wait()
            self._begun = trio.Event()

    def _is_buried(self, pid: int) -> bool:
        """A child of the generation before, which is this process, would be a zombie until it ends. It lets
        go of its lock before it has ended: false until then.
        """
        if pid <= 0 or (self._running is not None and self._running.pid == pid):
            return True
        try:
            return os.waitpid(pid, os.WNOHANG) != (0, 0)
        except ChildProcessError:
            return True


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
