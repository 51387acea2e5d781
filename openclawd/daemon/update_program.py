"""`openclawd update` as a process of its own: what it needs is imported there and not here, and it lives on
when this process becomes another version.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson
import trio

from openclawd.config.paths import Paths
from openclawd.daemon.image import environment_of
from openclawd.daemon.log_text import printable
from openclawd.daemon.preflight import NOT_FOR_OTHERS
from openclawd.methods.services import UpdateRefused

# Several mirrors, each of which may take its time to fail.
CHECK_TIMEOUT_S: Final = 150.0
_MAX_BYTES: Final = 256 * 1024
_REASON_CHARS: Final = 600


class UpdateProgram:
    """The command line of this very version, whatever `current` leads to meanwhile, and its environment."""

    def __init__(self, words: tuple[str, ...], environ: Mapping[str, str]) -> None:
        self._words = words
        self._environ = environ

    async def check(self) -> dict[str, Any]:
        """What `update check --json` prints. Raises UpdateRefused."""
        try:
            with trio.fail_after(CHECK_TIMEOUT_S):
                ended = await trio.run_process(
                    [*self._words, "update", "check", "--json"],
                    capture_stdout=True,
                    capture_stderr=True,
                    check=False,
                    env=self._environ,
                    start_new_session=True,
                )
        except trio.TooSlowError:
            raise UpdateRefused(f"it took longer than {CHECK_TIMEOUT_S:g} s to look") from None
        except OSError as error:
            raise UpdateRefused(f"{self._words[0]} cannot be run: {error.strerror or error}") from error
        return _document(ended.stdout, ended.stderr, ended.returncode)

    async def start(self) -> "RunningUpdate":
        """Begin an update to the newest version. Raises UpdateRefused."""
        try:
            with ExitStack() as files:
                # Files: they can be written after this process has become another one, which pipes cannot.
                told, complained = (files.enter_context(tempfile.TemporaryFile()) for _ in range(2))
                process = await trio.lowlevel.open_process(
                    [*self._words, "update", "run", "--json"],
                    stdin=subprocess.DEVNULL,
                    stdout=told.fileno(),
                    stderr=complained.fileno(),
                    env=self._environ,
                    start_new_session=True,
                )
                files.pop_all()
                return RunningUpdate(process, told, complained)
        except OSError as error:
            raise UpdateRefused(f"{self._words[0]} cannot be run: {error.strerror or error}") from error


class RunningUpdate:
    """An update that was begun here."""

    def __init__(self, process: trio.Process, told: BinaryIO, complained: BinaryIO) -> None:
        self._process = process
        self._told = told
        self._complained = complained

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ended(self) -> dict[str, Any]:
        """Wait for its end; what it printed. Raises UpdateRefused where it ended badly."""
        with self._told, self._complained:
            await self._process.wait()
            told, complained = (
                os.pread(file.fileno(), _MAX_BYTES, 0) for file in (self._told, self._complained)
            )
        return _document(told, complained, self._process.returncode or 0)


def update_program(paths: Paths, environ: Mapping[str, str]) -> UpdateProgram:
    """This program, to be run about the gateway of these paths."""
    frozen = getattr(sys, "frozen", False)
    words = (str(Path(sys.executable).resolve()),) if frozen else (sys.executable, "-m", "openclawd")
    around = {name: text for name, text in environ.items() if name not in NOT_FOR_OTHERS}
    around |= {"OPENCLAW_STATE_DIR": str(paths.state_dir), "OPENCLAW_CONFIG_PATH": str(paths.config_file)}
    return UpdateProgram(words, environment_of(around))


def _document(told: bytes, complained: bytes, code: int) -> dict[str, Any]:
    try:
        document = orjson.loads(told)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        last = complained.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise UpdateRefused(f"`openclawd update` ended with exit code {code}: {_line(last[0])}")
    error = document.get("error")
    if isinstance(error, dict):
        cure = error.get("next")
        raise UpdateRefused(_line(error.get("message")), _line(cure) if cure is not None else None)
    return document


def _line(text: object) -> str:
    return printable(" ".join(str(text).split()))[:_REASON_CHARS]
