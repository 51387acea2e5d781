"""launchctl(1) as it behaves, which is not as it reads.

`bootstrap` makes a job known and starts it; of one that is known already, or that is still being taken away,
it says 5 (Input/output error) or 37 (Operation already in progress). `bootout` asks a job to end and forgets
it, and returns before either has happened: 0, or 36 (Operation now in progress) where it noticed. For some
seconds after `print` has stopped knowing the job, `bootstrap` may still say 5. `kickstart` starts a known job
that does not run, has nothing against one that does, and says 37 of one that is being started; of one that is
not known it says 113, as `print` does. `bootout` then says 3 (No such process).

So every answer that is not plain is settled by looking again: `print` says whether a job is known and runs.
What it prints is for people, and differs between releases: only lines that all of them have are read.
"""

import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from openclawd.service.plist import EXIT_TIMEOUT_S
from openclawd.service.tool import ABSENT, TIMED_OUT, Ask, Told, ask

LOOK_EVERY_S: Final = 0.1
# What a stop may take, and launchd's own five seconds until it looks again, twice on a busy machine.
PATIENCE_S: Final = EXIT_TIMEOUT_S + 10.0

_NO_SUCH_PROCESS: Final = 3
_IO_ERROR: Final = 5
_IN_PROGRESS: Final = 36
_ALREADY: Final = 37
_NO_SUCH_DOMAIN: Final = 112
_UNKNOWN: Final = 113
_DISABLED: Final = 119
_BAD_OWNER: Final = 122
_NO_DOMAIN: Final = 125
_NOT_PERMITTED: Final = 150
# A job's own lines are indented once; what is nested belongs to something else of the same name.
_LINE: Final = re.compile(r"^\t([^\t=]+?) = (.+)$", re.MULTILINE)
_NUMBER: Final = re.compile(r"\d+")
# It says 5, too, of a job that somebody else is just taking away; some releases wait for the job's end.
_GOING: Final = frozenset((0, _IO_ERROR, _IN_PROGRESS, _ALREADY, TIMED_OUT))
# Nor is there a job where there is no domain.
_NOT_THERE: Final = frozenset((_NO_SUCH_PROCESS, _NO_SUCH_DOMAIN, _UNKNOWN, _NO_DOMAIN))


class LaunchctlRefused(Exception):
    """launchd did not do it; the text says why in words, and `cure` is the command that helps."""

    def __init__(self, text: str, cure: str) -> None:
        super().__init__(text)
        self.cure = cure


@attrs.frozen
class Job:
    """A job that launchd knows."""

    state: str
    """Its own word: running, not running, waiting, spawn scheduled, exited, ..."""

    pid: int | None = None
    runs: int | None = None
    """How often it was started since it became known."""

    exit_code: int | None = None
    """Of the run before; None where there was none, or a signal ended it."""

    signal: int | None = None
    path: str | None = None
    """The property list that it was made of."""

    @property
    def comes_again(self) -> bool:
        """Whether launchd will start it by itself: it failed, and waits for its turn."""
        return self.pid is None and self.state in {"spawn scheduled", "spawning", "waiting to spawn"}


def job_of(printed: str) -> Job:
    """What `launchctl print` says of a job."""
    # The first of each name: the job's own lines come before those of what it has used.
    facts: dict[str, str] = {}
    for name, value in _LINE.findall(printed):
        facts.setdefault(name, value)
    ended_by = re.search(r": (\d+)$", facts.get("last terminating signal", ""))
    return Job(
        state=facts.get("state", "unknown"),
        pid=_number(facts.get("pid")),
        runs=_number(facts.get("runs")),
        exit_code=_number(facts.get("last exit code")),
        signal=int(ended_by[1]) if ended_by else None,
        path=facts.get("path"),
    )


@attrs.frozen(eq=False, repr=False)
class Launchctl:
    """The verbs that we need, in one domain: `gui/501` for a user's jobs, `system` for the machine's."""

    domain: str
    _ask: Ask = ask
    _sleep: Callable[[float], object] = time.sleep
    _now_s: Callable[[], float] = time.monotonic

    def target(self, label: str) -> str:
        """The job's whole name."""
        return f"{self.domain}/{label}"

    def job(self, label: str) -> Job | None:
        """How a job is; None where launchd knows none. Raises LaunchctlRefused when it does not answer."""
        told = self._verb("print", self.target(label))
        if told.code == 0:
            return job_of(told.out)
        if told.code in _NOT_THERE:
            return None
        raise self._refused("print", label, told, None)

    def require_domain(self) -> None:
        """Raises LaunchctlRefused where there is none: jobs of a user need one who is logged in."""
        told = self._verb("print", self.domain)
        if told.code != 0:
            raise self._refused("print", "", told, None)

    def bootstrap(self, label: str, plist: Path) -> None:
        """Make a job known, and so start it; one that is still being taken away is waited for.

        Raises LaunchctlRefused.
        """
        until_s = self._now_s() + PATIENCE_S
        while (told := self._verb("bootstrap", self.domain, str(plist))).code != 0:
            busy = told.code in (_IO_ERROR, _IN_PROGRESS, _ALREADY)
            if busy and self._now_s() < until_s:
                self._sleep(LOOK_EVERY_S)
                continue
            # Known for all this time: somebody else was faster, and it is not on its way out.
            if busy and (job := self.job(label)) is not None and job.path == str(plist):
                return
            raise self._refused("bootstrap", label, told, plist)

    def bootout(self, label: str) -> bool:
        """End a job and have it forgotten; True when that has happened, False where it was not known.

        Raises LaunchctlRefused, also when it has not ended in time.
        """
        told = self._verb("bootout", self.target(label))
        if told.code in _NOT_THERE:
            return False
        until_s = self._now_s() + PATIENCE_S
        while self.job(label) is not None:
            if told.code not in _GOING or self._now_s() >= until_s:
                raise self._refused("bootout", label, told, None)
            self._sleep(LOOK_EVERY_S)
        return True

    def kickstart(self, label: str) -> bool:
        """Start a known job unless it runs; False where it is not known. Raises LaunchctlRefused."""
        told = self._verb("kickstart", self.target(label))
        if told.code in (0, _ALREADY):
            return True
        if told.code in _NOT_THERE:
            return False
        raise self._refused("kickstart", label, told, None)

    def enable(self, label: str) -> None:
        """Undo `launchctl disable`, which outlives everything and makes `bootstrap` say 5 or 119."""
        told = self._verb("enable", self.target(label))
        if told.code != 0:
            raise self._refused("enable", label, told, None)

    def _verb(self, *words: str) -> Told:
        return self._ask(("launchctl", *words))

    def _refused(self, verb: str, label: str, told: Told, plist: Path | None) -> LaunchctlRefused:
        target = shlex.quote(self.target(label))
        sudo = "sudo " if self.domain == "system" else ""
        said = told.said or f"exit code {told.code}"
        file = shlex.quote(str(plist)) if plist is not None else None
        command = f"launchctl {verb} " + (f"{self.domain} {file}" if file is not None else target)
        lower = said.lower()
        if told.code == ABSENT:
            return LaunchctlRefused("There is no launchctl here: launchd is for macOS.", "openclawd gateway")
        if told.code in (_NO_DOMAIN, _NO_SUCH_DOMAIN):
            text = (
                f"launchd has no place for a job of this user ({said}): nobody is logged in at the screen."
                " A job of the machine runs without anybody."
            )
            return LaunchctlRefused(text, "sudo openclawd gateway install --system")
        if told.code == _NOT_PERMITTED or "not permitted" in lower:
            return LaunchctlRefused(
                f"launchd lets only root change {self.domain} ({said}).", f"sudo {command}"
            )
        if told.code == _DISABLED:
            return LaunchctlRefused(f"{label} was disabled by hand.", f"{sudo}launchctl enable {target}")
        if told.code == _BAD_OWNER and file is not None:
            text = f"launchd does not trust {plist}: others than its owner could write it."
            return LaunchctlRefused(text, f"{sudo}chmod 644 {file}")
        if verb == "bootout" and told.code in _GOING:
            text = f"{label} was asked to end, and has not within {PATIENCE_S:g} s."
            return LaunchctlRefused(text, f"{sudo}launchctl kill SIGKILL {target}")
        if file is not None:
            return LaunchctlRefused(f"launchd does not take {plist}: {said}.", f"plutil -lint {file}")
        return LaunchctlRefused(f"launchctl {verb}: {said}.", f"{sudo}launchctl print {target}")


def _number(text: str | None) -> int | None:
    """The number that a value begins with: `78: EX_CONFIG` is 78, `(never exited)` is none."""
    found = _NUMBER.match(text or "")
    return int(found[0]) if found is not None else None
