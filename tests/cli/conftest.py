"""A home of its own for every test, and the command run as a person runs it."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from openclawd.cli.main import main


@attrs.frozen
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@attrs.frozen
class Shell:
    """Runs `openclawd ...` with a state directory of its own."""

    state_dir: Path
    _capture: pytest.CaptureFixture[str]

    @property
    def socket(self) -> Path:
        return self.state_dir / "openclawd" / "gateway.sock"

    def write_config(self, text: str) -> Path:
        file = self.state_dir / "openclaw.json"
        file.write_text(text)
        return file

    def __call__(self, *words: str, **environ: str) -> Ran:
        self._capture.readouterr()
        code = main(
            words, {"HOME": str(self.state_dir), "OPENCLAW_STATE_DIR": str(self.state_dir), **environ}
        )
        captured = self._capture.readouterr()
        return Ran(code, captured.out, captured.err)


@pytest.fixture
def shell(tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]) -> Shell:
    # Not tmp_path: its name comes from the test's, and a socket's path may be 100 bytes long only.
    return Shell(tmp_path_factory.mktemp("state"), capsys)


@pytest.fixture
def write_log(shell: Shell) -> Callable[..., Path]:
    """Writes a log file as the daemon does; `number` 1 and up are the rotated ones."""

    def write(*lines: str, number: int = 0) -> Path:
        folder = shell.state_dir / "openclawd" / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / ("openclawd.log" if number == 0 else f"openclawd.log.{number}")
        file.write_text("".join(f"{line}\n" for line in lines))
        return file

    return write


@pytest.fixture
def unused_port() -> int:
    """A port on which nobody listens now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
