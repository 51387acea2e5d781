"""The archives of a repository: <channel>/<sha256>.openclawd-<version>-<system>-<machine>.tar.gz.

They lie there from when a build is added. What no list names is no release, and nobody asks for it.
"""

from pathlib import Path
from typing import Final

import attrs
from tuf.api.metadata import TargetFile

from scripts.releasing.archive import Built, pack

_FOR_ALL: Final = 0o644


@attrs.frozen
class Archives:
    """Those in one folder, public/targets."""

    folder: Path

    def make(self, build: Built, channel: str, *, made_s: int) -> TargetFile:
        """Pack a build, which is there by its hash when this returns."""
        place = self.folder / channel
        for each in (*reversed(self.folder.parents[:2]), self.folder, place):
            open_to_all(each)
        beside = place / f".{build.name}"
        try:
            pack(build, beside, made_s=made_s)
            target = TargetFile.from_file(f"{channel}/{build.name}", str(beside), ["sha256"])
            beside.chmod(_FOR_ALL)
            beside.rename(self._file(target))
        finally:
            beside.unlink(missing_ok=True)
        return target

    def remove(self, target: TargetFile) -> None:
        self._file(target).unlink(missing_ok=True)

    def _file(self, target: TargetFile) -> Path:
        channel, _, name = target.path.rpartition("/")
        return self.folder / channel / f"{sha256(target)}.{name}"


def open_to_all(folder: Path) -> None:
    """Have a folder that a web server may read, whatever the umask."""
    folder.mkdir(exist_ok=True)
    folder.chmod(_FOR_ALL | 0o111)


def sha256(target: TargetFile) -> str:
    return str(target.hashes["sha256"])
