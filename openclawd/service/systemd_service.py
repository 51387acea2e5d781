"""The gateway as a service of systemd: put in place, taken away, started, stopped. Each may be repeated."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import attrs

from openclawd.service.ends import unread_credentials
from openclawd.service.standing import End, Standing
from openclawd.service.systemctl import Systemctl, SystemctlRefused
from openclawd.service.systemd_standing import PROPERTIES as STANDING_PROPERTIES
from openclawd.service.systemd_standing import Journal, standing_of
from openclawd.service.tool import Ask, ask
from openclawd.service.unit import unit_name
from openclawd.service.unit_file import UnitFile

Done = Literal["unchanged", "started", "restarted"]

_SYSTEM_FOLDER: Final = Path("/etc/systemd/system")
# What systemd has read of it, and how it runs; names of `systemctl show`.
_PROPERTIES: Final = (
    "LoadState",
    "ActiveState",
    "FragmentPath",
    "UnitFileState",
    "NeedDaemonReload",
    "TriggeredBy",
    "MainPID",
    "ExecMainStatus",
    "Result",
)
_RUNS: Final = ("active", "reloading")
# Also while it waits for its next start, it is not stopped.
_STOPPED: Final = ("inactive", "failed")


@attrs.frozen(eq=False, repr=False)
class SystemdService:
    """The unit of one profile with one manager."""

    name: str
    """Without `.service`."""

    file: Path
    """Where its unit is installed; a package has its own elsewhere."""

    systemctl: Systemctl
    _ask: Ask = ask

    @property
    def unit(self) -> str:
        """As systemctl wants it."""
        return f"{self.name}.service"

    def facts(self) -> Mapping[str, str]:
        """What systemd knows of it. Raises SystemctlRefused, NoManager among it."""
        return self.systemctl.show(self.unit, *_PROPERTIES)

    @property
    def is_installed(self) -> bool:
        """Whether systemd has such a unit, ours or a package's. Raises SystemctlRefused."""
        return self.facts().get("LoadState") not in {None, "", "not-found"}

    @property
    def is_stopped(self) -> bool:
        """Whether it neither runs nor is about to. Raises SystemctlRefused."""
        return self.facts().get("ActiveState") in _STOPPED

    def packaged(self) -> Path | None:
        """The unit file that a package brought; None where there is none. Raises SystemctlRefused."""
        fragment = self.facts().get("FragmentPath", "")
        return None if fragment in {"", str(self.file)} else Path(fragment)

    def install(self, wanted: UnitFile | None) -> Done:
        """Put the unit in place (None: a package's is there), and have it run, now and from every boot on.

        A service whose unit has changed gets a new process, whose sockets systemd keeps meanwhile; another
        one runs on. Raises SystemctlRefused, OSError.
        """
        changed = wanted is not None and wanted.state() != "same"
        if wanted is not None and changed:
            wanted.write()
        facts = self.facts()
        if changed or facts.get("NeedDaemonReload") == "yes":
            self.systemctl.reload_files()
            changed = True
            facts = self.facts()
        if facts.get("UnitFileState") != "enabled":
            self.systemctl.enable(self.unit)
        if facts.get("ActiveState") not in _RUNS:
            self.systemctl.start(self.unit)
            return "started"
        if not changed:
            return "unchanged"
        self.systemctl.restart(self.unit)
        return "restarted"

    def uninstall(self) -> bool:
        """Stop it for good; its unit file goes if this program wrote it, or somebody in its place did. False
        where there was nothing of it. Raises SystemctlRefused, OSError.
        """
        facts = self.facts()
        known = facts.get("LoadState") not in {None, "", "not-found"}
        if known:
            self.stop()
            if facts.get("UnitFileState") in {"enabled", "enabled-runtime"}:
                self.systemctl.disable(self.unit)
        there = self.file.exists()
        if there:
            UnitFile(self.file, "").remove()
            self.systemctl.reload_files()
        return known or there

    def start(self) -> bool:
        """Have it run; False where it runs already. Raises SystemctlRefused, also where there is none."""
        facts = self.facts()
        if facts.get("LoadState") == "not-found":
            raise SystemctlRefused(f"There is no service {self.unit}.", "openclawd gateway install")
        if facts.get("ActiveState") in _RUNS:
            return False
        self.systemctl.start(self.unit)
        return True

    def stop(self) -> bool:
        """End it, and what would start it again; False where it did not run. Raises SystemctlRefused."""
        facts = self.facts()
        sockets = [each for each in facts.get("TriggeredBy", "").split() if each.endswith(".socket")]
        listening = [each for each in sockets if self._is_active(each)]
        if facts.get("ActiveState") == "inactive" and not listening:
            return False
        # The sockets first, or the next who connects starts it again.
        self.systemctl.stop(*listening, self.unit)
        return True

    def standing(self) -> Standing | None:
        """How it is; None where there is no such unit. Raises SystemctlRefused."""
        return standing_of(
            self.systemctl.show(self.unit, *STANDING_PROPERTIES), of_user=self.systemctl.of_user
        )

    def last_end(self, standing: Standing) -> tuple[End | None, list[str]]:
        """How its last process ended, and what that said last; nothing where the journal cannot be read."""
        journal = Journal(self.unit, self.systemctl.of_user, ask=self._ask)
        end = standing.end or journal.last_end()
        if end is None:
            return None, []
        return end, [*unread_credentials(standing, end), *journal.last_words(end, most=8)]

    @property
    def journal(self) -> str:
        """The command that shows its words."""
        scope = "--user " if self.systemctl.of_user else ""
        return f"journalctl {scope}-u {self.name} -n 50"

    def has_siblings(self) -> bool:
        """Whether the same manager has services of other profiles, which run the same program."""
        others = (each for each in self.file.parent.glob("openclawd*.service") if each != self.file)
        return any(each.is_file() for each in others)

    def _is_active(self, unit: str) -> bool:
        return self.systemctl.show(unit, "ActiveState").get("ActiveState") == "active"


def user_service(profile: str | None, config_home: Path) -> SystemdService:
    """A user's; `config_home` is ~/.config."""
    name = unit_name(profile)
    return SystemdService(name, config_home / "systemd" / "user" / f"{name}.service", Systemctl(of_user=True))


def system_service(profile: str | None) -> SystemdService:
    """The machine's."""
    name = unit_name(profile)
    return SystemdService(name, _SYSTEM_FOLDER / f"{name}.service", Systemctl(of_user=False))
