"""Other versions of the frozen binary, in a moment: its modules are files, so a few are exchanged.

Everything else is the same file under another name (a hard link), so that a variant costs no disk.
"""

import importlib.util
import os
import py_compile
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from openclawd.slots.guard import guard_text, install_guard
from openclawd.slots.layout import Installation

ROOT = Path(__file__).parents[2]


def variant(dist: Path, into: Path, version: str, changed: Mapping[str, str] | None = None) -> Path:
    """Make `into` a copy of `dist` (a folder with the program `openclawd`) that says it is `version`; its
    path.

    `changed` is source by module name (`openclawd.net.http`), in the place of the module's own.
    """
    shutil.copytree(dist, into, symlinks=True, copy_function=_link)
    sources = {"openclawd": _init(version), **(changed or {})}
    for module, source in sources.items():
        _exchange(into, module, source)
    return into


def before(module: str, first: str) -> str:
    """The source of a module of ours with `first` before everything else."""
    return f"{first}\n{source_of(module)}"


def source_of(module: str) -> str:
    """As it stands in this folder."""
    path = ROOT.joinpath(*module.split("."))
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()


def install(dist: Path, root: Path, version: str) -> Installation:
    """An installation whose current version is `dist`, called `version`."""
    installation = Installation(root.resolve())
    installation.versions.mkdir(parents=True)
    variant(dist, installation.slot(version), version)
    installation.swap(version)
    install_guard(installation, guard_text())
    return installation


def _init(version: str) -> str:
    source, found = re.subn(
        r'^__version__(.*)= ".*"$',
        rf'__version__\g<1>= "{version}"',
        source_of("openclawd"),
        flags=re.MULTILINE,
    )
    assert found == 1, "openclawd/__init__.py names the version in another way"
    return source


def _exchange(folder: Path, module: str, source: str) -> None:
    path = folder.joinpath("_internal", *module.split("."))
    compiled = path / "__init__.pyc" if path.is_dir() else path.with_suffix(".pyc")
    assert compiled.read_bytes()[:4] == importlib.util.MAGIC_NUMBER, "the binary holds another Python"
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(source)
        file.flush()
        # A new file: the name that is there may be the original's, too.
        compiled.unlink()
        py_compile.compile(file.name, str(compiled), dfile=f"{module}.py", doraise=True, optimize=2)
        # As its source, which is for nobody else.
        compiled.chmod(0o644)


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
