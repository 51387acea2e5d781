"""Why the gateway did not start, in words that end in what helps."""

import errno
import os
import pwd
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from openclawd.daemon.exit_codes import ExitCode

# Of the state directory (config/paths.py).
_OWN_DIR: Final = "openclawd"

REINSTALL: Final = "Install openclawd anew, with the file that was downloaded: ./openclawd gateway install"


class StartRefused(Exception):
    """Nothing was changed and nothing is running; the process ends with `exit_code`."""

    def __init__(self, exit_code: ExitCode, text: str) -> None:
        super().__init__(text)
        self.exit_code = exit_code


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Making `path` must succeed. Raises StartRefused."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> StartRefused:
    """The refusal to start without `path`."""
    said = f"{path} cannot be written: {error.strerror or error}."
    return StartRefused(ExitCode.CONFIG, f"{said}\n{_cure(path, error)}")


def _cure(path: Path, error: OSError) -> str:
    # Not Path's own, which fails where we may not look.
    folder = path if os.path.isdir(path) else path.parent  # noqa: PTH112
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS}:
        return f"Make room there, or have it mounted writable: df -h {shlex.quote(str(folder))}"
    if error.errno in {errno.EISDIR, errno.ENOTDIR, errno.EEXIST}:
        return f"Something else lies in its place: ls -ld {shlex.quote(str(path))}"
    # Only of a folder that is ours by its name: what else somebody has named may be anybody's.
    for own in (folder, folder.parent):
        if own.name == _OWN_DIR and os.path.isdir(own):  # noqa: PTH112
            return f"Give it back to its user: sudo chown -R {_own_name()}: {shlex.quote(str(own))}"
    return (
        "Give it to the user that runs the gateway, or choose another place:"
        " OPENCLAW_STATE_DIR=/path openclawd gateway"
    )


def _own_name() -> str:
    """The user that this process runs as."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"#{os.geteuid()}"
