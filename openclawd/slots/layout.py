"""Where an installation has its things, and which version is the current one.

    <root>/guard                    what a supervisor starts: it needs nothing of the version that it starts
    <root>/versions/<version>/      a slot: the program as it was built, never changed after it has its name
    <root>/current -> versions/...  what runs, or what the next start runs
    <root>/previous -> versions/... what ran before the last update that was confirmed
    <root>/update/                  an update under way, and how the last one ended

A slot is complete when it has its name: it is unpacked under another one, which begins with a dot, and
renamed. `current` is changed by renaming a new link over it, so it leads somewhere at any moment.
"""

import os
import re
import shutil
import stat
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import attrs

from openclawd.config.atomic import sync_folder
from openclawd.slots.executing import executables

_PROGRAM: Final = "openclawd"
_VERSIONS: Final = "versions"
# A name that is a folder's in any shell, and leads nowhere else.
_VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}")


def is_version(text: str) -> bool:
    """Whether a slot may have this name."""
    return _VERSION.fullmatch(text) is not None


@attrs.frozen
class Installation:
    """The paths of one; nothing here needs to exist. `root` is absolute and without links."""

    root: Path

    @property
    def guard(self) -> Path:
        return self.root / "guard"

    @property
    def versions(self) -> Path:
        return self.root / _VERSIONS

    @property
    def current(self) -> Path:
        """The link."""
        return self.root / "current"

    @property
    def previous(self) -> Path:
        """The link."""
        return self.root / "previous"

    @property
    def entry(self) -> Path:
        """The program by the name that leads to the current version at any time."""
        return self.current / _PROGRAM

    @property
    def update(self) -> Path:
        return self.root / "update"

    @property
    def lock(self) -> Path:
        """Held (flock(2)) by whoever updates, for as long as it does."""
        return self.update / "lock"

    @property
    def progress(self) -> Path:
        return self.update / "progress.json"

    @property
    def trial(self) -> Path:
        return self.update / "trial"

    @property
    def before(self) -> Path:
        """How the gateway was before the switch, for whoever judges in the updater's place."""
        return self.update / "before.json"

    @property
    def failed(self) -> Path:
        """The trial that was rolled back last, and why."""
        return self.update / "failed"

    @property
    def last(self) -> Path:
        return self.update / "last.json"

    @property
    def download(self) -> Path:
        """Targets that are not complete yet."""
        return self.update / "download"

    @property
    def metadata(self) -> Path:
        """What TUF has seen so far, root.json among it."""
        return self.update / "metadata"

    @property
    def copy(self) -> Path:
        """The state on which a new version is tried."""
        return self.update / "copy"

    def slot(self, version: str) -> Path:
        """The folder of a version. Raises ValueError for what is no version."""
        if not is_version(version):
            raise ValueError(f"{version!r} is no version")
        return self.versions / version

    def program(self, version: str) -> Path:
        """The executable of a version."""
        return self.slot(version) / _PROGRAM

    def current_version(self) -> str | None:
        """What `current` leads to, whether it is there or not; None where it leads to no slot."""
        return self._leads_to(self.current)

    def previous_version(self) -> str | None:
        """What `previous` leads to."""
        return self._leads_to(self.previous)

    def is_complete(self, version: str) -> bool:
        """Whether there is such a slot with a program that could be executed; the guard goes by the same."""
        if not is_version(version):
            return False
        program = self.program(version)
        try:
            found = program.stat()
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size > 0 and os.access(program, os.X_OK)

    def slots(self) -> list[str]:
        """The versions that are here, in no order that means anything."""
        try:
            names = sorted(each.name for each in self.versions.iterdir())
        except FileNotFoundError:
            return []
        return [name for name in names if self.is_complete(name)]

    def swap(self, version: str) -> None:
        """Make `version` the current one: durable when this returns. Raises OSError, with nothing changed."""
        if not self.is_complete(version):
            raise FileNotFoundError(2, "is no version that could run", str(self.slot(version)))
        self._link(self.current, version)

    def set_previous(self, version: str) -> None:
        """Remember what to go back to. Raises OSError."""
        if self.previous_version() != version:
            self._link(self.previous, version)

    def prune(self, keep: int, also: Collection[str] = ()) -> list[str]:
        """Remove the oldest slots but `keep` of them; the versions that went. The lock is held meanwhile.

        Never the current one, the previous one, those of `also` (a trial's), and what a process runs.
        """
        needed = {self.current_version(), self.previous_version(), *also, *self._running()}
        by_age = sorted(self.slots(), key=lambda each: self.slot(each).stat().st_mtime_ns, reverse=True)
        kept = [each for each in by_age if each in needed]
        kept += [each for each in by_age if each not in needed][: max(0, keep - len(kept))]
        gone = [each for each in by_age if each not in kept]
        for version in gone:
            # Under another name first: half a slot must not look like a whole one.
            self.slot(version).rename(self.versions / f".{version}-{os.urandom(4).hex()}-gone")
        self.clear_away()
        return gone

    def clear_away(self) -> None:
        """Remove what is half made or half removed in `versions`. The lock is held meanwhile."""
        for left in self.versions.glob(".*"):
            shutil.rmtree(left, ignore_errors=True)

    def _running(self) -> Iterator[str]:
        """The versions that processes of this machine execute, as far as this user may see them."""
        versions = (version_of_slot(each, self) for each in executables())
        yield from (each for each in versions if each is not None)

    def _leads_to(self, link: Path) -> str | None:
        try:
            target = link.readlink()
        except OSError:
            return None
        folder = (self.root / target).parent
        inside = folder == self.versions and is_version(target.name)
        return target.name if inside else None

    def _link(self, link: Path, version: str) -> None:
        beside = link.with_name(f".{link.name}.{os.getpid()}-{os.urandom(4).hex()}")
        beside.symlink_to(Path(_VERSIONS) / version)
        try:
            beside.replace(link)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        sync_folder(self.root)


def installation_of(program: Path) -> Installation | None:
    """The installation that a program lies in, by whatever link it is named; None where it lies in none: a
    package's, a source tree's, a binary that was only unpacked.
    """
    slot = program.resolve().parent
    if slot.parent.name != _VERSIONS or not is_version(slot.name):
        return None
    found = Installation(slot.parent.parent)
    return found if found.current.is_symlink() else None


def own_installation() -> Installation | None:
    """The installation that this process runs from; None where it runs from none."""
    return installation_of(Path(sys.executable)) if getattr(sys, "frozen", False) else None


def version_of_slot(program: Path, installation: Installation) -> str | None:
    """The version whose slot `program` lies in; the path is taken as it is, without following links."""
    slot = program.parent
    return slot.name if slot.parent == installation.versions and is_version(slot.name) else None
