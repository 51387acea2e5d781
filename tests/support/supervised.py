"""The gateway as a unit of systemd, for scenarios that run inside the namespace of tests/support/systemd.py.

A scenario is a function of `Unit` that returns what it saw; `python -m tests.support.supervised NAME ...`
runs it and prints that as one line of JSON, for the test outside to judge.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openclawd.service.unit import ServiceSpec, service_text

ROOT = Path(__file__).parents[2]
HOME = Path("/root")
PORT = 18789
PATIENCE_S = 20.0
_ASK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Knocker:
    """Connects again and again, and asks how the gateway is."""

    def __init__(self, port: int = PORT) -> None:
        self.port = port
        self.answered = 0
        self.refused = 0
        self.broken: list[str] = []
        self.longest_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._knock)

    def __enter__(self) -> "Knocker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _knock(self) -> None:
        while not self._over.is_set():
            began_s = time.monotonic()
            try:
                answer = ask(self.port)
            except ConnectionRefusedError:
                self.refused += 1
                time.sleep(0.001)
                continue
            except OSError as error:
                self.broken.append(str(error))
                continue
            if answer.startswith(b"HTTP/1.1 200 "):
                self.answered += 1
            else:
                self.broken.append(answer[:80].decode(errors="replace"))
            self.longest_s = max(self.longest_s, time.monotonic() - began_s)

    def seen(self) -> dict[str, Any]:
        """The sums."""
        return {
            "answered": self.answered,
            "refused": self.refused,
            "broken": self.broken[:10],
            "longestMs": round(self.longest_s * 1000),
        }


def ask(port: int, host: str = "127.0.0.1") -> bytes:
    """What `/healthz` answers. Raises OSError."""
    with socket.create_connection((host, port), timeout=PATIENCE_S) as asking:
        asking.sendall(_ASK)
        answer = b""
        while data := asking.recv(4096):
            answer += data
        return answer


class Unit:
    """`openclawd.service` of the user, as it is installed, from the source."""

    state = HOME / ".openclaw"
    program = HOME / ".local" / "bin" / "openclawd"
    units = HOME / ".config" / "systemd" / "user"

    def __init__(self) -> None:
        self.program.parent.mkdir(parents=True)
        self.runs("-m openclawd")
        self.units.mkdir(parents=True)
        unit = ServiceSpec(program=("%h/.local/bin/openclawd",), guarded=False)
        (self.units / "openclawd.service").write_text(service_text(unit))
        (HOME / ".config" / "openclawd").mkdir()
        # Nothing of this machine may be found: no key, no local model server.
        (HOME / ".config" / "openclawd" / "environment").write_text("OLLAMA_HOST=127.0.0.1:9\n")
        self.state.mkdir(mode=0o700)
        self.configure({})

    def runs(self, words: str) -> None:
        """The gateway is Python with these words."""
        line = f'PYTHONPATH={ROOT} exec {sys.executable} {words} "$@"'
        self.program.write_text(f"#!/bin/sh\n{line}\n")
        self.program.chmod(0o755)

    def configure(self, gateway: dict[str, Any]) -> None:
        """Write `gateway` of the config."""
        token = {"token": "9f3c1a7e5b2d8046c1e97a3f0b6d2845e8a1c7f39d5b0264"}
        text = json.dumps({"gateway": {"auth": token, **gateway}})
        new = self.state / "openclaw.json.new"
        new.write_text(text)
        new.replace(self.state / "openclaw.json")

    def override(self, *lines: str) -> None:
        """`systemctl --user edit`."""
        folder = self.units / "openclawd.service.d"
        folder.mkdir(exist_ok=True)
        (folder / "override.conf").write_text("[Service]\n" + "\n".join(lines) + "\n")

    def systemctl(self, *words: str, check: bool = True) -> str:
        """What it prints."""
        command = ["systemctl", "--user", *words]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if check and ended.returncode != 0:
            raise AssertionError(
                f"{words}: {ended.stdout}{ended.stderr}{self.systemctl('status', check=False)}"
            )
        return ended.stdout

    def start(self) -> None:
        """Returns when it is ready."""
        self.systemctl("daemon-reload")
        self.systemctl("start", "openclawd")

    def show(self, *properties: str) -> dict[str, str]:
        """By name."""
        names = ("MainPID", "NRestarts", "ActiveState", "Result", "StatusText", "NFileDescriptorStore")
        lines = self.systemctl("show", "openclawd", "-p", ",".join(properties or names)).splitlines()
        return dict(line.split("=", 1) for line in lines)

    @property
    def pid(self) -> int:
        return int(self.show("MainPID")["MainPID"])

    def logged(self, message: str) -> list[dict[str, Any]]:
        """The log's lines of that message."""
        file = self.state / "openclawd" / "logs" / "openclawd.log"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [line for line in lines if line["message"] == message]

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for it. Raises AssertionError with everything that there is to know."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline_s:
                status = self.systemctl("status", "-n", "60", "--no-pager", "openclawd", check=False)
                raise AssertionError(f"not within {PATIENCE_S} s: {what}\n{status}")
            time.sleep(0.01)

    def until_ready(self, times: int) -> None:
        """Wait until it has become ready so often, and systemd knows."""
        self.until(lambda: len(self.logged("ready")) >= times, f"ready for the {times}. time")
        self.until(lambda: self.show("ActiveState")["ActiveState"] == "active", "active")


def restarts(unit: Unit, times: str) -> dict[str, Any]:
    """Requested restarts, in each way that there is."""
    unit.start()
    pid = unit.pid
    with Knocker() as knocker:
        for count in range(int(times)):
            if count % 5 == 4:
                subprocess.run([unit.program, "gateway", "restart"], check=True, capture_output=True)
            else:
                os.kill(pid, (signal.SIGUSR1, signal.SIGUSR2)[count % 2])
            unit.until_ready(count + 2)
    after = unit.show()
    return {
        **knocker.seen(),
        **after,
        "samePid": int(after["MainPID"]) == pid,
        "generations": [line["generation"] for line in unit.logged("ready")],
    }


def crashes(unit: Unit, times: str) -> dict[str, Any]:
    """kill -9, then what `systemctl` calls a restart, then a stop."""
    unit.start()
    with Knocker() as knocker:
        for count in range(int(times)):
            os.kill(unit.pid, signal.SIGKILL)
            unit.until_ready(count + 2)
    crashed = {**knocker.seen(), **unit.show()}
    with Knocker() as knocker:
        unit.systemctl("restart", "openclawd")
    restarted = {**knocker.seen(), **unit.show()}
    unit.systemctl("stop", "openclawd")
    stopped = {**unit.show(), "refused": is_refused(PORT)}
    return {"crashed": crashed, "restarted": restarted, "stopped": stopped}


def journal() -> str:
    """What systemd and the gateway said."""
    subprocess.run(["journalctl", "--sync"], check=True, timeout=30)
    command = ["journalctl", "--no-pager", "-o", "cat"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


def is_refused(port: int, host: str = "127.0.0.1") -> bool:
    """Whether nobody listens there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def reloads(unit: Unit) -> dict[str, Any]:
    """`systemctl reload`, of a config that changes nothing, and of one that moves the port; then a crash."""
    unit.start()
    pid = unit.pid
    unit.systemctl("reload", "openclawd")
    unit.until(lambda: unit.show("ActiveState")["ActiveState"] == "active", "active")
    reloaded = unit.show()
    unit.configure({"port": PORT + 10})
    unit.systemctl("reload", "openclawd")
    unit.until_ready(2)
    moved = {**unit.show(), "samePid": unit.pid == pid, "oldRefused": is_refused(PORT)}
    with Knocker(PORT + 10) as knocker:
        os.kill(unit.pid, signal.SIGKILL)
        unit.until_ready(3)
    crashed = {**knocker.seen(), **unit.show(), "oldRefused": is_refused(PORT)}
    # Changed while nobody runs it: systemd still keeps the sockets of the address before.
    unit.override("RestartSec=1s")
    unit.systemctl("daemon-reload")
    os.kill(unit.pid, signal.SIGKILL)
    unit.configure({"port": PORT + 10, "bind": "lan", "controlUi": {"allowedOrigins": []}})
    unit.until_ready(4)
    wider = {**unit.show(), "listens": unit.logged("ready")[-1]["address"]}
    return {"reloaded": reloaded, "moved": moved, "crashed": crashed, "wider": wider}


def stuck(unit: Unit) -> dict[str, Any]:
    """A loop that a signal blocks for good, and a process that is stopped."""
    unit.runs("-m tests.support.stuck_gateway")
    unit.override("WatchdogSec=3", "TimeoutStopSec=3")
    unit.start()
    with Knocker() as knocker:
        pid = unit.pid
        os.kill(pid, signal.SIGHUP)
        unit.until_ready(2)
        blocked = unit.show()
        os.kill(unit.pid, signal.SIGSTOP)
        unit.until_ready(3)
    return {
        **knocker.seen(),
        "blocked": blocked,
        "stopped": unit.show(),
        "stuck": unit.logged("loop stuck"),
    }


def slow(unit: Unit) -> dict[str, Any]:
    """A start and a stop that take longer than systemd would wait."""
    unit.runs("-m tests.support.slow_gateway")
    unit.override("TimeoutStartSec=7", "TimeoutStopSec=7")
    unit.start()
    started = unit.show()
    unit.systemctl("stop", "openclawd")
    return {"started": started, "stopped": unit.show()}


def second(unit: Unit) -> dict[str, Any]:
    """A config that no gateway was ever ready with; then another gateway for the same state, and one for the
    same port.
    """
    unit.configure({"port": "soon"})
    unit.systemctl("daemon-reload")
    unit.systemctl("start", "openclawd", check=False)
    wrong = unit.show("ActiveState", "SubState", "NRestarts", "ExecMainStatus", "NFileDescriptorStore")
    unit.configure({})
    unit.start()
    pid = unit.pid
    same_state = subprocess.run(
        [unit.program, "gateway", "--port", "19999"], capture_output=True, text=True, check=False, timeout=30
    )
    elsewhere = os.environ | {"OPENCLAW_STATE_DIR": str(HOME / "other")}
    same_port = subprocess.run(
        [unit.program, "gateway"], capture_output=True, text=True, check=False, timeout=30, env=elsewhere
    )
    return {
        "wrong": wrong,
        "codes": [same_state.returncode, same_port.returncode],
        "alive": ask(PORT).startswith(b"HTTP/1.1 200 "),
        "samePid": unit.pid == pid,
        **unit.show(),
    }


def activated(unit: Unit) -> dict[str, Any]:
    """systemd listens itself (a socket unit), also where the config does not."""
    lines = ("[Socket]", f"ListenStream=127.0.0.1:{PORT}", f"ListenStream=127.0.0.2:{PORT}")
    (unit.units / "openclawd.socket").write_text("\n".join(lines) + "\n")
    unit.systemctl("daemon-reload")
    unit.systemctl("start", "openclawd.socket")
    # Whoever connects starts it.
    first = ask(PORT).startswith(b"HTTP/1.1 200 ")
    pid = unit.pid
    with Knocker() as knocker:
        os.kill(pid, signal.SIGUSR1)
        unit.until_ready(2)
        os.kill(pid, signal.SIGKILL)
        unit.until_ready(3)
    listening = Path(f"/proc/{unit.pid}/fd")
    ours = {str(each.readlink()) for each in listening.iterdir()}
    environment = Path(f"/proc/{unit.pid}/environ").read_bytes()
    return {
        "first": first,
        **knocker.seen(),
        **unit.show(),
        "sockets": len([link for link in ours if link.startswith("socket:")]),
        "started with": b"LISTEN_FDS=" in environment,
    }


if __name__ == "__main__":
    scenario, *words = sys.argv[1:]
    try:
        seen = globals()[scenario](Unit(), *words)
    except BaseException:
        print(journal())
        raise
    print(json.dumps({**seen, "journal": journal().splitlines()}))
