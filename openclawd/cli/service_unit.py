"""The systemd unit that a gateway runs in, and whether it says something else now than when that started.

A gateway that restarts in place takes up a new program and a new config. Its unit and its environment files
are systemd's to read, which does so only when it starts the process itself (systemd.service(5)).
"""

import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from openclawd.daemon.image import environment_of
from openclawd.service.control_group import service_around
from openclawd.service.systemctl import runtime_folder

# systemd answers within milliseconds; a person waits.
_TIMEOUT_S: Final = 3.0
_PROPERTIES: Final = ("MainPID", "NeedDaemonReload", "FragmentPath", "DropInPaths", "EnvironmentFiles")
# `EnvironmentFiles=/etc/openclawd/environment (ignore_errors=yes)`
_FLAGGED: Final = re.compile(r" \(ignore_errors=(?:yes|no)\)$")
# proc_pid_stat(5): the 22nd field, and the second may hold spaces.
_START_FIELD_BEHIND_NAME: Final = 19


@attrs.frozen
class Unit:
    """`changed` are files that systemd has not read since they were written; `stale`: it says so itself."""

    name: str
    of_user: bool
    changed: tuple[str, ...]
    stale: bool

    @property
    def command(self) -> str:
        """What applies them: systemd starts a new process."""
        systemctl = "systemctl --user" if self.of_user else "sudo systemctl" if os.getuid() else "systemctl"
        restart = f"{systemctl} restart {shlex.quote(self.name)}"
        return f"{systemctl} daemon-reload && {restart}" if self.stale else restart

    @property
    def said(self) -> str | None:
        """What a restart in place leaves out; None when that is nothing."""
        if self.changed:
            return f"only systemd can apply what changed in {', '.join(self.changed)}"
        return f"systemd has not read {self.name} since it changed" if self.stale else None


def unit_of(pid: int, proc: Path = Path("/proc")) -> Unit | None:
    """The service whose main process this is; None where no manager says that there is one."""
    name = service_around(pid, proc)
    if name is None:
        return None
    try:
        since_s = _started_s(pid, proc)
    except (OSError, ValueError, IndexError):
        return None
    # A user's manager runs in a service of the system's, whose name is for the distribution to choose.
    for of_user in (True, False):
        with suppress(OSError, subprocess.SubprocessError):
            properties = _properties(name, of_user=of_user)
            if properties.get("MainPID") == [str(pid)]:
                return Unit(
                    name=name,
                    of_user=of_user,
                    changed=tuple(_newer(_files(properties), since_s)),
                    stale=properties.get("NeedDaemonReload") == ["yes"],
                )
    return None


def _properties(name: str, *, of_user: bool) -> Mapping[str, list[str]]:
    """Each property with its values: one that is a list may come in several lines."""
    user = ["--user"] if of_user else []
    asked = ["systemctl", *user, "show", name, f"--property={','.join(_PROPERTIES)}"]
    around = environment_of(os.environ)
    if of_user:
        # A user's manager is found by a folder that a log-in without PAM lacks.
        around["XDG_RUNTIME_DIR"] = str(runtime_folder(os.environ))
    told = subprocess.run(  # noqa: S603  no shell reads it, and the name is the kernel's
        asked,
        env=around,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=True,
    ).stdout
    properties: dict[str, list[str]] = {}
    for line in told.splitlines():
        key, _, value = line.partition("=")
        properties.setdefault(key, []).append(value)
    return properties


def _files(properties: Mapping[str, list[str]]) -> Iterator[str]:
    yield from properties.get("FragmentPath", [])
    for paths in properties.get("DropInPaths", []):
        yield from paths.split()
    for path in properties.get("EnvironmentFiles", []):
        yield _FLAGGED.sub("", path)


def _newer(files: Iterable[str], since_s: float) -> Iterator[str]:
    for file in files:
        with suppress(OSError):
            if file and Path(file).stat().st_mtime > since_s:
                yield file


def _started_s(pid: int, proc: Path) -> float:
    """When the process was started (wall clock); executing another program does not change it."""
    fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[_START_FIELD_BEHIND_NAME])
    booted = re.search(r"^btime (\d+)$", (proc / "stat").read_text(), re.MULTILINE)
    if booted is None:
        raise ValueError("no btime")
    # Whole seconds of btime: a file that was written right before must not look newer.
    return int(booted[1]) + 1 + ticks / os.sysconf("SC_CLK_TCK")
