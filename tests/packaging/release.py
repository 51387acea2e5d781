"""Every file of a release, made once for the tests that look at them."""

import functools
import os
import subprocess
import tempfile
from pathlib import Path

import openclawd
from tests.packaging.frozen import ROOT

BUILD_PYTHON = ROOT / "build" / "venv" / "bin" / "python"


class Release:
    """What packaging/package made, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def one(self, pattern: str) -> Path:
        (found,) = self.folder.glob(pattern)
        return found

    @property
    def wheel(self) -> Path:
        return self.one("openclawd-*.whl")

    @property
    def sdist(self) -> Path:
        return self.one(f"openclawd-{openclawd.__version__}.tar.gz")

    @property
    def deb(self) -> Path:
        return self.one("openclawd_*.deb")

    @property
    def sbom(self) -> Path:
        return self.one("openclawd-*.cdx.json")

    @property
    def manual(self) -> Path:
        return self.one("openclawd.1")

    @property
    def sums(self) -> Path:
        return self.folder / "SHA256SUMS"

    def deb_of(self, binary: Path, into: Path) -> Path:
        """The Debian package of another binary than the release's."""
        command = (BUILD_PYTHON, "-P", ROOT / "packaging" / "deb.py", binary, self.manual, self.sbom, into)
        date = {"SOURCE_DATE_EPOCH": "1700000000"}
        made = subprocess.run(command, env=os.environ | date, capture_output=True, text=True, check=True)
        return into / made.stdout.strip()


@functools.cache
def release() -> Release:
    """Made by the first who asks."""
    # Kept until the process ends, whoever asks next.
    folder = tempfile.TemporaryDirectory(prefix="openclawd-release-")
    _KEPT.append(folder)
    command = (ROOT / "packaging" / "package", "--into", folder.name)
    # Of somebody whose own files nobody else may read.
    made = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, umask=0o077
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return Release(Path(folder.name))


_KEPT: list[tempfile.TemporaryDirectory[str]] = []
