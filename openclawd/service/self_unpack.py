"""This program as a slot of an installation: the folder that it was built as, copied to where it belongs.

A program that is a folder already (the executable with `_internal` beside it) is copied as it is. The one
file that people download unpacks itself into a folder of its own when it starts; that folder is `_internal`,
and what else belongs to a slot rides inside it (slots/carried.py).
"""

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
from openclawd.slots.layout import Installation

# What else a build has at its top; what lies beside a folder's executable by chance is none of ours.
_BESIDE: Final = ("LICENSE", "licences")


class AnotherBuild(Exception):
    """The slot of this version is there, and holds another build of it."""


def place(installation: Installation) -> tuple[str, bool]:
    """Have this program in its slot: its version, and whether it had to be put there. Durable when this
    returns. Raises OSError, AnotherBuild.
    """
    slot = installation.slot(__version__)
    if installation.is_complete(__version__):
        if Path(sys.executable).resolve().parent != slot.resolve() and not _is_same(slot):
            raise AnotherBuild(f"{slot} holds another build of {__version__} than this one.")
        return __version__, False
    installation.versions.mkdir(mode=0o755, parents=True, exist_ok=True)
    beside = installation.versions / f".{__version__}-{os.urandom(4).hex()}"
    beside.mkdir(mode=0o755)
    try:
        for source, target in _parts():
            if source.is_dir():
                shutil.copytree(source, beside / target, symlinks=True, ignore=_carried, dirs_exist_ok=True)
            else:
                shutil.copy2(source, beside / target)
        _settle(beside)
        if slot.exists():
            # What has the name and cannot run: this is how it is put right.
            broken = installation.versions / f".{__version__}-{os.urandom(4).hex()}-gone"
            slot.rename(broken)
            shutil.rmtree(broken, ignore_errors=True)
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
    for path, folders, files in os.walk(folder):
        here = Path(path)
        here.chmod(0o755)
        for name in files:
            file = here / name
            if file.is_symlink():
                continue
            # The one file makes all that it unpacks executable.
            file.chmod(0o755 if file == folder / PROGRAM else 0o644)
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        for name in folders:
            if not (here / name).is_symlink():
                sync_folder(here / name)
        sync_folder(here)
