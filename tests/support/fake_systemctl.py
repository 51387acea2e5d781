"""A manager of systemd as `systemctl` shows it: units, what is loaded and active, what it refuses.

Only what openclawd asks; the real one is asked in tests/packaging.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from openclawd.service.tool import Told


@attrs.define
class FakeUnit:
    """One unit: its file as it was read, and how it is."""

    read: str
    active: str = "inactive"
    enabled: bool = False
    pid: int = 0


@attrs.define
class FakeSystemctl:
    """Called as `service.tool.ask` is. `folder` is where units are installed."""

    folder: Path
    units: dict[str, FakeUnit] = attrs.field(factory=dict)
    verbs: list[str] = attrs.field(factory=list)
    """The words that change something, in their order."""

    triggered_by: str = ""
    starts_well: Callable[[], bool] = lambda: True
    refuses: Told | None = None
    next_pid: int = 100

    def __call__(self, words: Sequence[str]) -> Told:
        asked = [
            word for word in words if word not in {"systemctl", "--user", "env"} and "=" not in word[:16]
        ]
        if list(words)[-1:] == ["--version"]:
            return Told(0, "systemd 252 (252.39-1)\n+PAM +AUDIT\n")
        if words[0] == "journalctl":
            return Told(0, '{"MESSAGE": "gateway.port is 0", "_PID": "9"}\n')
        if self.refuses is not None:
            return self.refuses
        verb, *units = asked
        if verb == "show":
            return Told(0, self._show(units[0]))
        self.verbs.append(" ".join(asked))
        if verb == "daemon-reload":
            self._read()
            return Told(0)
        for name in units:
            if name not in self.units:
                return Told(5, err=f"Failed to {verb} {name}: Unit {name} not loaded.")
            if not self._change(verb, self.units[name]):
                return Told(
                    1, err=f"Job for {name} failed because the control process exited with error code."
                )
        return Told(0)

    def _read(self) -> None:
        found = {path.name: path.read_text() for path in self.folder.glob("*.service")}
        for name, text in found.items():
            self.units.setdefault(name, FakeUnit(text)).read = text
        for name in [name for name in self.units if name.endswith(".service") and name not in found]:
            del self.units[name]

    def _change(self, verb: str, unit: FakeUnit) -> bool:
        match verb:
            case "enable" | "disable":
                unit.enabled = verb == "enable"
            case "start" | "restart":
                if not self.starts_well():
                    unit.active = "failed"
                    return False
                if verb == "restart" or unit.active != "active":
                    self.next_pid += 1
                    unit.pid = self.next_pid
                unit.active = "active"
            case "stop":
                unit.active = "inactive"
        return True

    def _show(self, name: str) -> str:
        unit = self.units.get(name)
        file = self.folder / name
        facts = {
            "Id": name,
            "LoadState": "not-found" if unit is None else "loaded",
            "ActiveState": "inactive" if unit is None else unit.active,
            "FragmentPath": "" if unit is None else str(file),
            "UnitFileState": "" if unit is None else "enabled" if unit.enabled else "disabled",
            "NeedDaemonReload": "no",
            "TriggeredBy": self.triggered_by,
            "MainPID": str(unit.pid if unit is not None else 0),
            "ExecMainCode": "1" if unit is not None and unit.active == "failed" else "0",
            "ExecMainExitTimestampMonotonic": "1",
            "ExecMainStatus": "78" if unit is not None and unit.active == "failed" else "0",
        }
        return "".join(f"{key}={value}\n" for key, value in facts.items())
