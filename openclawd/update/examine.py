"""Whether a new version could serve here, asked of itself before anything is changed: what it says it is, and
`gateway check`, which reads the config and makes its migrations on a copy of the database.

The gateway asks it once more before it restarts, with its own flags and environment (daemon/preflight).
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Final

import trio

from openclawd.daemon.image import environment_of
from openclawd.daemon.preflight import preflight
from openclawd.update.staged import CannotUpdate, Staged

# It starts within half a second; the first start of new files on a slow disk takes longer.
_PATIENCE_S: Final = 30.0
# A large database is copied and migrated, for some seconds (store/trial.py).
_CHECK_PATIENCE_S: Final = 60.0


def examine(staged: Staged, environ: Mapping[str, str], state: Path) -> None:
    """Raises CannotUpdate with what the new version says. `environ` names the gateway that it would be, which
    is of the user whose `state` it is.
    """
    program = staged.folder / "openclawd"
    said = _version(program)
    if said.split()[:2] != ["openclawd", staged.version]:
        raise CannotUpdate(
            f"{program} says that it is {said!r}, not {staged.version}",
            # What has a slot is not fetched again.
            f"To have it anew: rm -r {quote(str(staged.folder))}",
        )
    problem = trio.run(_check, program, environ, owner_of(state))
    if problem is not None:
        raise CannotUpdate(f"{staged.version} could not serve here: {problem}", f"{program} gateway check")


async def _check(program: Path, environ: Mapping[str, str], user: tuple[int, int] | None) -> str | None:
    words = [str(program), "gateway", "check"]
    return await preflight(words, {}, timeout_s=_CHECK_PATIENCE_S, environ=environ, user=user)


def owner_of(state: Path) -> tuple[int, int] | None:
    """Whom root asks it as, where root has not the state itself."""
    if os.geteuid() != 0 or not state.exists() or state.stat().st_uid == 0:
        return None
    return state.stat().st_uid, state.stat().st_gid


def _version(program: Path) -> str:
    """What `--version` prints. Raises CannotUpdate where it prints nothing."""
    again = f"{program} --version"
    try:
        ended = subprocess.run(  # noqa: S603  a program that was verified
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_S,
            check=False,
            env=environment_of(os.environ),
        )
    except subprocess.TimeoutExpired as error:
        raise CannotUpdate(f"{program} does not say its version within {_PATIENCE_S:g} s", again) from error
    except OSError as error:
        raise CannotUpdate(f"{program} cannot be run here: {error.strerror or error}", again) from error
    if ended.returncode != 0:
        last = (ended.stderr.strip().splitlines() or [f"it ended with {ended.returncode}"])[-1]
        raise CannotUpdate(f"{program} cannot be run here: {last}", again)
    return ended.stdout.strip()
