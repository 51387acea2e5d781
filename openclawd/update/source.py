"""How this program came here, and so who brings it another version, with which command."""

import importlib.metadata
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final, Literal

import attrs
import orjson

from openclawd.daemon.image import environment_of
from openclawd.slots.layout import Installation, installation_of

_NAME: Final = "openclawd"
_WHEEL: Final = f"./{_NAME}-VERSION-py3-none-any.whl"
_PATIENCE_S: Final = 10.0

Kind = Literal["installation", "file", "deb", "pipx", "uv", "pip", "source"]


@attrs.frozen
class Source:
    """`command` is what the user types; an installation of ours is the only one that updates itself."""

    kind: Kind
    command: str
    installation: Installation | None = None

    def said(self) -> str:
        """Whose this program is, in a sentence."""
        return _SAID[self.kind]


_SAID: Final[dict[Kind, str]] = {
    "installation": "This openclawd updates itself.",
    "file": "This openclawd is not installed, so it has no other versions beside it.",
    "deb": "This openclawd came as a Debian package, and dpkg replaces it.",
    "pipx": "This openclawd was installed with pipx, which replaces it.",
    "uv": "This openclawd was installed with uv, which replaces it.",
    "pip": "This openclawd was installed with pip, which replaces it.",
    "source": "This openclawd runs from its source.",
}


@attrs.frozen
class Program:
    """What tells how it came here; tests put their own in its place."""

    executable: Path
    prefix: Path
    package: Path
    """Where the modules lie."""

    is_frozen: bool


def running_program() -> Program:
    """The one of this process."""
    package = Path(__file__).resolve().parent.parent
    return Program(Path(sys.executable), Path(sys.prefix), package, bool(getattr(sys, "frozen", False)))


def source_of(program: Program) -> Source:
    """How a program came here. May ask dpkg."""
    if program.is_frozen:
        return _of_frozen(program.executable)
    by_file = _came_as_file(program.package)
    if (program.prefix / "pipx_metadata.json").is_file():
        return Source("pipx", f"pipx install --force {_WHEEL}" if by_file else f"pipx upgrade {_NAME}")
    if (program.prefix / "uv-receipt.toml").is_file():
        return Source("uv", f"uv tool install --force {_WHEEL}" if by_file else f"uv tool upgrade {_NAME}")
    if _is_installed(program.package):
        python = shlex.quote(str(program.executable))
        return Source("pip", f"{python} -m pip install --upgrade {_WHEEL if by_file else _NAME}")
    return Source("source", f"git -C {shlex.quote(str(program.package.parent))} pull")


def _of_frozen(executable: Path) -> Source:
    found = installation_of(executable)
    if found is not None:
        return Source("installation", "openclawd update run", found)
    if _has_dpkg(executable.resolve()):
        return Source("deb", f"sudo apt install ./{_NAME}_VERSION_ARCHITECTURE.deb")
    return Source("file", "openclawd gateway install")


def _has_dpkg(executable: Path) -> bool:
    """Whether dpkg put it there: nobody else does so below /usr, but for /usr/local."""
    if not executable.is_relative_to("/usr") or executable.is_relative_to("/usr/local"):
        return False
    try:
        words = ("/usr/bin/dpkg-query", "--search", str(executable))
        asked = subprocess.run(  # noqa: S603  a list of words: no shell reads them
            words, env=environment_of(os.environ), capture_output=True, check=False, timeout=_PATIENCE_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def _is_installed(package: Path) -> bool:
    """Whether these modules are what pip has put there, and not a folder that it only points to."""
    found = _distribution(package)
    told = found.read_text("direct_url.json") if found is not None else None
    if told is None:
        return found is not None
    try:
        return not orjson.loads(told).get("dir_info", {}).get("editable", False)
    except (ValueError, AttributeError):
        return True


def _came_as_file(package: Path) -> bool:
    """Whether it was installed from a file (packaging.python.org, direct-url): what an index has by this name
    need not be ours.
    """
    found = _distribution(package)
    return found is not None and found.read_text("direct_url.json") is not None


def _distribution(package: Path) -> importlib.metadata.Distribution | None:
    """What pip knows of these modules."""
    try:
        found = importlib.metadata.distribution(_NAME)
    except importlib.metadata.PackageNotFoundError:
        return None
    return found if Path(str(found.locate_file(_NAME))).resolve() == package else None
