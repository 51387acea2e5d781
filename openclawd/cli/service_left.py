"""What an uninstalled service leaves behind, and what removes that: nothing of a person's goes unasked."""

import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import attrs

from openclawd.cli.output import shown
from openclawd.cli.service import Chosen, Service
from openclawd.cli.update_line import installation_with
from openclawd.config.paths import resolve_paths
from openclawd.service.install import environment_file
from openclawd.service.launchctl import LaunchctlRefused
from openclawd.service.launchd_standing import standing_of
from openclawd.service.program import command_link, home_of
from openclawd.service.standing import Standing
from openclawd.service.systemd_service import SystemdService
from openclawd.slots.executing import executables
from openclawd.slots.layout import Installation, own_installation, version_of_slot


@attrs.frozen
class Left:
    """Places; None where there is nothing."""

    state: Path
    keys: Path | None = None
    program: Path | None = None
    command: Path | None = None
    """The link that leads to `program`."""

    unit: Path | None = None
    """A package's."""

    is_shared: bool = False
    """Whether other services run `program`, of this user or of others."""

    lingers: bool = False

    def document(self) -> dict[str, str | None]:
        """For `--json`."""
        names = ("unit", "program", "command", "state", "keys")
        found = {name: getattr(self, name) for name in names}
        return {name: shown(path) if path is not None else None for name, path in found.items()}

    def lines(self) -> Iterator[str]:
        """For people."""
        keys = f", keys of model providers in {shown(self.keys)}" if self.keys is not None else ""
        yield f"Conversations, config and log stay in {shown(self.state)}{keys}."
        if self.program is not None and self.is_shared:
            yield f"The program stays in {shown(self.program)}: other services run it."
        elif self.program is not None:
            remove = " ".join(_typed(each) for each in (self.program, self.command) if each is not None)
            yield f"The program stays in {shown(self.program)}; to remove it: rm -r {remove}"
        if self.unit is not None:
            yield f"{self.unit} is a package's; it goes with that."
        if self.lingers and not self.is_shared:
            yield "Your services still start at the boot, without you; to end that: loginctl disable-linger"


def standing_before(service: Service) -> Standing | None:
    """How it is before it goes. Raises SystemctlRefused."""
    if isinstance(service, SystemdService):
        return service.standing()
    job = None
    with suppress(LaunchctlRefused):
        job = service.job()
    return standing_of(service, job)


def left_by(asked: Chosen, standing: Standing | None) -> Left:
    """`standing`: how the service was before it went."""
    service = asked.service
    program = standing.program if standing is not None else None
    installation = installation_with(program) or own_installation()
    link = command_link(home_of(asked.environ), system=asked.system)
    is_its = installation is not None and link.is_symlink() and installation.root in link.resolve().parents
    keys = environment_file(asked.environ, asked.profile, system=asked.system)
    file = standing.file if standing is not None else None
    return Left(
        state=resolve_paths(asked.environ).state_dir,
        keys=keys if _holds_any(keys) else None,
        program=installation.root if installation is not None else None,
        command=link if is_its else None,
        unit=file if file is not None and file != service.file and file.exists() else None,
        is_shared=service.has_siblings() or (installation is not None and is_run(installation)),
        lingers=asked.around.lingers and not asked.system,
    )


def is_run(installation: Installation, proc: Path = Path("/proc")) -> bool:
    """Whether another process than this one executes a version of it, as far as this user may see."""
    others = executables(os.getpid(), proc)
    return any(version_of_slot(program, installation) is not None for program in others)


def _holds_any(keys: Path) -> bool:
    """Whether somebody has put anything into it: as it was made, it only explains itself."""
    try:
        text = keys.read_text(errors="replace")
    except OSError:
        return False  # none, or none of this user's
    return any(line.strip() and not line.startswith("#") for line in text.splitlines())


def _typed(path: Path) -> str:
    """As a shell takes it, the home as `~`."""
    text = shown(path)
    return f"~/{shlex.quote(text[2:])}" if text.startswith("~/") else shlex.quote(text)
