"""Where a version rehearses: a process of its own, with an empty state, a port that nobody has, and a model
that costs nothing. It sees nothing of the gateway that runs.
"""

import os
import secrets
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import attrs
import orjson

from openclawd.cli.rehearsal_model import MODEL, rehearsal_model
from openclawd.config.paths import Paths, resolve_paths
from openclawd.config.secret import Secret
from openclawd.daemon.image import environment_of
from openclawd.daemon.link import LOOPBACK

PREFIX: Final = "openclawd-rehearsal-"
# Of a whole environment, what a program needs to start at all.
_KEPT: Final = ("LANG", "LC_ALL", "PATH", "TMPDIR", "TZ")
_LAST_BYTES: Final = 4096


@attrs.frozen(eq=False, repr=False)
class Stage:
    """A gateway that rehearses."""

    process: subprocess.Popen[bytes]
    paths: Paths
    port: int
    token: Secret
    _said: Path

    def ending(self) -> str | None:
        """How it has ended, in words; None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        lines = self._said.read_bytes()[-_LAST_BYTES:].decode(errors="replace").strip().splitlines()
        last = f": {' '.join(lines[-1].split())}" if lines else ""
        return (f"exit code {code}" if code >= 0 else f"signal {-code}") + last


@contextmanager
def stage(program: Path, owner: tuple[int, int] | None) -> Iterator[Stage]:
    """Started, and whatever is left of it killed. `owner` (uid, gid) is whose process it is to be, where that
    is somebody else. Raises OSError.
    """
    # What a crash leaves there the system removes some day.
    with (
        rehearsal_model() as model,
        tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name,
    ):
        home = Path(name)
        environ = {
            **{key: os.environ[key] for key in _KEPT if key in os.environ},
            "HOME": name,
            "OPENCLAW_STATE_DIR": str(home / "state"),
        }
        paths, port, token = resolve_paths(environ), _free_port(), Secret(secrets.token_urlsafe(24))
        paths.state_dir.mkdir(mode=0o700)
        paths.config_file.write_bytes(orjson.dumps(_config(port, token, model)))
        paths.config_file.chmod(0o600)
        if owner is not None:
            for each in (home, paths.state_dir, paths.config_file):
                os.chown(each, *owner)
        with (home / "said").open("wb") as said:
            process = subprocess.Popen(  # noqa: S603  a program that was verified
                [program, "gateway"],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env=environment_of(environ),
                start_new_session=True,
                user=owner[0] if owner is not None else None,
                group=owner[1] if owner is not None else None,
                extra_groups=() if owner is not None else None,
            )
        try:
            yield Stage(process, paths, port, token, home / "said")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _free_port() -> int:
    """One that nobody has at this moment."""
    with socket.create_server((LOOPBACK, 0)) as bound:
        return int(bound.getsockname()[1])


def _config(port: int, token: Secret, model: str) -> dict[str, object]:
    provider = {
        "baseUrl": model,
        "apiKey": "none",
        "api": "openai-completions",
        "models": [{"id": MODEL, "name": "Rehearsal"}],
    }
    return {
        "gateway": {
            "port": port,
            "bind": "loopback",
            "auth": {"mode": "token", "token": token.reveal()},
        },
        "models": {"providers": {MODEL: provider}},
        "agents": {"defaults": {"model": {"primary": f"{MODEL}/{MODEL}"}}},
        "openclawd": {"update": {"auto": "off"}},
    }
