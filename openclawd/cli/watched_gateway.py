"""The gateway of a state directory as `openclawd update` sees it and acts on it: watched, restarted, killed,
started.
"""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from openclawd.cli.failure import Failure
from openclawd.cli.rpc import Rpc, converse
from openclawd.cli.service_unit import Unit, unit_of
from openclawd.cli.target import local_socket
from openclawd.cli.trial_probes import Known, Probes
from openclawd.cli.trial_visit import Seen, one_line, visit
from openclawd.config.paths import Paths
from openclawd.daemon.lock import running_pid
from openclawd.daemon.preflight import TIMEOUT_S as CHECK_TIMEOUT_S
from openclawd.service.found import find_service
from openclawd.service.launchctl import Launchctl, LaunchctlRefused
from openclawd.service.systemctl import Systemctl, SystemctlRefused
from openclawd.service.tool import Told, ask
from openclawd.slots.executing import executable_of
from openclawd.slots.layout import Installation, version_of_slot
from openclawd.update.gateway import Before
from openclawd.update.judge import Look

# A visit is more than a question: of these not one a look.
_VISIT_EVERY_S: Final = 2.0
_START_PATIENCE_S: Final = 30.0


class WatchedGateway:
    """One that runs, or will. Nothing raises."""

    def __init__(self, installation: Installation, paths: Paths, environ: Mapping[str, str]) -> None:
        self._installation = installation
        self._paths = paths
        self._environ = environ
        self._probes = Probes(paths, environ)
        self._seen: Seen | None = None
        self._seen_s = -_VISIT_EVERY_S
        self._unit: Unit | None = None

    # --- looking

    def before(self) -> Before | None:
        """How it is, and which of the probes it passes; None where none answers."""
        try:
            seen = visit(self._paths)
        except Failure:
            return None
        pid = running_pid(self._paths.lock_file)
        self._unit = unit_of(pid) if pid is not None else None
        return Before(seen.version, seen.life, self._probes.known(seen).document())

    def look(self, before: Before | None) -> Look:
        """A question each time, a visit every two seconds, and whenever the last one went wrong."""
        at_s = time.monotonic()
        known = Known.of(before)
        if self._seen is None or at_s - self._seen_s >= _VISIT_EVERY_S:
            try:
                self._seen, self._seen_s = visit(self._paths), at_s
            except Failure as failure:
                self._seen = None
                return Look(at_s, None, problems=(one_line(failure.message),))
        seen = self._seen
        if before is not None and seen.life == before.life:
            self._seen = None  # it is about to go
            return Look(at_s, seen.version, seen.life)
        if at_s == self._seen_s:
            self._probes.shake_hands(seen, known)
        wrong = tuple(self._probes.problems(seen, known))
        if any(each.startswith("the local socket") for each in wrong):
            self._seen = None
        return Look(at_s, seen.version, seen.life, wrong, tuple(self._probes.faults(seen, known)))

    # --- acting

    def restart(self, reason: str) -> str | None:
        """None where it will; it is answered once the program to execute has proved that it could start."""
        self._seen = None

        async def ask(rpc: Rpc) -> None:
            await rpc.ask("gateway.restart.request", {"reason": reason, "skipDeferral": True})

        try:
            converse(list(local_socket(self._paths)), ask, timeout_ms=int((CHECK_TIMEOUT_S + 10) * 1000))
        except Failure as failure:
            return one_line(failure.message)
        except Exception as error:  # noqa: BLE001  whatever a version that is not well answers
            return f"it cannot be asked: {type(error).__name__}: {error}"
        return None

    def kill(self, version: str) -> None:
        """Nothing where none runs, or one of another version."""
        self._seen = None
        pid = running_pid(self._paths.lock_file)
        if pid is not None and self._executes(pid, version):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def _executes(self, pid: int, version: str) -> bool:
        program = executable_of(pid)
        # Of another user's process the lock says what can be said.
        return program is None or version_of_slot(program, self._installation) == version

    def is_alive(self) -> bool:
        """By the lock, which the kernel keeps."""
        return running_pid(self._paths.lock_file) is not None

    def start(self) -> bool:
        """By the unit that it ran in, or as the job of launchd that it is."""
        unit = self._unit
        if unit is None:
            return self._kickstart()
        try:
            Systemctl(unit.of_user, wait=_patiently).start(unit.name)
        except SystemctlRefused:
            return False
        return True

    def _kickstart(self) -> bool:
        """launchd leaves alone what has ended with 0; what it does not know was stopped by somebody."""
        standing = find_service(self._paths, self._environ, None)
        if standing is None or standing.supervisor != "launchd":
            return False
        domain, _, label = standing.name.rpartition("/")
        try:
            return Launchctl(domain).kickstart(label)
        except LaunchctlRefused:
            return False


def _patiently(words: Sequence[str]) -> Told:
    return ask(words, _START_PATIENCE_S)
