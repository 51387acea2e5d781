"""The gateway as a job of launchd: put in place, taken away, started, stopped. Each step may be repeated.

`stop` takes the job away (`bootout`): only so does launchd leave it alone. Its property list stays, so that
it is there again after the next log-in or boot, as a stopped service of systemd is after the next boot.
"""

import os
import shutil
from pathlib import Path
from typing import Literal

import attrs

from openclawd.service.launchctl import Job, Launchctl, LaunchctlRefused
from openclawd.service.plist import NAME, JobSpec, agent_file, daemon_file, plist_text
from openclawd.service.plist_file import PlistFile
from openclawd.slots.durable import remove_durably

Done = Literal["unchanged", "started", "replaced", "restarted"]


@attrs.frozen(eq=False, repr=False)
class LaunchdJob:
    """One label in one domain, and its property list."""

    label: str
    file: Path
    launchctl: Launchctl
    uid: int = attrs.field(factory=os.getuid)

    @property
    def target(self) -> str:
        """As launchctl names it: `gui/501/ai.openclawd.gateway`."""
        return self.launchctl.target(self.label)

    @property
    def is_installed(self) -> bool:
        """Whether launchd finds it at the next log-in or boot."""
        return self.file.exists()

    def wanted(self, spec: JobSpec) -> PlistFile:
        """The property list as it is to be, beside the one that is in place."""
        return PlistFile(self.file, plist_text(spec))

    def require_domain(self) -> None:
        """Raises LaunchctlRefused where launchd has no place for it: nobody is logged in at the screen."""
        self.launchctl.require_domain()

    def job(self) -> Job | None:
        """How it is now; None where launchd does not know it. Raises LaunchctlRefused."""
        return self.launchctl.job(self.label)

    def install(self, spec: JobSpec) -> Done:
        """Put `spec` in place and have it run. A job whose list has changed is ended and started anew, as
        launchd reads a list only when a job becomes known; another one goes on as it is.

        Raises LaunchctlRefused, OSError.
        """
        self._may_change("install")
        wanted = self.wanted(spec)
        changed = wanted.state() != "same"
        job = self.job()
        if changed:
            self._make_log_folder(spec)
            wanted.write()
        if job is not None and not changed:
            if job.pid is not None:
                return "unchanged"
            if self.launchctl.kickstart(self.label):
                return "started"
            job = None
        if job is not None:
            self.launchctl.bootout(self.label)
        self._bootstrap()
        return "replaced" if job is not None else "started"

    def uninstall(self) -> bool:
        """End it and remove its list; False where there was nothing of it.

        Raises LaunchctlRefused, with the list removed all the same; OSError.
        """
        self._may_change("uninstall")
        there = self.is_installed
        try:
            known = self.launchctl.bootout(self.label)
        finally:
            remove_durably(self.file)
        return known or there

    def start(self) -> bool:
        """Have it run; False if it runs already. Raises LaunchctlRefused, also if it is not installed."""
        self._may_change("start")
        job = self.job()
        if job is not None and job.pid is not None:
            return False
        if job is not None and self.launchctl.kickstart(self.label):
            return True
        if not self.is_installed:
            text = f"There is no {self.file}."
            raise LaunchctlRefused(text, "openclawd gateway install")
        self._bootstrap()
        return True

    def stop(self) -> bool:
        """End it until the next log-in or boot, and wait for its end; False where it was not known.

        Raises LaunchctlRefused.
        """
        self._may_change("stop")
        return self.launchctl.bootout(self.label)

    def has_siblings(self) -> bool:
        """Whether there are jobs of other profiles beside it, which run the same program."""
        return any(each != self.file for each in self.file.parent.glob(f"{NAME}*.plist"))

    def _bootstrap(self) -> None:
        self.launchctl.enable(self.label)
        self.launchctl.bootstrap(self.label, self.file)

    def _may_change(self, action: str) -> None:
        """Of who is not root launchd says 5 here, as of everything."""
        if self.launchctl.domain == "system" and self.uid != 0:
            text = f"{self.label} is a job of the machine, which is root's to change."
            raise LaunchctlRefused(text, f"sudo openclawd gateway {action}")

    def _make_log_folder(self, spec: JobSpec) -> None:
        """launchd opens the log as the job's user, and starts nothing (exit code 78) where it cannot."""
        folder = Path(spec.log_file).parent
        if folder.exists():
            return
        folder.mkdir(mode=0o750 if spec.user is not None else 0o700, parents=True)
        if spec.user is not None:
            shutil.chown(folder, spec.user)


def whose(home: Path) -> int:
    """The user whose jobs those of a home are: sudo leaves a person's home to root on macOS."""
    try:
        return home.stat().st_uid if os.geteuid() == 0 else os.geteuid()
    except OSError:
        return os.geteuid()


def agent(home: Path, label: str, uid: int, launchctl: Launchctl | None = None) -> LaunchdJob:
    """The job of a user, in the session at the screen."""
    return LaunchdJob(label, agent_file(home, label), launchctl or Launchctl(f"gui/{uid}"), uid)


def daemon(label: str, launchctl: Launchctl | None = None) -> LaunchdJob:
    """The job of the machine."""
    return LaunchdJob(label, daemon_file(label), launchctl or Launchctl("system"))
