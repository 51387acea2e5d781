"""This program as a slot of an installation: the folder that it was built as, copied to where it belongs.

A program that is a folder already (the executable with `_internal` beside it) is copied as it is. The one
file that people download unpacks itself into a folder of its own when it starts; that folder is `_internal`,
and what else belongs to a slot rides inside it (slots/carried.py).
"""

import errno
import filecmp
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from openclawd import __version__
from openclawd.config.atomic import sync_folder
from openclawd.slots.carried import INTERNAL, PROGRAM, carried
from openclawd.slots.durable import sync_tree
from openclawd.slots.layout import Installation

# What else a build has at its top; what lies beside a folder's executable by chance is none of ours.
_BESIDE: Final = ("LICENSE", "licences")


class AnotherBuild(Exception):
    """The slot of this version is there, and holds another build of it."""


def place(installation: Installation) -> tuple[str, bool]:
    """Have this program in its slot: its version, and whether it had to be put there. Durable when this
    returns. The lock of the installation is held meanwhile. Raises OSError, AnotherBuild.
    """
    slot = installation.slot(__version__)
    if installation.is_complete(__version__):
        if Path(sys.executable).resolve().parent != slot.resolve() and not _is_same(slot):
            raise AnotherBuild(f"{slot} holds another build of {__version__} than this one.")
        return __version__, False
    installation.versions.mkdir(mode=0o755, parents=True, exist_ok=True)
    installation.clear_away()
    _require_room(installation.versions)
    beside = installation.versions / f".{__version__}-{os.urandom(4).hex()}"
    beside.mkdir(mode=0o755)
    try:
        for source, target in _parts():
            if source.is_dir():
                _copy(source, beside / target)
            else:
                shutil.copy2(source, beside / target)
        _settle(beside)
        if slot.exists():
            # What has the name and cannot run: this is how it is put right.
            slot.rename(installation.versions / f".{__version__}-{os.urandom(4).hex()}-gone")
        beside.rename(slot)
        sync_folder(installation.versions)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return __version__, True


def _parts() -> Iterator[tuple[Path, str]]:
    """What a slot is made of: where it lies now, and its name in the slot."""
    inside = carried()
    executable = Path(sys.executable).resolve() if inside is None else inside / PROGRAM
    yield executable, PROGRAM
    yield (executable.parent / INTERNAL).resolve(), INTERNAL
    yield from ((each, each.name) for name in _BESIDE if (each := executable.parent / name).exists())


def _require_room(folder: Path) -> None:
    """Raises OSError (ENOSPC) where this program is larger than what is free."""
    files = (file for source, _ in _parts() for file in (source, *source.rglob("*")))
    needed = sum(file.lstat().st_size for file in files)
    found = os.statvfs(folder)
    if found.f_bavail * found.f_frsize < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def _copy(source: Path, target: Path) -> None:
    """A folder with all that is in it. Raises OSError."""
    try:
        shutil.copytree(source, target, symlinks=True, ignore=_carried)
    except shutil.Error as error:
        # It tells of every file: hundreds, where a disk has become full. One is enough.
        raise OSError(None, str(error.args[0][0][2])) from error


def _carried(folder: str, names: list[str]) -> list[str]:
    inside = carried()
    return [name for name in names if inside is not None and Path(folder) / name == inside]


def _is_same(slot: Path) -> bool:
    """Whether a slot holds what this program would put there."""
    for source, target in _parts():
        if source.is_dir():
            inside = carried()
            left_out = [inside.name] if inside is not None and inside.parent == source else []
            compared = filecmp.dircmp(source, slot / target, ignore=left_out, hide=[])
            if not _equal(compared):
                return False
        elif not filecmp.cmp(source, slot / target, shallow=False):
            return False
    return True


def _equal(compared: "filecmp.dircmp[str]") -> bool:
    if compared.left_only or compared.right_only or compared.funny_files or compared.common_funny:
        return False
    _, wrong, unread = filecmp.cmpfiles(compared.left, compared.right, compared.common_files, shallow=False)
    return not wrong and not unread and all(_equal(each) for each in compared.subdirs.values())


def _settle(folder: Path) -> None:
    """Readable for whoever runs the service, writable for whoever installed it, and on the disk."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            # The one file makes all that it unpacks executable.
            path.chmod(0o755 if path.is_dir() or path == folder / PROGRAM else 0o644)
    sync_tree(folder)
