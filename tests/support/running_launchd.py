"""launchd with real processes: the double that fake_launchctl.py is, in a thread, with the real clock, and a
`launchctl` for the PATH of commands.

What it does for a job is launchd.plist(5)'s: the environment of a job, its output, its umask, a process group
that ends with it, SIGTERM and after `ExitTimeOut` SIGKILL. A script of /bin/sh is run by bash, which is what
macOS has in that place.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from openclawd.service.tool import Told
from tests.support.fake_launchctl import FakeJob, FakeLaunchd

_LOOK_EVERY_S = 0.02
_CLIENT = """\
#!{python} -IS
import json, socket, sys
asked = socket.socket(socket.AF_UNIX)
asked.connect({address!r})
asked.sendall(json.dumps(sys.argv[1:]).encode())
asked.shutdown(socket.SHUT_WR)
told = b""
while part := asked.recv(65536):
    told += part
code, out, err = json.loads(told)
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""


@attrs.define
class RunningLaunchd(FakeLaunchd):
    """Its jobs are processes; `environment` is what each of them has besides its own."""

    environment: dict[str, str] = attrs.Factory(dict)
    processes: dict[int, subprocess.Popen[bytes]] = attrs.Factory(dict)
    lock: threading.RLock = attrs.Factory(threading.RLock)
    over: threading.Event = attrs.Factory(threading.Event)

    def ask(self, words: Sequence[str]) -> Told:
        with self.lock:
            self.now = time.monotonic()
            return FakeLaunchd.ask(self, words)

    def supervise(self) -> None:
        """Until it is over."""
        while not self.over.wait(_LOOK_EVERY_S):
            with self.lock:
                self.now = time.monotonic()
                self._reap()
                self.settle()

    def settle(self) -> None:
        for target, job in list(self.jobs.items()):
            if job.ends_at_s is not None and job.pid is None:
                self.released_at_s[target] = max(self.now, self.released_at_s.get(target, 0.0))
                del self.jobs[target]
            elif job.ends_at_s is not None and self.now >= job.ends_at_s and job.pid is not None:
                os.kill(job.pid, signal.SIGKILL)
            elif job.starts_at_s is not None and self.now >= job.starts_at_s:
                self._spawn(job)

    def end_all(self) -> None:
        self.over.set()
        with self.lock:
            for pid, process in self.processes.items():
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                process.wait()

    def _reap(self) -> None:
        for target, job in self.jobs.items():
            process = self.processes.get(job.pid or 0)
            if process is None or (code := process.poll()) is None:
                continue
            del self.processes[process.pid]
            if not job.plist.get("AbandonProcessGroup"):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            name = None if code >= 0 else f"{signal.strsignal(-code)}: {-code}"
            self.exits(target, code if code >= 0 else None, name)

    def _spawn(self, job: FakeJob) -> None:
        plist: dict[str, Any] = job.plist
        words = list(plist["ProgramArguments"])
        if Path(words[0]).read_bytes().startswith(b"#!/bin/sh\n"):
            words[:0] = ["/bin/bash", "--posix"]
        own = plist.get("EnvironmentVariables", {})
        with Path(plist["StandardOutPath"]).open("ab") as output:
            process = subprocess.Popen(
                words,
                env={"PATH": "/usr/bin:/bin", "XPC_SERVICE_NAME": plist["Label"], **self.environment, **own},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                umask=plist.get("Umask", 0o022),
                start_new_session=True,
            )
        self.processes[process.pid] = process
        job.pid, job.starts_at_s, job.started_s = process.pid, None, self.now
        job.runs += 1

    def _bootout(self, target: str) -> Told:
        job = self.jobs.get(target)
        if job is not None and job.ends_at_s is None:
            self.stop_takes_s = job.plist.get("ExitTimeOut", 20)
            if job.pid is not None:
                os.kill(job.pid, signal.SIGTERM)
        return FakeLaunchd._bootout(self, target)


@contextmanager
def running_launchd(tools: Path, environment: dict[str, str]) -> Generator[RunningLaunchd, None, None]:
    """`tools` is the folder that `launchctl` is put into."""
    domain = f"gui/{os.getuid()}"
    launchd = RunningLaunchd(domains=frozenset({domain}), cleanup_s=0.3, environment=environment)
    address = tools / "launchd"
    client = tools / "launchctl"
    client.write_text(_CLIENT.format(python=sys.executable, address=str(address)))
    client.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(address))
        listening.listen()
        listening.settimeout(_LOOK_EVERY_S)
        threads = [
            threading.Thread(target=each, daemon=True)
            for each in (launchd.supervise, lambda: _answer(launchd, listening))
        ]
        for each in threads:
            each.start()
        try:
            yield launchd
        finally:
            launchd.end_all()
            for each in threads:
                each.join()


def _answer(launchd: RunningLaunchd, listening: socket.socket) -> None:
    while not launchd.over.is_set():
        with suppress(TimeoutError):
            asking, _ = listening.accept()
            with asking, asking.makefile("rb") as words:
                told = launchd.ask(["launchctl", *json.loads(words.read())])
                asking.sendall(json.dumps([told.code, told.out, told.err]).encode())
