"""The files in an agent's workspace that people edit through the gateway: stock's eight, and no others.

A workspace is a folder that programs write to, so nothing in it is trusted: a link that leads out of it, and
what is not a file, is refused. Everything here blocks for as long as the disk takes.
"""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

FILE_NAMES: Final = (
    "AGENTS.md",
    "SOUL.md",
    "TOOLS.md",
    "IDENTITY.md",
    "USER.md",
    "HEARTBEAT.md",
    "BOOTSTRAP.md",
    "MEMORY.md",
)
# Stock reads 2 MB at most; these are notes for a model, whose whole window is smaller.
MAX_FILE_BYTES: Final = 1024 * 1024


class UnsafeFile(Exception):
    """The name leads out of the workspace, or to what is not a file."""


class FileTooLarge(Exception):
    """The file is longer than MAX_FILE_BYTES."""


@attrs.frozen(eq=False, repr=False)
class WorkspaceFile:
    """One of the files; `size` in bytes and the time of the last change are None where there is none."""

    name: str
    path: Path
    size: int | None = None
    updated_at_ms: int | None = None
    content: str | None = None

    @property
    def missing(self) -> bool:
        return self.size is None

    def to_wire(self) -> dict[str, object]:
        """The file as `agents.files.*` show it."""
        wire: dict[str, object] = {"name": self.name, "path": str(self.path), "missing": self.missing}
        more = {"size": self.size, "updatedAtMs": self.updated_at_ms, "content": self.content}
        return wire | {key: value for key, value in more.items() if value is not None}


def look_at(workspace: Path, name: str) -> WorkspaceFile:
    """The file without its content; one that is unsafe to read counts as missing. Raises OSError."""
    try:
        return _open(workspace, name, with_content=False)
    except UnsafeFile:
        return WorkspaceFile(name, workspace / name)


def read(workspace: Path, name: str) -> WorkspaceFile:
    """The file with its content, what is no UTF-8 replaced. Raises UnsafeFile, FileTooLarge, OSError."""
    return _open(workspace, name, with_content=True)


def _open(workspace: Path, name: str, *, with_content: bool) -> WorkspaceFile:
    path = workspace / name
    root = Path(os.path.realpath(workspace))
    # A loop of links stays unresolved here and is refused by the kernel.
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(root):
        raise UnsafeFile(name)
    try:
        descriptor = open_below(root, real.relative_to(root).parts)
    except (FileNotFoundError, NotADirectoryError):
        return WorkspaceFile(name, path)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnsafeFile(name) from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnsafeFile(name)
        if with_content and status.st_size > MAX_FILE_BYTES:
            raise FileTooLarge(name)
        content = _text(descriptor) if with_content else None
    finally:
        os.close(descriptor)
    return WorkspaceFile(name, path, status.st_size, status.st_mtime_ns // 1_000_000, content)


def open_below(root: Path, parts: Sequence[str]) -> int:
    """A descriptor of the file, opened step by step and through no link. Raises OSError.

    Links were resolved before this; one that is found now was put there since.
    """
    # O_NONBLOCK: opening a FIFO must not wait for its other end.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
    descriptor = os.open(root, flags | os.O_DIRECTORY)
    for number, part in enumerate(parts, 1):
        above = descriptor
        try:
            descriptor = os.open(part, flags | (os.O_DIRECTORY if number < len(parts) else 0), dir_fd=above)
        finally:
            os.close(above)
    return descriptor


def _text(descriptor: int) -> str:
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read(MAX_FILE_BYTES).decode("utf-8", "replace")
