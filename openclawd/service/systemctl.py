"""systemctl(1): the verbs that we need, for the system's manager or a user's, and what its refusals mean.

A user's manager is found by XDG_RUNTIME_DIR, which `su`, `sudo -u` and cron do not set, so it is told.
"""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from openclawd.service.tool import ABSENT, Ask, Told, ask

# What the unit allows a start or a stop, and what a gateway may ask for in addition.
_START_PATIENCE_S: Final = 300.0
_VERSION: Final = re.compile(r"^systemd (\d+)", re.MULTILINE)
_NO_BUS: Final = ("failed to connect to bus", "failed to get d-bus connection", "failed to connect to user")
_FORBIDDEN: Final = ("access denied", "authentication", "permission denied", "not permitted")


class SystemctlRefused(Exception):
    """systemd did not do it. The text says why in words, `cure` is the command that helps."""

    def __init__(self, text: str, cure: str) -> None:
        super().__init__(text)
        self.cure = cure


class NoManager(SystemctlRefused):
    """There is no manager to talk to."""


def _ask_patiently(words: Sequence[str]) -> Told:
    return ask(words, _START_PATIENCE_S)


@attrs.frozen(eq=False, repr=False)
class Systemctl:
    """One manager: the system's, or with `of_user` this user's."""

    of_user: bool
    _ask: Ask = ask
    _wait: Ask = _ask_patiently

    @property
    def command(self) -> str:
        """How a person calls it."""
        if self.of_user:
            return "systemctl --user"
        return "systemctl" if os.geteuid() == 0 else "sudo systemctl"

    def version(self) -> int | None:
        """Of the systemd that is installed; None where there is none."""
        found = _VERSION.search(self._ask(("systemctl", "--version")).out)
        return int(found[1]) if found is not None else None

    def show(self, unit: str, *properties: str) -> Mapping[str, str]:
        """Properties of a unit, whether there is such a unit or not. Raises SystemctlRefused."""
        told = self._run("show", unit, f"--property={','.join(properties)}")
        pairs = (line.partition("=") for line in told.out.splitlines())
        return {name: value for name, given, value in pairs if given}

    def reload_files(self) -> None:
        """Have it read the unit files. Raises SystemctlRefused."""
        self._run("daemon-reload")

    def enable(self, *units: str) -> None:
        """Start them at the boot, or with the user's manager. Raises SystemctlRefused."""
        self._run("enable", *units)

    def disable(self, *units: str) -> None:
        """The contrary. Raises SystemctlRefused."""
        self._run("disable", *units)

    def start(self, unit: str) -> None:
        """Start it, and wait until it serves. A limit of starts that it has reached is no reason not to.

        Raises SystemctlRefused when it does not.
        """
        self._forget_failures(unit)
        self._run("start", unit, asked=self._wait)

    def restart(self, unit: str) -> None:
        """A new process, with the unit as it is now. Raises SystemctlRefused."""
        self._forget_failures(unit)
        self._run("restart", unit, asked=self._wait)

    def stop(self, *units: str) -> None:
        """Stop them, and wait until they have ended. Raises SystemctlRefused."""
        self._run("stop", *units, asked=self._wait)
        for unit in units:
            self._forget_failures(unit)

    def _forget_failures(self, unit: str) -> None:
        # Of a unit that has not failed it says so, with an error.
        self._ask(self._words("reset-failed", unit))

    def _words(self, *words: str) -> Sequence[str]:
        if not self.of_user:
            return ("systemctl", *words)
        folder = str(runtime_folder(os.environ))
        told = () if os.environ.get("XDG_RUNTIME_DIR") == folder else ("env", f"XDG_RUNTIME_DIR={folder}")
        return (*told, "systemctl", "--user", *words)

    def _run(self, *words: str, asked: Ask | None = None) -> Told:
        told = (asked or self._ask)(self._words(*words))
        if told.code != 0:
            raise self._refused(words, told)
        return told

    def _refused(self, words: Sequence[str], told: Told) -> SystemctlRefused:
        said = told.said.lower()
        if told.code == ABSENT:
            return NoManager("There is no systemd here.", "openclawd gateway")
        if any(each in said for each in _NO_BUS):
            whose = "this user" if self.of_user else "the system"
            return NoManager(
                f"No service manager of {whose} answers: {told.said}.", "openclawd gateway install"
            )
        command = f"{self.command} {shlex.join(words)}"
        if not self.of_user and any(each in said for each in _FORBIDDEN):
            return SystemctlRefused(
                "Only root may change the system's services.", f"sudo systemctl {shlex.join(words)}"
            )
        return SystemctlRefused(f"{command}: {told.said or f'exit code {told.code}'}", command)


def runtime_folder(environ: Mapping[str, str], root: Path = Path("/")) -> Path:
    """Where this user's manager has its sockets (pam_systemd(8)). What `su` has left in the environment of
    another user is not believed.
    """
    told, uid = environ.get("XDG_RUNTIME_DIR"), os.geteuid()
    if told:
        try:
            if (root / told.lstrip("/")).stat().st_uid == uid:
                return Path(told)
        except OSError:
            pass
    return Path(f"/run/user/{uid}")
