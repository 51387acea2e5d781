"""A gateway process under measurement: a state directory of its own, a core of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.bench.client import BACKEND, Client, Identity, admit
from tests.bench.machine import Cores, on_cores
from tests.bench.tree import Tree
from tests.support.gateway_process import TOKEN, free_port

# /tmp is memory on many machines, where a flush to disk costs nothing; this is a disk.
_STATE_PARENT: Final = Path("/var/tmp")
_START_PATIENCE_S: Final = 30.0
_STOP_PATIENCE_S: Final = 20.0
# Between two tries to connect to a gateway that is starting.
_RETRY_S: Final = 0.001
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class GatewayFailed(Exception):
    """The gateway ended, or never answered; the message holds what it wrote."""


class Gateway:
    """`openclawd gateway` of one tree; starts and stops as often as one likes, in the same state."""

    def __init__(
        self, tree: Tree, cores: Cores, folder: Path, config: Mapping[str, Any] | None = None
    ) -> None:
        self._tree = tree
        self._cores = cores
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        state = folder / "state"
        state.mkdir()
        if config is not None:
            (state / "openclaw.json").write_text(json.dumps(config))

    def start(self) -> float:
        """Start it and wait for the first hello-ok; gives the seconds that this took."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        environ = inherited | {
            "OPENCLAW_STATE_DIR": str(self._folder / "state"),
            "OPENCLAW_GATEWAY_TOKEN": TOKEN,
            "OLLAMA_HOST": "127.0.0.1:9",
            "PYTHONPATH": str(self._tree.folder),
        }
        command = [sys.executable, "-P", "-m", "openclawd", "gateway", "--port", str(self.port)]
        with self._output.open("ab") as output, on_cores(self._cores.gateway):
            began = time.perf_counter()
            self._process = subprocess.Popen(
                command, env=environ, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        for first in admit([self._connect()], [Identity(BACKEND, TOKEN)]):
            first.client.close()
        return time.perf_counter() - began

    def _connect(self) -> Client:
        deadline = time.monotonic() + _START_PATIENCE_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                return Client(self.port)
            except ConnectionRefusedError:
                time.sleep(_RETRY_S)
        raise GatewayFailed(f"{self._tree.name} does not start: {self._output.read_text()[-2000:]}")

    def restart(self) -> None:
        """Ask for a restart, and do not wait."""
        if self._process is None:
            raise GatewayFailed(f"{self._tree.name} does not run")
        self._process.send_signal(signal.SIGUSR1)

    def stop(self) -> None:
        """SIGTERM and wait; what does not go is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def resident_kib(self) -> int:
        """Memory that is its own or shared, as proc(5) VmRSS has it."""
        return int(self._proc("status").partition("VmRSS:")[2].split()[0])

    @property
    def cpu_s(self) -> float:
        """Processor time so far, of all its threads (proc(5): utime and stime; the name may hold spaces)."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def _proc(self, name: str) -> str:
        if self._process is None:
            raise GatewayFailed(f"{self._tree.name} does not run")
        try:
            return Path(f"/proc/{self._process.pid}/{name}").read_text()
        except OSError as error:
            raise GatewayFailed(f"{self._tree.name} has ended: {self._output.read_text()[-2000:]}") from error

    @property
    def _output(self) -> Path:
        return self._folder / "output.txt"


@contextmanager
def gateway(
    tree: Tree, cores: Cores, config: Mapping[str, Any] | None = None, *, start: bool = True
) -> Generator[Gateway, None, None]:
    """A gateway that is stopped, and whose state is removed, at the end of the block."""
    parent = _STATE_PARENT if os.access(_STATE_PARENT, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="openclawd-bench-", dir=parent))
    found = Gateway(tree, cores, folder, config)
    try:
        if start:
            found.start()
        yield found
    finally:
        found.stop()
        shutil.rmtree(folder, ignore_errors=True)
