"""A real gateway process with a state directory of its own."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

TOKEN = "9f3c1a7e5b2d8046c1e97a3f0b6d2845e8a1c7f39d5b0264"
START_PATIENCE_S = 20.0


def free_port() -> int:
    """A port that was free a moment ago, on every address: loopback has many, and tests come from many."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


class GatewayProcess:
    """`openclawd gateway` on a port of its own; `state` is its state directory."""

    program: Sequence[str] = (sys.executable, "-m", "openclawd")

    def __init__(self, state: Path, config: Mapping[str, Any] | str, environment: Mapping[str, str]) -> None:
        self.state = state
        self.port = free_port()
        self.token = TOKEN
        self.process: subprocess.Popen[bytes] | None = None
        tls = config.get("gateway", {}).get("tls", {}) if isinstance(config, Mapping) else {}
        self.tls = bool(tls.get("enabled"))
        self._environment = environment
        state.mkdir(parents=True, exist_ok=True)
        text = config if isinstance(config, str) else json.dumps(config)
        if text:
            (state / "openclaw.json").write_text(text)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/"

    @property
    def certificate(self) -> Path:
        """The one that it made, with TLS."""
        return self.state / "gateway" / "tls" / "gateway-cert.pem"

    @property
    def log_lines(self) -> list[dict[str, Any]]:
        """What the log says so far, in the file that is written and in the full ones, the oldest first."""
        files = sorted((self.state / "openclawd" / "logs").glob("openclawd.log*"), reverse=True)
        # The last line may be half there: the kernel copies one page after the other.
        whole = (file.read_text().rpartition("\n")[0] for file in files)
        return [json.loads(line) for text in whole for line in text.splitlines()]

    def decisions(self, message: str, **fields: object) -> list[dict[str, Any]]:
        """The log lines that say `message` (`admitted`, `refused`, ...) with these fields."""
        return [
            line
            for line in self.log_lines
            if line["message"] == message and all(line.get(key) == value for key, value in fields.items())
        ]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the `openclawd` command against this state directory."""
        return self.command_of(*self.program, *arguments)

    def command_of(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """The same with another program."""
        return subprocess.run(
            words,
            env=self._env(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def start(
        self,
        *arguments: str,
        shell: str = "",
        wait: bool = True,
        terminal: int | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start the process and wait until it is ready. `shell` is done before: `ulimit -n 256`, say. It has
        no terminal, whoever runs the tests, or `terminal`.
        """
        command = [*self.program, "gateway", "--port", str(self.port), *arguments]
        if shell:
            command = ["/bin/sh", "-c", f'{shell} && exec "$@"', "sh", *command]
        if terminal is not None:
            command = ["setsid", "--ctty", *command]
        with self._stdout.open("ab") as stdout, self._stderr.open("ab") as stderr:
            self.process = subprocess.Popen(
                command,
                env=self._env(),
                stdin=subprocess.DEVNULL if terminal is None else terminal,
                stdout=stdout,
                stderr=stderr,
                start_new_session=terminal is None,
                pass_fds=pass_fds,
            )
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_PATIENCE_S
        while time.monotonic() < deadline:
            assert self.process is not None
            assert self.process.poll() is None, f"the gateway has ended: {self.output}"
            try:
                # Whose certificate it is, is not asked here.
                context = ssl._create_unverified_context() if self.tls else None
                with urlopen(f"{self.url}readyz", timeout=2, context=context) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.01)
        raise AssertionError(f"the gateway did not become ready: {self.output}")

    @property
    def printed(self) -> str:
        """What it wrote to stdout."""
        return self._stdout.read_text()

    @property
    def output(self) -> str:
        """What it wrote to stderr."""
        return self._stderr.read_text()

    @property
    def _stdout(self) -> Path:
        return self.state.parent / "stdout.txt"

    @property
    def _stderr(self) -> Path:
        return self.state.parent / "stderr.txt"

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self.end(signal.SIGTERM)

    def kill(self) -> int:
        """SIGKILL, as a crash."""
        return self.end(signal.SIGKILL)

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; the exit code."""
        process = self.process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(number)
        code = process.wait(timeout=15)
        self.process = None
        return code

    def _env(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        # Nothing of this machine may be found: no key, no local model server.
        return inherited | {
            "OPENCLAW_STATE_DIR": str(self.state),
            "OPENCLAW_GATEWAY_TOKEN": self.token,
            "OLLAMA_HOST": "127.0.0.1:9",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **self._environment,
        }


@contextmanager
def gateway_process(
    config: Mapping[str, Any] | str = "",
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    shell: str = "",
    start: bool = True,
) -> Generator[GatewayProcess, None, None]:
    """A running gateway; it is killed at the end if it still runs."""
    with tempfile.TemporaryDirectory(prefix="openclawd-") as folder:
        gateway = GatewayProcess(Path(folder) / "state", config, environment or {})
        try:
            if start:
                gateway.start(*arguments, shell=shell)
            yield gateway
        finally:
            gateway.kill()
