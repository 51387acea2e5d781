"""The gateway of a state directory as `openclawd update` watches it: over its local socket as its owner, at
its address as anybody, and in its log.

What does not work before the switch is not asked of the version behind it.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import attrs

from openclawd.cli.failure import Failure, NotRunning
from openclawd.cli.logged_faults import logged_faults
from openclawd.cli.probes import TIMEOUT_S, dial, local, readyz
from openclawd.cli.rpc import Rpc, converse
from openclawd.cli.service_unit import Unit, manager_environment, unit_of
from openclawd.cli.target import Endpoint, local_socket, port_endpoint, settings_for
from openclawd.config.paths import Paths
from openclawd.config.problems import ConfigError
from openclawd.daemon.link import reachable
from openclawd.daemon.lock import running_pid
from openclawd.daemon.log_file import LOG_NAME
from openclawd.daemon.preflight import TIMEOUT_S as CHECK_TIMEOUT_S
from openclawd.slots.layout import Installation, version_of_slot
from openclawd.update.gateway import Before
from openclawd.update.judge import Look

# A handshake is more than a question: of these not one a look.
_SHAKE_EVERY_S: Final = 2.0
# The probes. Which secret the gateway wants may only be known to its service: it is tried before the switch.
_LOCAL, _READY, _HANDSHAKE = "local", "ready", "handshake"
_ALL: Final = frozenset((_LOCAL, _READY, _HANDSHAKE))
_START_PATIENCE_S: Final = 30.0
_DECISIONS: Final = 256


@attrs.frozen(eq=False, repr=False)
class _Seen:
    """What one handshake over the local socket tells."""

    version: str
    life: int
    address: tuple[str, int]
    tls: bool
    decisions: tuple[Mapping[str, Any], ...]
    devices: frozenset[str]
    """That are connected."""


@attrs.frozen(eq=False, repr=False)
class _Known:
    """How it was before the switch (`Before.seen`)."""

    works: frozenset[str]
    """The probes that it passed."""

    devices: frozenset[str]
    faults: frozenset[str]
    """That it had, too."""

    @classmethod
    def of(cls, before: Before | None) -> "_Known":
        """Of a gateway that nobody knew, what any can do is asked: its secret may only be its service's."""
        seen = before.seen if before is not None else {"works": (_LOCAL, _READY)}
        return cls(*(frozenset(seen.get(name, ())) for name in ("works", "devices", "faults")))

    def document(self) -> dict[str, list[str]]:
        return {
            name: sorted(each)
            for name, each in (("works", self.works), ("devices", self.devices), ("faults", self.faults))
        }


class WatchedGateway:
    """One that runs, or will. Nothing raises."""

    def __init__(self, installation: Installation, paths: Paths, environ: Mapping[str, str]) -> None:
        self._installation = installation
        self._paths = paths
        self._environ = environ
        self._seen: _Seen | None = None
        self._seen_s = -_SHAKE_EVERY_S
        self._unit: Unit | None = None
        self._shaken: str | None = None
        self._turned_away: str | None = None
        self._log = paths.log_dir / LOG_NAME

    # --- looking

    def before(self) -> Before | None:
        """How it is, and which of the probes it passes; None where none answers."""
        try:
            seen = self._shake()
        except Failure:
            return None
        self._shaken = self._handshake()
        pid = running_pid(self._paths.lock_file)
        self._unit = unit_of(pid) if pid is not None else None
        known = _Known(
            works=frozenset(name for name, problem in self._probe(seen, _ALL) if problem is None),
            devices=seen.devices,
            faults=frozenset(logged_faults(self._log, since_ms=seen.life)),
        )
        return Before(seen.version, seen.life, known.document())

    def look(self, before: Before | None) -> Look:
        """A question each time, a handshake every two seconds, and whenever the last one went wrong."""
        at_s = time.monotonic()
        known = _Known.of(before)
        if self._seen is None or at_s - self._seen_s >= _SHAKE_EVERY_S:
            try:
                self._seen, self._seen_s = self._shake(), at_s
            except Failure as failure:
                self._seen = None
                return Look(at_s, None, problems=(_line(failure.message),))
        seen = self._seen
        if before is not None and seen.life == before.life:
            self._seen = None  # it is about to go
            return Look(at_s, seen.version, seen.life)
        if at_s == self._seen_s and _HANDSHAKE in known.works:
            self._shaken = self._handshake()
        wrong = [problem for name, problem in self._probe(seen, known.works) if problem is not None]
        if any(each.startswith("the local socket") for each in wrong):
            self._seen = None
        return Look(at_s, seen.version, seen.life, tuple(wrong), tuple(self._faults(seen, known)))

    def _shake(self) -> _Seen:
        """Raises Failure."""
        found = list(local_socket(self._paths))
        if not found:
            raise NotRunning(f"no gateway listens for {self._paths.state_dir}")

        async def ask(rpc: Rpc) -> _Seen:
            status = (await rpc.ask("status")).get("openclawd", {})
            admissions = await rpc.ask("gateway.admissions", {"limit": _DECISIONS})
            presence = await rpc.ask("system-presence", {})
            return _Seen(
                version=str(rpc.hello.get("server", {}).get("version")),
                life=int(status.get("startedAtMs", 0)),
                address=(str(status.get("address")), int(status.get("port", 0))),
                tls=status.get("tlsFingerprint") is not None,
                decisions=tuple(each for each in admissions.get("recent", ()) if isinstance(each, dict)),
                devices=frozenset(each["deviceId"] for each in presence if each.get("deviceId")),
            )

        try:
            return converse(found, ask, timeout_ms=int(TIMEOUT_S * 1000))
        except Failure:
            raise
        except Exception as error:  # whatever a version that is not well answers
            raise Failure(
                f"what the gateway answers makes no sense: {type(error).__name__}: {error}"
            ) from error

    def _probe(self, seen: _Seen, asked: frozenset[str]) -> "Iterator[tuple[str, str | None]]":
        """Each of those probes with what is wrong, None where nothing is."""
        host, port = seen.address
        if _LOCAL in asked:
            yield _LOCAL, readyz("the local socket", lambda: local(self._paths.socket))
        if _READY in asked:
            where = reachable(host)
            yield _READY, readyz(f"{where}:{port}", lambda: dial(where, port, tls=seen.tls))
        if _HANDSHAKE in asked:
            yield _HANDSHAKE, self._shaken

    def _handshake(self) -> str | None:
        """As a client with the shared secret, at the address."""
        self._turned_away = None
        try:
            endpoint: Endpoint = port_endpoint(self._paths, settings_for(self._paths, self._environ))
        except (ConfigError, Failure) as error:
            return str(error)

        async def hello(rpc: Rpc) -> None:
            if not rpc.hello:
                raise Failure("hello-ok is empty")

        try:
            converse([endpoint], hello, timeout_ms=int(TIMEOUT_S * 1000))
        except Failure as failure:
            if (failure.code or "").startswith("AUTH_"):
                self._turned_away = _line(failure.message)
            return _line(failure.message)
        except Exception as error:  # noqa: BLE001  the same
            return f"what the gateway answers makes no sense: {type(error).__name__}"
        return None

    # --- what cannot be taken back

    def _faults(self, seen: _Seen, known: _Known) -> list[str]:
        """In words; of what has happened since this life began."""
        refused = [
            f"a device that was connected before was refused: {each.get('reason')}"
            for each in seen.decisions
            if each.get("outcome") == "refused"
            and each.get("device") in known.devices
            and each.get("ts", 0) >= seen.life
        ]
        if self._turned_away is not None and _HANDSHAKE in known.works:
            refused.append(self._turned_away)
        return refused + [
            each for each in logged_faults(self._log, since_ms=seen.life) if each not in known.faults
        ]

    # --- acting

    def restart(self, reason: str) -> str | None:
        """None where it will; it is answered once the program to execute has proved that it could start."""
        self._seen = None

        async def ask(rpc: Rpc) -> None:
            await rpc.ask("gateway.restart.request", {"reason": reason, "skipDeferral": True})

        try:
            converse(list(local_socket(self._paths)), ask, timeout_ms=int((CHECK_TIMEOUT_S + 10) * 1000))
        except Failure as failure:
            return _line(failure.message)
        except Exception as error:  # noqa: BLE001  whatever a version that is not well answers
            return f"it cannot be asked: {type(error).__name__}: {error}"
        return None

    def kill(self, version: str) -> None:
        """Nothing where none runs, or one of another version."""
        self._seen = None
        pid = running_pid(self._paths.lock_file)
        if pid is not None and self._executes(pid, version):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def _executes(self, pid: int, version: str) -> bool:
        try:
            program = Path(f"/proc/{pid}/exe").readlink()
        except OSError:
            # Without /proc, and for another user's process, the lock says what can be said.
            return True
        return version_of_slot(program, self._installation) == version

    def is_alive(self) -> bool:
        """By the lock, which the kernel keeps."""
        return running_pid(self._paths.lock_file) is not None

    def start(self) -> bool:
        """By the unit that it ran in."""
        unit = self._unit
        if unit is None:
            return False
        user = ["--user"] if unit.of_user else []
        try:
            command = ["systemctl", *user, "start", unit.name]
            started = subprocess.run(  # noqa: S603  no shell reads it, and the name is systemd's
                command,
                env=manager_environment(of_user=unit.of_user),
                capture_output=True,
                check=False,
                timeout=_START_PATIENCE_S,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return started.returncode == 0


def _line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
