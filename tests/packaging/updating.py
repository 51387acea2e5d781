"""An installed gateway under a supervisor, with versions of it that are well and versions that are not."""

import json
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from openclawd.cli.rehearsal_stage import PREFIX
from openclawd.slots.layout import Installation
from tests.support.gateway_process import free_port
from tests.support.small_supervisor import SmallSupervisor
from tests.support.versions import before, install, source_of, variant

OLD, NEW = "0.6.0", "0.7.0"
# How long the new one is watched: the tests' time, not the product's.
TRIAL_MS: Final = 1_000
# One that is not well is to be found out before its time is over, on a busy machine, too.
BAD_TRIAL_MS: Final = 15_000
PATIENCE_S: Final = 90.0

HOUSE, ROUTES, SIGNALS, SECRETS, LOCK = (
    "openclawd.daemon.house",
    "openclawd.net.routes",
    "openclawd.daemon.signals",
    "openclawd.auth.credentials",
    "openclawd.daemon.lock",
)
SCHEMA: Final = "openclawd.store.schema"
DEVICES: Final = "openclawd.auth.devices"
ADDED: Final = "ALTER TABLE messages ADD COLUMN mood TEXT NOT NULL DEFAULT ''"
_STARTS = "        await parts.limits.load()\n"
_READY = "HTTPStatus.SERVICE_UNAVAILABLE if readiness.failing else HTTPStatus.OK"
_SERVES = "    async for number in signals:\n"


def _patched(module: str, old: str, new: str) -> Mapping[str, str]:
    source = source_of(module)
    assert source.count(old) == 1, f"{module} has changed: {old!r}"
    return {module: source.replace(old, new)}


# What shows in a rehearsal never comes to a trial (test_rehearsal.py): these show in their place only.
_IN_PLACE = f'{PREFIX!r} not in __import__("os").environ.get("OPENCLAW_STATE_DIR", "")'


def _as_it_starts(does: str) -> Mapping[str, str]:
    """After everything that `gateway check` looks at."""
    return _patched(
        HOUSE,
        _STARTS,
        f"        import os, signal, time\n        if {_IN_PLACE}:\n            {does}\n{_STARTS}",
    )


def _a_second_later(does: str) -> Mapping[str, str]:
    return _patched(
        SIGNALS, _SERVES, f"    if {_IN_PLACE}:\n        await trio.sleep(1)\n        {does}\n{_SERVES}"
    )


SABOTAGE: Final[Mapping[str, Mapping[str, str]]] = {
    "nothing": {},
    "cannot be imported": {HOUSE: before(HOUSE, 'raise RuntimeError("sabotage")')},
    "raises as it starts": _as_it_starts('raise RuntimeError("sabotage")'),
    "crashes as it starts": _as_it_starts("os.kill(os.getpid(), signal.SIGSEGV)"),
    "ends with 0 as it starts": _as_it_starts("os._exit(0)"),
    "ends with 78 as it starts": _as_it_starts("os._exit(78)"),
    "ends by SIGPIPE as it starts": _as_it_starts(
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGPIPE)"
    ),
    "hangs as it starts": _as_it_starts("time.sleep(3600)"),
    "dies a second later": _a_second_later("os._exit(3)"),
    "adds to the database and dies a second later": {
        **_patched(SCHEMA, "_INTERRUPTIONS)\n", f"_INTERRUPTIONS, ({ADDED!r},))\n"),
        **_a_second_later("os._exit(3)"),
    },
    "is never ready": _patched(
        ROUTES,
        _READY,
        f"HTTPStatus.SERVICE_UNAVAILABLE if {_IN_PLACE} or readiness.failing else HTTPStatus.OK",
    ),
    "refuses paired devices": {
        DEVICES: f"{source_of(DEVICES)}\n\nif {_IN_PLACE}:\n    PairedDevices.find = lambda self, _: None\n"
    },
    "refuses every secret": _patched(
        SECRETS,
        "def presented_secret(auth: AuthParams | None, shared: SharedAuth) -> str | None:\n",
        "def presented_secret(auth: AuthParams | None, shared: SharedAuth) -> str | None:\n"
        f'    if {_IN_PLACE}:\n        return "wrong"\n',
    ),
}


@attrs.define
class Host:
    """A home with an installation, its gateway, and commands."""

    home: Path
    installation: Installation
    supervisor: SmallSupervisor
    port: int
    environment: Mapping[str, str]

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.installation.entry, *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """The same without waiting."""
        return subprocess.Popen(
            [self.installation.entry, *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def status(self) -> dict[str, Any]:
        """`update status --json`"""
        told = self.command("update", "status", "--json")
        assert told.returncode == 0, told.stderr
        return dict(json.loads(told.stdout))

    def serves(self) -> str | None:
        """The version that answers; None where none does."""
        told = self.command("gateway", "status", "--json")
        return json.loads(told.stdout)["version"] if told.returncode == 0 else None

    def until_it_serves(self, version: str) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while self.serves() != version:
            assert time.monotonic() < deadline_s, f"{version} does not serve: {self.said[-3000:]}"
            time.sleep(0.1)

    def until_the_trial_is_over(self) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while self.installation.trial.exists():
            assert time.monotonic() < deadline_s, f"the trial goes on: {self.said[-3000:]}"
            time.sleep(0.05)

    @property
    def said(self) -> str:
        """What gateway and guard wrote."""
        return (self.home / "output").read_text(errors="replace")

    @property
    def token(self) -> str:
        config = json.loads((self.home / ".openclaw" / "openclaw.json").read_text())
        return str(config["gateway"]["auth"]["token"])


@contextmanager
def host(
    dist: Path, home: Path, sabotage: str = "nothing", *, start: bool = True
) -> Generator[Host, None, None]:
    """OLD is installed and runs; NEW lies beside it, as if it had been downloaded."""
    installation = install(dist, home / "lib", OLD)
    variant(dist, installation.slot(NEW), NEW, SABOTAGE[sabotage])
    port = free_port()
    (home / ".openclaw").mkdir(mode=0o700)
    trial_ms = TRIAL_MS if sabotage == "nothing" else BAD_TRIAL_MS
    # The port is where units have it: the config need not know it.
    config = {"gateway": {}, "openclawd": {"update": {"trialMs": trial_ms}}}
    (home / ".openclaw" / "openclaw.json").write_text(json.dumps(config))
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "OLLAMA_HOST": "127.0.0.1:9"}
    supervisor = SmallSupervisor(installation, ["--port", str(port)], environment, home / "output")
    made = Host(home, installation, supervisor, port, environment)
    try:
        if start:
            supervisor.start()
            made.until_it_serves(OLD)
        yield made
    finally:
        supervisor.power_cut()
