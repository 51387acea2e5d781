"""Updates, as a gateway sees them: whether there is something newer, one that was asked for here, and how any
of them goes on, whoever began it.

What is newer was found out by `openclawd update check` and is remembered in the database, as a gateway that
restarts each hour should not look each hour. An update is `openclawd update run`, which outlives this
process: each generation watches the files of the installation and tells administrators what it sees.
"""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import attrs
import orjson
import trio

from openclawd.auth.scopes import ADMIN
from openclawd.config.model import Config
from openclawd.daemon.update_program import RunningUpdate, UpdateProgram
from openclawd.daemon.update_schedule import is_due, is_quiet, was_tried
from openclawd.daemon.update_watch import EVENT, UpdateWatch
from openclawd.events.event import Event
from openclawd.methods.services import BegunUpdate, Restarter, UpdateRefused
from openclawd.slots.layout import Installation
from openclawd.slots.progress import Phase, read_progress, updater_pid
from openclawd.slots.trial import is_well, read_last, read_trial
from openclawd.store.facts import Facts

# A start has better things to do, and a version on trial is not replaced.
FIRST_AFTER_S: Final = 60.0
SCHEDULE_EVERY_S: Final = 60.0
# Two files are looked at.
WATCH_EVERY_S: Final = 1.0
WATCH_CLOSELY_S: Final = 0.25
_FACT: Final = "update.found"
_AS_ROOT: Final = "sudo openclawd update run"

_log = logging.getLogger("openclawd.update")


@attrs.frozen(eq=False, repr=False)
class Found:
    """What the last look found. `latest`: what is newer than `current`, None if nothing is."""

    at_ms: int
    current: str
    channel: str
    latest: str | None = None
    notes: str | None = None
    command: str | None = None
    """What brings it here, typed by the one who may."""


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
        self._facts = facts
        self._restart = restart
        self._publish = publish
        self._now_ms = now_ms
        self._local_time = local_time
        self._found: Found | None = None
        self._looked_at_ms: int | None = None
        self._problem: UpdateRefused | None = None
        self._checking = trio.Lock()
        self._is_busy = False
        self._running: RunningUpdate | None = None
        self._begun = trio.Event()
        self._watch = UpdateWatch()
        self._nursery: trio.Nursery | None = None

    # --- what is known

    @property
    def available(self) -> dict[str, object] | None:
        """What is newer, as stock tells it."""
        found = self._valid()
        if found is None or found.latest is None:
            return None
        return {
            "currentVersion": self._version,
            "latestVersion": found.latest,
            "channel": found.channel,
        }

    def status(self) -> dict[str, object]:
        """For administrators; what is not known is left out."""
        found, wanted = self._valid(), self._config()
        told: dict[str, object | None] = {
            "version": self._version,
            "channel": _channel(wanted),
            "auto": wanted.openclawd.update.auto,
            "checkedAtMs": found.at_ms if found is not None else None,
            "notes": found.notes if found is not None else None,
            "command": found.command if found is not None else None,
            "updatesItself": self._updates_itself(),
        }
        if self._problem is not None:
            told |= {"checkProblem": self._problem.reason, "checkCure": self._problem.cure}
        if self._installation is not None:
            told |= _standing(self._installation)
            if not self._updates_itself():
                told["command"] = _AS_ROOT
        return {key: value for key, value in told.items() if value is not None}

    def _updates_itself(self) -> bool:
        """Whether this process may change the installation; a service's own user often may not."""
        return self._installation is not None and os.access(self._installation.root, os.W_OK)

    # --- what is done

    async def check(self) -> None:
        """Look for something newer now. Raises UpdateRefused."""
        async with self._checking:
            before = self.available
            try:
                told = await self._program.check()
            except UpdateRefused as refused:
                self._problem = refused
                raise
            self._problem, self._looked_at_ms = None, self._now_ms()
            newer = told.get("updateAvailable")
            self._found = Found(
                self._now_ms(),
                self._version,
                _channel(self._config()),
                _text(newer.get("latestVersion")) if isinstance(newer, dict) else None,
                _text(told.get("notes")),
                _text(told.get("command")),
            )
            await self._facts.put(_FACT, orjson.dumps(attrs.asdict(self._found)))
            if self.available != before:
                self._tell_available()

    async def run(self, conn: str) -> BegunUpdate:
        """Have the newest version; see the protocol of methods/services.py."""
        if self._nursery is None or self._is_busy:
            raise UpdateRefused("an update is under way", "openclawd update status")
        _log.info("update begun", extra={"fields": {"version": self._version, "conn": conn}})
        self._is_busy = True
        try:
            running = self._running = await self._program.start()
        except BaseException:
            self._is_busy = False
            raise
        if self._nursery is None:
            raise UpdateRefused("the gateway is on its way out, and the update goes on")
        self._begun.set()
        ended, outcome = trio.Event(), list[dict[str, Any] | UpdateRefused]()
        self._nursery.start_soon(self._see_to_its_end, running, outcome, ended)
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

    async def serve(self) -> None:
        """Until cancelled. An update goes on without it."""
        await self._recall()
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
        failed = self._problem is not None
        if self._watch.under_way or not is_due(
            self._looked_at_ms, self._now_ms(), every_hours=wanted.every_hours, failed=failed
        ):
            return
        self._looked_at_ms = self._now_ms()
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
        if was_tried(latest, read_last(installation)):
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
            if now is None and pid is not None:
                self._bury(pid)
            pid = now
            closely = now is not None or self._running is not None
            with trio.move_on_after(WATCH_CLOSELY_S if closely else WATCH_EVERY_S):
                await self._begun.wait()
            self._begun = trio.Event()

    def _bury(self, pid: int) -> None:
        """A child of the generation before, which is this process, would be a zombie until it ends."""
        if pid > 0 and (self._running is None or self._running.pid != pid):
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    # --- what was found

    def _valid(self) -> Found | None:
        """Of this version and this channel; what another one found is of no use."""
        found = self._found
        if found is None or (found.current, found.channel) != (self._version, _channel(self._config())):
            return None
        return found

    async def _recall(self) -> None:
        kept = await self._facts.get(_FACT)
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            told = orjson.loads(kept or b"")
            self._found = Found(
                int(told["at_ms"]),
                str(told["current"]),
                str(told["channel"]),
                _text(told.get("latest")),
                _text(told.get("notes")),
                _text(told.get("command")),
            )
        found = self._valid()
        if found is not None:
            self._looked_at_ms = found.at_ms

    def _tell_available(self) -> None:
        payload: dict[str, object] = {"updateAvailable": self.available}
        self._publish(Event("update.available", payload, drop_if_slow=True))


def _standing(installation: Installation) -> dict[str, object | None]:
    """What the files of the installation say."""
    trial, last = read_trial(installation), read_last(installation)
    progress = read_progress(installation) if updater_pid(installation) is not None else None
    on_trial = trial is not None and not is_well(trial)
    return {
        "previous": installation.previous_version(),
        "progress": progress.document() if progress is not None else None,
        "trial": {"from": trial.from_version, "to": trial.to_version} if trial and on_trial else None,
        "last": last.document() if last is not None else None,
    }


def _channel(config: Config) -> str:
    return "stable" if config.update.channel == "stable" else "beta"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
