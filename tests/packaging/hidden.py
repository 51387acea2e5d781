"""A process that sees less of this machine: folders covered in a mount namespace of its own (unshare(1))."""

import functools
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

_UNSHARE = shutil.which("unshare") or "unshare"
_MOUNT = shutil.which("mount") or "mount"


@functools.cache
def why_not() -> str | None:
    """Why this machine cannot cover anything; None when it can."""
    try:
        asked = subprocess.run(
            _without("true", ()), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError as error:
        return str(error)
    return asked.stderr.strip() or None if asked.returncode else None


def without(covered: Iterable[Path], program: Path, *, then: str = "") -> list[str]:
    """The command that runs `program` where each of `covered` is an empty folder, after sh did `then`."""
    return [*_without(then, covered), str(program)]


def _without(then: str, covered: Iterable[Path]) -> list[str]:
    mounts = [f"{_MOUNT} -t tmpfs none {shlex.quote(str(folder.resolve()))}" for folder in covered]
    script = "\n".join(["set -e", *mounts, then, 'exec "$@"'])
    return [_UNSHARE, "--mount", "--propagation", "private", "/bin/sh", "-c", script, "sh"]
