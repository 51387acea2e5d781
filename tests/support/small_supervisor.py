"""What systemd does with a unit of ours, as far as updates need it, in a thread: it starts the command, again
after a failure (Restart=on-failure, RestartPreventExitStatus=78), and runs ExecStopPost= after each end.

A signal that systemd takes for a clean end is one here (systemd.service(5), SuccessExitStatus=).
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from openclawd.slots.layout import Installation

PAUSE_S = 0.1
PATIENCE_S = 30.0
_CLEAN = {0, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -signal.SIGPIPE}
_NEVER_AGAIN = 78
# As many in a trial would be a loop.
_MAX_STARTS = 8


class SmallSupervisor:
    """One unit of `installation`; `starts` are the exit codes so far (None: it runs)."""

    def __init__(
        self, installation: Installation, words: Sequence[str], environment: Mapping[str, str], output: Path
    ) -> None:
        self._installation = installation
        self._words = [str(installation.guard), "gateway", *words]
        self._environment = dict(environment)
        self._output = output
        self._tools = output.parent / "tools"
        self._asked_to_stop = threading.Event()
        self._over = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self.ends: list[int] = []
        self._make_systemctl()

    def start(self) -> None:
        """Returns at once."""
        self._asked_to_stop.clear()
        self._job("")
        self._thread = threading.Thread(target=self._supervise, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """`systemctl stop`; returns when it has ended."""
        self._asked_to_stop.set()
        self._job("Job=7")
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
        if self._thread is not None:
            self._thread.join(PATIENCE_S)
            assert not self._thread.is_alive(), "it does not stop"
            self._thread = None

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """The main process, once."""
        assert self._process is not None
        self._process.send_signal(number)

    def power_cut(self) -> None:
        """Everything is gone at once, and nothing is started again."""
        self._over.set()
        if self._process is not None:
            self._process.kill()
        if self._thread is not None:
            self._thread.join(PATIENCE_S)
            self._thread = None
        self._over.clear()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether there is a main process."""
        return self._process is not None and self._process.poll() is None

    def _supervise(self) -> None:
        for _ in range(_MAX_STARTS):
            with self._output.open("ab") as output:
                self._process = subprocess.Popen(
                    self._words,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            code = self._process.wait()
            if self._over.is_set():
                return
            self.ends.append(code)
            started = self._stop_post(code)
            if self._asked_to_stop.is_set():
                return
            if not started and (code in _CLEAN or code == _NEVER_AGAIN):
                return
            time.sleep(PAUSE_S)

    def _stop_post(self, code: int) -> bool:
        """ExecStopPost=; whether it had the unit started."""
        asked = self._tools / "asked"
        asked.unlink(missing_ok=True)
        told = {
            "SERVICE_RESULT": "success" if code in _CLEAN else "exit-code" if code > 0 else "signal",
            "EXIT_CODE": "exited" if code >= 0 else "killed",
            "EXIT_STATUS": str(code) if code >= 0 else signal.Signals(-code).name.removeprefix("SIG"),
            "PATH": f"{self._tools}:{os.environ['PATH']}",
        }
        with self._output.open("ab") as output, suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [self._installation.guard, "stopped", "--user", "openclawd.service"],
                env=self._environment | told,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=PATIENCE_S,
                check=False,
            )
        return asked.exists()

    def _make_systemctl(self) -> None:
        self._tools.mkdir(exist_ok=True)
        tool = self._tools / "systemctl"
        tool.write_text(
            f'#!/bin/sh\ncase "$*" in *show*) cat {self._tools}/job ;; *) : >{self._tools}/asked ;; esac\n'
        )
        tool.chmod(0o755)

    def _job(self, text: str) -> None:
        (self._tools / "job").write_text(text)
