"""launchd as launchctl(1) shows it, with the behaviours that surprise its callers, and a clock of its own.

As seen on macOS 13 to 26 and written down in public bug reports: `bootout` returns before the job has ended
(0, or 36), `bootstrap` says 5 for as long as the job ends and for some seconds after `print` has forgotten
it; `kickstart` says 113 of what is not known and 37 of what is being started; a disabled job is refused with
119; a failed job waits for its turn as `spawn scheduled`.
"""

import plistlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

from openclawd.service.tool import Told

GONE = "Could not find service"
# From `bootout` on, whatever the job does meanwhile.
CLEANUP_S = 5.0


@attrs.define
class FakeJob:
    """A job that launchd knows."""

    path: Path
    plist: dict[str, Any]
    pid: int | None = None
    runs: int = 0
    exit_code: int | None = None
    signal: str | None = None
    started_s: float = 0.0
    starts_at_s: float | None = None
    ends_at_s: float | None = None
    """It was told to end, and does so then."""


@attrs.define
class FakeLaunchd:
    """`ask` is for `Launchctl`, as are `sleep` and `now_s`: nothing waits for real."""

    domains: frozenset[str] = frozenset({"gui/501"})
    stop_takes_s: float = 0.3
    cleanup_s: float = CLEANUP_S
    says_in_progress: bool = False
    """Whether `bootout` notices that the job takes its time."""

    jobs: dict[str, FakeJob] = attrs.Factory(dict)
    disabled: set[str] = attrs.Factory(set)
    released_at_s: dict[str, float] = attrs.Factory(dict)
    asked: list[tuple[str, ...]] = attrs.Factory(list)
    now: float = 1000.0
    next_pid: int = 501

    def ask(self, words: Sequence[str]) -> Told:
        assert words[0] == "launchctl"
        self.asked.append(tuple(words[1:]))
        self.settle()
        verbs: dict[str, Callable[..., Told]] = {
            "print": self._print,
            "bootstrap": self._bootstrap,
            "bootout": self._bootout,
            "kickstart": self._kickstart,
            "enable": self._enable,
        }
        return verbs[words[1]](*words[2:])

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.settle()

    def now_s(self) -> float:
        return self.now

    @property
    def verbs(self) -> list[str]:
        """What was asked, in order, each run of `print` once."""
        verbs = [words[0] for words in self.asked]
        return [
            verb
            for before, verb in zip(["", *verbs], verbs, strict=False)
            if verb != "print" or before != verb
        ]

    # --- what happens by itself

    def settle(self) -> None:
        """Let happen what is due."""
        for target, job in list(self.jobs.items()):
            if job.ends_at_s is not None and self.now >= job.ends_at_s:
                self.released_at_s[target] = max(self.now, self.released_at_s.get(target, 0.0))
                del self.jobs[target]
            elif job.starts_at_s is not None and self.now >= job.starts_at_s:
                self._spawn(job)

    def exits(self, target: str, code: int | None = None, signal: str | None = None) -> None:
        """The job's process ends by itself."""
        job = self.jobs[target]
        job.pid, job.exit_code, job.signal = None, code, signal
        if job.ends_at_s is None and (code != 0 or job.plist["KeepAlive"] is True):
            # launchd.plist(5): not more often than this, from start to start.
            job.starts_at_s = max(self.now, job.started_s + job.plist.get("ThrottleInterval", 10))

    def log_in(self, folder: Path) -> None:
        """A new session: every job that has a property list is known and started, unless it is disabled."""
        self.jobs.clear()
        self.released_at_s.clear()
        for path in sorted(folder.glob("*.plist")):
            target = f"gui/501/{path.stem}"
            if target not in self.disabled:
                self._know(target, path)

    def _know(self, target: str, path: Path) -> None:
        job = self.jobs[target] = FakeJob(path, plistlib.loads(path.read_bytes()))
        if job.plist.get("RunAtLoad"):
            self._spawn(job)

    def _spawn(self, job: FakeJob) -> None:
        self.next_pid += 1
        job.pid, job.starts_at_s, job.started_s = self.next_pid, None, self.now
        job.runs += 1

    # --- the verbs

    def _print(self, target: str) -> Told:
        if target in self.domains:
            return Told(0, f"{target} = {{\n\ttype = login\n}}\n")
        job = self.jobs.get(target)
        if not any(target.startswith(f"{each}/") for each in self.domains):
            return Told(112, err="Bad request.\nCould not find domain for user gui: 501\n")
        if job is None:
            domain, _, label = target.rpartition("/")
            where = (
                f"domain for user gui: {domain[4:]}" if domain.startswith("gui/") else f"domain for {domain}"
            )
            return Told(113, err=f'Bad request.\n{GONE} "{label}" in {where}\n')
        return Told(0, printed(target, job))

    def _bootstrap(self, domain: str, path: str) -> Told:
        if domain not in self.domains:
            return Told(125, err="Bootstrap failed: 125: Domain does not support specified action\n")
        if not Path(path).exists():
            return Told(2, err="Bootstrap failed: 2: No such file or directory\n")
        try:
            label = plistlib.loads(Path(path).read_bytes())["Label"]
        except (plistlib.InvalidFileException, ValueError):
            return Told(109, err="Bootstrap failed: 109: Invalid property list\n")
        target = f"{domain}/{label}"
        if target in self.jobs or self.now < self.released_at_s.get(target, 0.0):
            return Told(
                5, err="Bootstrap failed: 5: Input/output error\nTry re-running the command as root.\n"
            )
        if target in self.disabled:
            return Told(119, err="Bootstrap failed: 119: Service is disabled\n")
        self._know(target, Path(path))
        return Told(0)

    def _bootout(self, target: str) -> Told:
        job = self.jobs.get(target)
        if job is None:
            return Told(3, err="Boot-out failed: 3: No such process\n")
        if job.ends_at_s is None:
            job.ends_at_s = self.now + (self.stop_takes_s if job.pid is not None else 0.0)
            self.released_at_s[target] = self.now + self.cleanup_s
        if self.says_in_progress:
            return Told(36, err="Boot-out failed: 36: Operation now in progress\n")
        return Told(0)

    def _kickstart(self, target: str) -> Told:
        job = self.jobs.get(target)
        if job is None:
            return Told(113, err=f'{GONE} "{target}" in domain for user gui: 501\n')
        if job.starts_at_s is not None and self.now - job.starts_at_s > -0.2:
            return Told(37, err="Could not kickstart service: 37: Operation already in progress\n")
        if job.pid is None:
            self._spawn(job)
        return Told(0)

    def _enable(self, target: str) -> Told:
        self.disabled.discard(target)
        return Told(0)


def printed(target: str, job: FakeJob) -> str:
    """What `launchctl print` says: lines of the job's own, and of what it uses, of the same names."""
    state = "running" if job.pid else "spawn scheduled" if job.starts_at_s is not None else "not running"
    lines = [
        f"active count = {int(job.pid is not None)}",
        f"path = {job.path}",
        "type = LaunchAgent",
        f"state = {state}",
        "",
        f"program = {job.plist['ProgramArguments'][0]}",
        "arguments = {",
        *(f"\t{word}" for word in job.plist["ProgramArguments"]),
        "}",
        "",
        "default environment = {",
        "\tPATH => /usr/bin:/bin:/usr/sbin:/sbin",
        "\tstate = not a state",
        "}",
        "",
        f"domain = {target.rpartition('/')[0]} [100005]",
        f"runs = {job.runs}",
        *([f"pid = {job.pid}"] if job.pid is not None else []),
        *([f"last terminating signal = {job.signal}"] if job.signal is not None else []),
        *([f"last exit code = {exit_text(job)}"] if job.signal is None else []),
        "",
        "event channels = {",
        "\tpid = 1",
        "}",
        "properties = keepalive | runatload | inferred program",
    ]
    return f"{target} = {{\n" + "".join(f"\t{line}\n" if line else "\n" for line in lines) + "}\n"


def exit_text(job: FakeJob) -> str:
    """A number, with its name in sysexits.h where it has one."""
    if job.exit_code is None:
        return "(never exited)"
    return {78: "78: EX_CONFIG", 75: "75: EX_TEMPFAIL"}.get(job.exit_code, str(job.exit_code))
